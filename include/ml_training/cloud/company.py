"""What a supervisor has to do with the other machines of its job: of a job's only machine, nothing.

    company.come()                                  # ready for a round
    turn = company.called()                         # a Round once all are ready, None before
    company.broken(turn)                            # why it is over, None while it goes on

``cloud.cluster`` is the company of several machines.
"""

from typing import NamedTuple, Protocol

from ml_training.cloud.jobs import Cause
from ml_training.utils.records import Record


class Seat(Record):
    """Which attempt of a machine's job is in a round, and where it is heard."""

    attempt: int
    address: str


class Round(Record):
    """All machines that work together, the first one first; none where a job has one machine."""

    number: int
    seats: list[Seat]

    def attempts(self) -> list[int]:
        """Return which attempt of each machine takes part."""
        return [seat.attempt for seat in self.seats]


class Verdict(NamedTuple):
    """Another machine has ended for good, and so the job."""

    cause: Cause
    message: str


class Company(Protocol):
    """What a supervisor has to do with the other machines."""

    is_first: bool  # its machine is
    machines: int

    def start(self, heartbeat_seconds: float) -> None:
        """Begin to speak."""

    def stop(self) -> None:
        """Say no more."""

    def come(self) -> None:
        """Be ready for the next round."""

    def called(self) -> Round | None:
        """Return the round that begins now, None while others are missing."""

    def environment(self, turn: Round) -> dict[str, str]:
        """Return what the trainer has to know of a round."""

    def broken(self, turn: Round) -> str | None:
        """Say why a round is over, None while it goes on."""

    def verdict(self) -> Verdict | None:
        """Return how the job has ended where another machine says so."""

    def missing(self) -> list[int]:
        """Return the numbers of the machines, from 1, that are not ready for a new round."""

    def leave(self, message: str) -> None:
        """Say that this machine leaves."""

    def end(self, cause: Cause, message: str) -> None:
        """Say how it ended, now. Raises StorageError."""


class Alone:
    """The company of a job's only machine."""

    is_first, machines = True, 1

    def start(self, heartbeat_seconds: float) -> None: ...
    def stop(self) -> None: ...
    def come(self) -> None: ...
    def leave(self, message: str) -> None: ...
    def end(self, cause: Cause, message: str) -> None: ...

    def called(self) -> Round | None:
        return Round(number=1, seats=[])

    def environment(self, turn: Round) -> dict[str, str]:
        return {}

    def broken(self, turn: Round) -> str | None:
        return None

    def verdict(self) -> Verdict | None:
        return None

    def missing(self) -> list[int]:
        return []
