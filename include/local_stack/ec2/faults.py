"""What goes wrong with the simulated EC2, on demand.

    faults.add(Fault("lose_answer", action="CreateFleet"))      # the machine is there, the caller never hears of it
    faults.add(Fault("throttle", times=3))                      # RequestLimitExceeded for the next three requests
    faults.add(Fault("throttle", action="Describe", seconds=2)) # and for two seconds, however often one asks

An action is a prefix of the API's own name, so ``Describe`` is every look and the empty one is everything.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["lose_answer", "lose_request", "throttle", "error", "hang", "deny"]
CODES = {  # kind: code, status, message
    "throttle": ("RequestLimitExceeded", 503, "Request limit exceeded."),
    "error": ("InternalError", 500, "An internal error has occurred"),
    "deny": ("UnauthorizedOperation", 403, "You are not authorized to perform this operation."),
}


@dataclass
class Fault:
    """One thing that goes wrong with the next ``times`` requests, or with all of the next ``seconds``.

    ``hang`` keeps the caller waiting ``hang_seconds``, then goes on as if nothing had been.
    """

    kind: Kind
    action: str = ""
    times: int = 1
    seconds: float | None = None
    hang_seconds: float = 5.0
    code: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown fault {self.kind!r}: expected one of {', '.join(get_args(Kind))}")
        self.until = None if self.seconds is None else time.monotonic() + self.seconds

    def over(self) -> bool:
        """Tell whether it has happened as often, or as long, as it should."""
        return time.monotonic() > self.until if self.until is not None else self.times <= 0

    def answer(self) -> tuple[str, int, str]:
        """Return the error's code, status and message."""
        code, status, message = CODES[self.kind]
        return self.code or code, status, message


@dataclass
class Faults:
    """The faults that are still to come, and how many have been."""

    _waiting: list[Fault] = field(default_factory=list)
    _happened: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        """Let something go wrong from now on."""
        with self._lock:
            self._waiting.append(fault)

    def lose_next_answer(self, action: str = "CreateFleet") -> None:
        """Do what the next request of this kind asks, and close its connection without a word."""
        self.add(Fault("lose_answer", action))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._waiting.clear()

    def take(self, action: str) -> Fault | None:
        """Return what goes wrong with this request, None for nothing."""
        with self._lock:
            self._waiting = [fault for fault in self._waiting if not fault.over()]
            found = next((fault for fault in self._waiting if action.startswith(fault.action)), None)
            if found is not None:
                found.times -= 1
                name = f"{found.kind} {action}"
                self._happened[name] = self._happened.get(name, 0) + 1
            return found

    def facts(self) -> Mapping[str, Any]:
        """Return what is still to come and how often what has been."""
        with self._lock:
            return {"waiting": [asdict(fault) for fault in self._waiting], "happened": dict(self._happened)}
