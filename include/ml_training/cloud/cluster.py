"""How the machines of one job find one another, and hear that one of them has gone: through the bucket, round by round.

    cluster = cluster_of(job, spec, attempt, metadata)     # Alone() where the job has one machine
    cluster.start(heartbeat_seconds=15)
    cluster.come()                                         # ready, at an address of its own
    if turn := cluster.called(): ...                       # Round: all are ready; start the trainer with ...
    cluster.environment(turn)                              # {"TF_CONFIG": ...}
    cluster.broken(turn)                                   # 'machine 2 leaves: ...': the round is over, come again

| object, below ``cluster/`` of the first machine's job | written by | when |
| --- | --- | --- |
| ``0001/machine-02.json`` | each machine | it is ready, leaves, or is over |
| ``0001/rounds/0001.json`` | the first machine | all are ready; never replaced |

The first folder is the number of the attempt that somebody began: what was said before counts no more. A machine is
ready at another address each time, so that a round holds only while everybody in it is where the round says. A thread
speaks and looks at the pace of heartbeats: a bucket that does not answer holds up nobody.
"""

import json
import logging
import socket
import threading
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeVar

from pydantic import AwareDatetime, ValidationError

from ml_training.cloud import storage
from ml_training.cloud.attempts import RELAUNCHED
from ml_training.cloud.company import Alone, Company, Round, Seat, Verdict
from ml_training.cloud.imds import Metadata
from ml_training.cloud.jobs import Attempt, Cause, Job, JobSpec
from ml_training.cloud.members import member
from ml_training.utils.errors import JobError, ObjectExists, ObjectNotFound, StorageError, Superseded
from ml_training.utils.records import Record

CLUSTER_VARIABLE = "TF_CONFIG"  # TensorFlow's own: https://www.tensorflow.org/guide/distributed_training#TF_CONFIG
State = Literal["ready", "leaving", "over"]
Kind = TypeVar("Kind", bound=Record)

logger = logging.getLogger(__name__)


class Presence(Record):
    """What one machine says of itself."""

    attempt: int
    address: str  # host:port
    state: State
    cause: Cause | None = None  # why it is over
    message: str = ""
    at: AwareDatetime


class View(NamedTuple):
    """What the bucket said last: what each machine says, by its index, and the newest round."""

    presences: dict[int, Presence]
    newest: Round | None
    first_is_done: bool = False


