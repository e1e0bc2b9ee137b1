"""Keeps a job going and tells what happens, until it is over: the one loop around ``together.advance``.

    final = watch(job, config)              # log lines of the machines on standard error, as they come
    result_of(job, final, config)           # what the command printed, and what it cost; JobError unless it is done

Several may watch one job; a watcher that goes away takes nothing with it.
"""

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from ml_training.cloud import costs
from ml_training.cloud.attempts import read_history
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.jobs import Job
from ml_training.cloud.members import written
from ml_training.cloud.status import Status
from ml_training.cloud.together import advance
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import CloudUnreachable, JobError, StorageError

LONGEST_POLL_SECONDS = 15.0
LOG_TAIL_LINES = 30
Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


def watch(
    job: Job,
    config: CloudConfig,
    *,
    seconds: float | None = None,
    log: bool = True,
    until: Callable[[Status], bool] = lambda status: status.is_over,
) -> Status:
    """Step until the job is over (or ``until`` holds), or for ``seconds``.

    A bucket or an API that does not answer is borne for ``unreachable_minutes``: then CloudUnreachable or StorageError.
    """
    started = time.monotonic()
    follower, ec2 = Follower(job, log=log), Ec2(config)

    def step() -> Status:
        now = advance(job, config, datetime.now(UTC), ec2)
        follower.say(now)
        return now

    while True:
        now = _patiently(step, config)
        if now.is_over or until(now) or (seconds is not None and time.monotonic() - started >= seconds):
            return now
        _pause(config)


def result_of(job: Job, final: Status, config: CloudConfig) -> dict[str, Any]:
    """Return what the command printed, and what it cost. Raises JobError with the end of the log unless it is done.

    A bucket that does not answer is borne as in ``watch``.
    """
    return _patiently(lambda: _read_result(job, final), config)


def _patiently(ask: Callable[[], Answer], config: CloudConfig) -> Answer:
    """Ask again, for ``unreachable_minutes``, while bucket or API do not answer."""
    started = time.monotonic()
    while True:
        try:
            return ask()
        except (CloudUnreachable, StorageError) as error:
            if time.monotonic() - started > config.unreachable_minutes * 60:
                raise
            logger.warning("%s: tries again", error.message)
        _pause(config)


def _pause(config: CloudConfig) -> None:
    time.sleep(min(config.heartbeat_seconds, LONGEST_POLL_SECONDS))


def _read_result(job: Job, final: Status) -> dict[str, Any]:
    if final.state != "done":
        message = f"{job.uri} {final.state}: {final.message}{_log_tail(job, final.attempt)}"
        raise JobError(message, state=final.state, uri=job.uri)
    result, jobs = job.result(), written(job)
    endings = [ending for one in jobs for ending in read_history(one).endings.values()]
    spent = [costs.of_job(one) for one in jobs]
    cost = {
        "usd": round(sum(one.usd for one in spent), 6),
        "seconds": round(sum(one.seconds for one in spent), 3),
        "machines": sum(ending.instance_id is not None for ending in endings),
        "interruptions": sum(ending.cause == "interrupted" for ending in endings),
        "simulated": final.simulated,
        "job": job.uri,
    }
    return {**(result.output if result else {}), "cost": cost}


class Follower:
    """Says each new thing once, on standard error: where the job stands, and what its machines say."""

    def __init__(self, job: Job, *, log: bool) -> None:
        self._job, self._log = job, log
        self._said = ""
        self._attempt, self._piece = 0, 0

    def say(self, now: Status) -> None:
        """Say what is new."""
        if self._log and now.attempt is not None:
            self._say_log(now.attempt)
        said = f"{now.state} {now.attempt} {now.instance_id} {now.message} {now.progress}"
        if said != self._said:
            logger.info("%s", now.line())
            self._said = said

    def _say_log(self, newest: int) -> None:
        for attempt in range(self._attempt or newest, newest + 1):  # the end of an older one first
            if attempt != self._attempt:
                self._attempt, self._piece = attempt, 0
            data, self._piece = self._job.read_log(attempt, self._piece)
            sys.stderr.write(data.decode(errors="replace"))
        sys.stderr.flush()


def _log_tail(job: Job, attempt: int | None) -> str:
    if attempt is None:
        return ""
    lines = job.read_log(attempt)[0].decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\nthe end of its log:\n" + "\n".join(lines) if lines else ""
