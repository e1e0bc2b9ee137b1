"""A job: one command that a machine in the cloud runs, and all that is known of it, in the bucket.

    job = Job("s3://adbreak/training/jobs/3f9c2d1a7b60")
    job.create(spec)                     # the same spec again is no error, another one is
    attempt = job.claim(now)             # a number that nobody else has; the fence for what older attempts write
    job.result()                         # Done(...), Failed(...) or None

| object | written by | when |
| --- | --- | --- |
| `spec.json` | the launcher | once |
| `attempts/0001.json` | the launcher | before it asks for a machine; never replaced |
| `launched/0001.json` | the launcher | once it knows the machine |
| `ended/0001.json` | the machine, or the launcher when the machine is gone | once: how it ended, what it cost |
| `heartbeat.json` | the machine | every few seconds |
| `logs/0001/000001.log` | the machine | as the log grows: one piece after the other |
| `done.json`, or `failed-0001.json` | the machine | once: the job is done, or this attempt failed by its own fault |
| `cancel.json` | whoever wants it to stop | the machine leaves at once |
| `again/0002.json` | whoever wants a job that is over to begin again with that attempt | until it is claimed |
| `cluster/` | the machines of a job that has several (`cloud.cluster`) | they come, go, or begin together |

Attempts are counted: a machine whose attempt is not the newest writes nothing any more (`Job.require_newest`).
"""

import json
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import AwareDatetime, Field, ValidationError

from ml_training.cloud import storage
from ml_training.utils.errors import JobError, ObjectExists, ObjectNotFound, Superseded
from ml_training.utils.records import Record

SPEC_VERSION = 1
Kind = TypeVar("Kind", bound=Record)
Market = Literal["spot", "on-demand"]
Cause = Literal[
    "done", "failed", "interrupted", "lost", "capacity", "cancelled", "deadline", "budget", "idle", "unreachable"
]


class Archive(Record):
    """Something that a machine fetches, pinned by what it holds."""

    uri: str
    sha256: str


class JobSpec(Record):
    """What to run, and when to stop at the latest. Options are those of the command, as in ``ADBREAK_SPEC``."""

    version: int = SPEC_VERSION
    module: str
    options: dict[str, Any]
    code: Archive
    lock: Archive
    image: str | None = None  # a trainer image, instead of an environment made from the lock file
    environment: dict[str, str] = Field(
        default_factory=dict
    )  # addresses, never secrets: those come from the machine's role
    labels: dict[str, str] = Field(default_factory=dict)  # dag, dag_run, task, map_index, owner: become tags
    gpus: int = Field(default=1, ge=0)
    machines: int = Field(default=1, ge=1)
    leader: str | None = None  # of another machine's job: the address of the first machine's
    index: int = Field(default=0, ge=0)  # of this machine among them; 0 is the first
    deadline_seconds: float = Field(gt=0)  # of one attempt, from its launch
    budget_usd: float = Field(gt=0)  # of all attempts together, of this machine
    idle_seconds: float = Field(default=1800, gt=0)  # without a sign of progress
    unreachable_seconds: float = Field(default=1800, gt=0)  # without an answer from the bucket
    heartbeat_seconds: float = Field(default=15, gt=0)
    simulated: bool = False


class Offer(Record):
    """A place where a machine may be had, at the price of the moment when it was looked up."""

    instance_type: str
    zone: str
    subnet: str
    usd_per_hour: float = Field(gt=0)


class Attempt(Record):
    """One machine's turn at a job, as the launcher wrote it down before it asked for the machine.

    All that the request depends on stands here, so that whoever repeats it asks for the same. ``first`` is the attempt
    that somebody began; those behind it replace machines that were lost. ``code``, ``lock`` and ``budget_usd`` are the
    spec's unless the job was begun again with others.
    """

    number: int = Field(ge=1)
    client_token: str
    created_at: AwareDatetime
    deadline_at: AwareDatetime
    market: Market = "spot"
    first: int = Field(default=1, ge=1)
    offers: list[Offer] = Field(default_factory=list)
    code: Archive | None = None
    lock: Archive | None = None
    budget_usd: float | None = None

    def applied_to(self, spec: JobSpec) -> JobSpec:
        """Return the spec as it holds for this attempt."""
        return spec.model_copy(
            update={
                "code": self.code or spec.code,
                "lock": self.lock or spec.lock,
                "budget_usd": self.budget_usd or spec.budget_usd,
                "deadline_seconds": (self.deadline_at - self.created_at).total_seconds(),
            }
        )

    def price(self, instance_type: str | None, zone: str | None) -> float | None:
        """Return the USD an hour of a machine; that of the dearest offer where type and zone are none of them."""
        prices = {(offer.instance_type, offer.zone): offer.usd_per_hour for offer in self.offers}
        return prices.get((instance_type or "", zone or ""), max(prices.values(), default=None))