class Cluster:
    """The machines of a job, as one of them sees them."""

    def __init__(self, job: Job, spec: JobSpec, attempt: int, *, host: str, season: int) -> None:
        self._job, self._index, self._attempt, self._host = job, spec.index, attempt, host
        self._leader = Job(spec.leader) if spec.leader else job
        self._folder = self._leader.at("cluster", f"{season:04d}")
        self.is_first, self.machines = spec.index == 0, spec.machines
        self._own: Presence | None = None
        self._view = View({}, None)
        self._wake, self._ended = threading.Event(), threading.Event()
        self._speaking = threading.Lock()

    def start(self, heartbeat_seconds: float) -> None:
        """Begin to speak, and to look."""
        arguments = (heartbeat_seconds,)
        threading.Thread(target=self._speak, args=arguments, name="cluster", daemon=True).start()

    def stop(self) -> None:
        """Say no more."""
        self._ended.set()
        self._wake.set()

    def come(self) -> None:
        """Be ready for the next round, at a port that nobody has, and another one than before."""
        before = self._own.address if self._own else ""
        while (address := f"{self._host}:{_free_port()}") == before:
            continue
        self._say("ready", address=address)

    def called(self) -> Round | None:
        """Return the newest round where this machine stands as it came last, None while there is none."""
        own, newest = self._own, self._view.newest
        return newest if own and newest and newest.seats[self._index] == _seat(own) else None

    def environment(self, turn: Round) -> dict[str, str]:
        """Return what TensorFlow has to know of a round."""
        workers = [seat.address for seat in turn.seats]
        task = {"type": "worker", "index": self._index}
        return {CLUSTER_VARIABLE: json.dumps({"cluster": {"worker": workers}, "task": task})}

    def broken(self, turn: Round) -> str | None:
        """Say who of a round has left it, None while all are there."""
        view = self._view
        for index, seat in enumerate(turn.seats):
            found = view.presences.get(index)
            if found is None or index == self._index:
                continue
            name = f"machine {index + 1} of {self.machines}"
            if found.attempt != seat.attempt:
                return f"{name} is another one now, attempt {found.attempt}"
            if found.state != "ready":
                return f"{name} is {found.state}: {found.message}"
            if found.address != seat.address:
                return f"{name} waits for the next round"
        return None

    def verdict(self) -> Verdict | None:
        """Return how the job has ended: the first machine is over, or another one is before it."""
        if self._view.first_is_done:
            return Verdict("done", "the first machine is done")
        for index, found in sorted(self._view.presences.items()):
            if index == self._index or found.state != "over" or found.cause in (None, "done"):
                continue
            message = f"machine {index + 1} of {self.machines}: {found.message}"
            return Verdict(found.cause if self.is_first and found.cause else "cancelled", message)
        return None

    def missing(self) -> list[int]:
        """Return the numbers of the machines, from 1, that are not ready for a new round."""
        view = self._view
        seated = view.newest.seats if view.newest else []
        there = {index for index, one in view.presences.items() if one.state == "ready" and _seat(one) not in seated}
        return [index + 1 for index in range(self.machines) if index not in there]

    def leave(self, message: str) -> None:
        """Say that this machine leaves."""
        self._say("leaving", message=message)

    def end(self, cause: Cause, message: str) -> None:
        """Say how it ended, now: for good, or to be replaced. Raises StorageError."""
        state: State = "leaving" if cause in RELAUNCHED and cause != "done" else "over"
        self._own = self._presence(state, cause=cause, message=message)
        self._write(self._own)

    def turn(self) -> None:
        """Say what is new, look at the others, and begin a round when all are ready. Raises StorageError."""
        own = self._own
        if own is not None and self._view.presences.get(self._index) != own:
            self._write(own)
        self._view = self._look()
        if self.is_first and own is not None and own.state == "ready" and not self.missing():
            self._begin()

    def _say(self, state: State, *, address: str | None = None, message: str = "") -> None:
        self._own = self._presence(state, address=address, message=message)
        self._wake.set()

    def _presence(
        self, state: State, *, address: str | None = None, cause: Cause | None = None, message: str = ""
    ) -> Presence:
        before = self._own.address if self._own else ""
        return Presence(
            attempt=self._attempt,
            address=before if address is None else address,
            state=state,
            cause=cause,
            message=message,
            at=datetime.now(UTC),
        )

    def _write(self, own: Presence) -> None:
        with self._speaking:
            self._job.require_newest(self._attempt)
            storage.write_bytes(self._file(self._index), own.model_dump_json().encode())

    def _look(self) -> View:
        presences = {index: found for index in range(self.machines) if (found := _read(Presence, self._file(index)))}
        names = [item.uri for item in storage.list_objects(storage.join(self._folder, "rounds") + "/")]
        newest = _read(Round, max(names)) if names else None
        done = not self.is_first and storage.exists(self._leader.at("done.json"))
        return View(presences, newest, done)

    def _begin(self) -> None:
        view = self._view
        for index, found in view.presences.items():  # one that was replaced has said its last word
            member(self._leader, index).require_newest(found.attempt)
        seats = [_seat(view.presences[index]) for index in range(self.machines)]
        turn = Round(number=view.newest.number + 1 if view.newest else 1, seats=seats)
        uri = storage.join(self._folder, "rounds", f"{turn.number:04d}.json")
        try:
            storage.write_json(uri, turn.model_dump(mode="json"), if_absent=True)
        except ObjectExists:
            return
        self._view = view._replace(newest=turn)

    def _speak(self, seconds: float) -> None:
        while not self._ended.is_set():
            try:
                self.turn()
            except (StorageError, JobError) as error:  # the lifeline sees what lasts; a replaced one is waited for
                level = logging.INFO if isinstance(error, Superseded) else logging.WARNING
                logger.log(level, "the other machines cannot be seen: %s", error.message)
            self._wake.wait(seconds)
            self._wake.clear()

    def _file(self, index: int) -> str:
        return storage.join(self._folder, f"machine-{index + 1:02d}.json")


def cluster_of(job: Job, spec: JobSpec, attempt: Attempt, metadata: Metadata) -> Company:
    """Return the company of an attempt's machine. Raises JobError where it does not know its address."""
    if spec.machines == 1:
        return Alone()
    host = metadata.get("local-ipv4")
    if not host:
        raise JobError("the metadata service names no local-ipv4: the other machines could not find this one")
    newest = Job(spec.leader).attempts()[-1] if spec.leader else attempt
    return Cluster(job, spec, attempt.number, host=host, season=newest.first)


def _seat(presence: Presence) -> Seat:
    return Seat(attempt=presence.attempt, address=presence.address)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _read(kind: type[Kind], uri: str) -> Kind | None:
    try:
        return kind.model_validate(storage.read_json(uri))
    except ObjectNotFound:
        return None
    except ValidationError as error:
        raise JobError(f"{uri} is not what it should be: {error}") from error
