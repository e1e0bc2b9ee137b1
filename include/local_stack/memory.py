"""Measures the memory of the whole stack while it works.

    with MemoryMeter(place.tag) as meter: ...
    meter.peak_bytes

Shared pages are counted once (proportional set size) where the system tells, else pages of a process alone (unique set
size); the sum of resident sizes would count Airflow's forks several times.
"""

import threading
from types import TracebackType

import psutil

from local_stack.processes import tagged

EVERY_SECONDS = 2.0


class MemoryMeter:
    """Samples in a thread of its own."""

    def __init__(self, tag: str) -> None:
        self.peak_bytes = 0
        self._tag = tag
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory meter", daemon=True)

    def __enter__(self) -> "MemoryMeter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._end.is_set():
            processes = [psutil.Process(), *tagged(self._tag)]
            self.peak_bytes = max(self.peak_bytes, sum(memory_of(process) for process in processes))
            self._end.wait(EVERY_SECONDS)


def memory_of(process: psutil.Process) -> int:
    """Return the bytes of one process, 0 when it has gone."""
    try:
        facts = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(facts, "pss", 0) or facts.uss)