class Launch(Record):
    """The machine that an attempt got."""

    attempt: int
    instance_id: str
    instance_type: str
    zone: str
    market: Market
    usd_per_hour: float | None
    at: AwareDatetime


class Heartbeat(Record):
    """A sign of life. ``progress`` is what the training said last; ``gpu`` is absent where there is none."""

    attempt: int
    instance_id: str
    at: AwareDatetime
    state: Literal["starting", "training", "leaving"]
    progress: dict[str, Any] = Field(default_factory=dict)
    gpu: dict[str, float] | None = None


class Ending(Record):
    """How an attempt ended. ``usd`` is the price of its seconds, an estimate until the bill comes."""

    attempt: int
    instance_id: str | None
    cause: Cause
    message: str = ""
    ended_at: AwareDatetime
    seconds: float = Field(ge=0)
    usd: float | None = None
    instance_type: str | None = None
    market: Market | None = None
    zone: str | None = None


class Result(Record):
    """How a job ended: what the command printed, or why there is nothing."""

    attempt: int
    cause: Cause
    message: str = ""
    ended_at: AwareDatetime
    output: dict[str, Any] = Field(default_factory=dict)


class Cancellation(Record):
    """Somebody wants an attempt, and all before it, to leave."""

    attempt: int
    reason: str
    at: AwareDatetime


class Again(Record):
    """Somebody wants a job that failed, was cancelled or given up to begin again, with this code and these limits."""

    code: Archive
    lock: Archive
    budget_usd: float = Field(gt=0)
    deadline_seconds: float = Field(gt=0)


