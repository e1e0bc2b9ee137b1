"""How far a training is: pictures a second and the time left, in the log, every 15 seconds.

progress = Progress("upper", total=4_200)
progress.step(32)                     # upper: 1504 of 4200, 27 a second, 100 s left
"""

import logging
import time

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 15.0


class Progress:
    """Counts what is done of ``total``, and says so now and then. ``done`` was done before."""

    def __init__(self, name: str, total: int, *, done: int = 0, unit: str = "images") -> None:
        self._name, self._total, self._unit = name, total, unit
        self.done = self._before = done
        self._started = self._spoke = time.monotonic()

    def step(self, count: int) -> None:
        """Count ``count`` more."""
        now = time.monotonic()
        if self.done == self._before:  # building a graph may have taken longer than all that follows
            logger.info("%s: first batch after %.0f s", self._name, now - self._started)
        self.done += count
        if now - self._spoke >= PROGRESS_SECONDS:
            self._spoke = now
            left = (self._total - self.done) / max(self.rate, 1e-9)
            counted = f"{self.done} of {self._total} {self._unit}"
            logger.info("%s: %s, %.0f a second, %.0f s left", self._name, counted, self.rate, left)

    @property
    def rate(self) -> float:
        """How many a second since it began to count."""
        return (self.done - self._before) / max(time.monotonic() - self._started, 1e-9)
