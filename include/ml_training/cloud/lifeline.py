"""What a machine says to its job's folder while it works, and what it is told there.

    lifeline = Lifeline(job, attempt, "i-0abc...", log=log, work=work)
    lifeline.start(heartbeat_seconds=15)
    lifeline.tell({"epoch": 3})             # is said with the next heartbeat
    lifeline.order                          # Order("cancelled", "the task was cleared"): leave
    lifeline.silent_seconds                 # since the bucket answered last

It has threads of its own, so that a bucket that does not answer holds up nothing else: the spot notice is heard, and
the deadline kept, all the same.
"""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from ml_training.cloud.jobs import Heartbeat, Job
from ml_training.cloud.machine_log import MachineLog
from ml_training.cloud.work_files import WorkFiles
from ml_training.utils.errors import JobError, StorageError, Superseded
from ml_training.utils.gpus import Gpu, read_gpus

LOCK_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Order(NamedTuple):
    """Somebody wants this machine to leave."""

    cause: Literal["cancelled", "superseded"]
    message: str


class Lifeline:
    """Heartbeats, log pieces and finished work files, every few seconds."""

    def __init__(self, job: Job, attempt: int, instance_id: str, *, log: MachineLog, work: WorkFiles) -> None:
        self._job, self._attempt, self._instance_id = job, attempt, instance_id
        self._log, self._work = log, work
        self._wake, self._ended = threading.Event(), threading.Event()
        self._answered, self._refused = time.monotonic(), 0.0
        self.answers = True
        self._threads: list[threading.Thread] = []
        self._storing_log = threading.Lock()
        self._state: Literal["starting", "training", "leaving"] = "starting"
        self._progress: dict[str, Any] = {}
        self.order: Order | None = None

    def start(self, heartbeat_seconds: float) -> None:
        """Begin to speak."""
        for name, work in (("heartbeats", self._speak), ("work files", self._store_work)):
            thread = threading.Thread(target=work, args=(heartbeat_seconds,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float) -> None:
        """Say no more; waits at most so long for what is being said."""
        self._ended.set()
        self._wake.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def say(self, state: Literal["starting", "training", "leaving"]) -> None:
        """Say at once what the machine does now."""
        self._state = state
        self._wake.set()

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Say this with the heartbeats from now on."""
        self._progress = {**self._progress, **progress}

    @property
    def silent_seconds(self) -> float:
        """Seconds since the bucket answered."""
        return time.monotonic() - self._answered

    def refused_within(self, seconds: float) -> bool:
        """Tell whether the bucket failed to answer not long ago."""
        return bool(self._refused) and time.monotonic() - self._refused < seconds

    def store_log(self) -> None:
        """Store what the log holds. Raises StorageError."""
        if not self._storing_log.acquire(timeout=LOCK_SECONDS):
            raise StorageError("the log is being stored already", uri=self._job.uri)
        try:
            while (piece := self._log.piece()) is not None:
                self._job.add_log(self._attempt, *piece)
                self._log.stored()
        finally:
            self._storing_log.release()

    def _speak(self, seconds: float) -> None:
        while not self._ended.is_set():
            try:
                self._turn()
                self._heard()
            except Superseded as error:
                self.order = Order("superseded", error.message)
                return
            except (StorageError, JobError) as error:
                self._not_heard(error.message)
            self._wake.wait(seconds)
            self._wake.clear()

    def _store_work(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            try:
                self._work.store()
            except StorageError as error:
                self._not_heard(error.message)

    def _turn(self) -> None:
        self._job.beat(self._heartbeat())
        if reason := self._job.cancelled(self._attempt):
            self.order = Order("cancelled", reason)
        self.store_log()

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            attempt=self._attempt,
            instance_id=self._instance_id,
            at=datetime.now(UTC),
            state=self._state,
            progress=self._progress,
            gpu=_figures(read_gpus()),
        )

    def _heard(self) -> None:
        if not self.answers:
            logger.info("the bucket answers again, after %.0f s", time.monotonic() - self._answered)
        self._answered, self.answers = time.monotonic(), True

    def _not_heard(self, message: str) -> None:
        self._refused = time.monotonic()
        if self.answers:
            logger.warning("the bucket does not answer: %s", message)
        self.answers = False


def _figures(gpu: Gpu | None) -> dict[str, float] | None:
    return {name: float(value) for name, value in gpu._asdict().items()} if gpu else None