class Job:
    """One job's folder in the bucket (or a folder with the same layout)."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    @property
    def job_id(self) -> str:
        """The last part of its address."""
        return self.uri.rsplit("/", 1)[1]

    def at(self, *parts: str) -> str:
        """Return the address of something in the folder."""
        return storage.join(self.uri, *parts)

    def create(self, spec: JobSpec) -> None:
        """Write the spec. Raises JobError when the job has another one."""
        if not _write_once(self.at("spec.json"), spec) and self.spec() != spec:
            raise JobError(f"{self.uri} is another job already: its spec.json differs; choose another name")

    def spec(self) -> JobSpec:
        """Return the spec. Raises JobError when there is none, or one that this version cannot read."""
        try:
            content = storage.read_json(self.at("spec.json"))
        except ObjectNotFound as error:
            raise JobError(f"there is no job at {self.uri}") from error
        version = content.get("version") if isinstance(content, dict) else None
        if version != SPEC_VERSION:
            raise JobError(
                f"{self.at('spec.json')} has version {version}, this code reads version {SPEC_VERSION}: start the job "
                "again with the code that runs on the machine"
            )
        return _parse(JobSpec, content, self.at("spec.json"))

    def claim(self, attempt: Attempt) -> bool:
        """Write an attempt down; False when somebody else has that number."""
        return _write_once(self._numbered("attempts", attempt.number), attempt)

    def attempts(self) -> list[Attempt]:
        """Return all attempts, oldest first."""
        return [
            _parse(Attempt, storage.read_json(found.uri), found.uri)
            for found in storage.list_objects(self.at("attempts") + "/")
        ]

    def require_newest(self, number: int) -> None:
        """Raise Superseded when a later attempt was begun: what this one writes counts no more."""
        if storage.exists(self._numbered("attempts", number + 1)):
            raise Superseded(f"attempt {number} of {self.uri} was replaced by a later one")

    def launched(self, launch: Launch) -> bool:
        """Write down which machine an attempt got; False when another one is written there."""
        return _write_once(self._numbered("launched", launch.attempt), launch)

    def launch(self, number: int) -> Launch | None:
        """Return the machine that an attempt got, None while that is not known."""
        return _read(Launch, self._numbered("launched", number))

    def beat(self, heartbeat: Heartbeat) -> None:
        """Write a sign of life. Raises Superseded."""
        self.require_newest(heartbeat.attempt)
        storage.write_bytes(self.at("heartbeat.json"), heartbeat.model_dump_json().encode())

    def heartbeat(self) -> Heartbeat | None:
        """Return the newest sign of life."""
        return _read(Heartbeat, self.at("heartbeat.json"))

    def end(self, ending: Ending) -> bool:
        """Write down how an attempt ended; False when that is written already: the first word counts."""
        return _write_once(self._numbered("ended", ending.attempt), ending)

    def ending(self, number: int) -> Ending | None:
        """Return how an attempt ended, None while it has not."""
        return _read(Ending, self._numbered("ended", number))

    def finish(self, result: Result) -> bool:
        """Write ``done.json`` or ``failed.json``; False when the job has ended already. Raises Superseded."""
        self.require_newest(result.attempt)
        name = "done.json" if result.cause == "done" else f"failed-{result.attempt:04d}.json"
        return _write_once(self.at(name), result)

    def result(self, attempt: int | None = None) -> Result | None:
        """Return how the job ended: it is done, or its newest (or this) attempt failed; None while it has not."""
        if done := _read(Result, self.at("done.json")):
            return done
        number = attempt if attempt is not None else max((a.number for a in self.attempts()), default=0)
        return _read(Result, self.at(f"failed-{number:04d}.json"))

    def cancel(self, attempt: int, reason: str, now: datetime) -> None:
        """Ask the machine of an attempt, and of every one before it, to leave."""
        cancellation = Cancellation(attempt=attempt, reason=reason, at=now)
        storage.write_bytes(self.at("cancel.json"), cancellation.model_dump_json().encode())

    def cancellation(self, attempt: int) -> Cancellation | None:
        """Return who asked an attempt to leave and when, None when nobody did."""
        found = _read(Cancellation, self.at("cancel.json"))
        return found if found and attempt <= found.attempt else None

    def begin_again(self, number: int, again: Again) -> None:
        """Ask for attempt ``number`` of a job that is over; until it is claimed, the last word counts."""
        storage.write_bytes(self._numbered("again", number), again.model_dump_json().encode())

    def begun_again(self, number: int) -> Again | None:
        """Return what attempt ``number`` is to begin with, None when nobody asked for it."""
        return _read(Again, self._numbered("again", number))

    def cancelled(self, attempt: int) -> str | None:
        """Return why an attempt is to leave, None when it is not."""
        found = self.cancellation(attempt)
        return found.reason if found else None

    def add_log(self, attempt: int, piece: int, data: bytes) -> None:
        """Store a piece of an attempt's log; pieces are counted from 1."""
        storage.write_bytes(self.at("logs", f"{attempt:04d}", f"{piece:06d}.log"), data)

    def read_log(self, attempt: int, after: int = 0) -> tuple[bytes, int]:
        """Return an attempt's log behind piece ``after``, and the number of its last piece."""
        last, pieces = after, []
        for found in storage.list_objects(self.at("logs", f"{attempt:04d}") + "/"):
            number = int(found.uri.rsplit("/", 1)[1].partition(".")[0])
            if number > after:
                pieces.append(storage.read_bytes(found.uri))
                last = number
        return b"".join(pieces), last

    def _numbered(self, folder: str, number: int) -> str:
        return self.at(folder, f"{number:04d}.json")


def _write_once(uri: str, record: Record) -> bool:
    """Write a record where none is; True also when exactly this one is there (an answer that was lost)."""
    data = json.dumps(record.model_dump(mode="json"), sort_keys=True, indent=1).encode()
    try:
        storage.write_bytes(uri, data, if_absent=True)
    except ObjectExists:
        return storage.read_bytes(uri) == data
    return True


def _read(kind: type[Kind], uri: str) -> Kind | None:
    try:
        return _parse(kind, storage.read_json(uri), uri)
    except ObjectNotFound:
        return None


def _parse(kind: type[Kind], content: Any, uri: str) -> Kind:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise JobError(f"{uri} is not what it should be: {error}") from error
