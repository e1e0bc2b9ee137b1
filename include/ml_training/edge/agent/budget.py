"""How many bytes a device may still send and receive today, and how fast: links are metered and shared.

    budget = Budget(home.budget_file, "download", limit_bytes=100_000_000, clock=clock)
    budget.spend(4096)                                # DeliveryUnreachable: the day's bytes are used up
    limiter = RateLimiter(1_000_000)
    limiter.wait_for(4096)

What is spent is on the disk before the bytes flow, in blocks: a process that is killed never forgets any, and counts a
block too much at most. A day is one of UTC.
"""

import json
import time
from pathlib import Path

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import write_atomically
from ml_training.utils.errors import DeliveryUnreachable

BLOCK_BYTES = 65_536


class Budget:
    """The bytes of one direction, ``download`` or ``upload``. Give the rest of a block back with ``close``."""

    def __init__(self, file: Path, direction: str, *, limit_bytes: int, clock: Clock) -> None:
        self._file, self._direction, self._limit, self._clock = file, direction, limit_bytes, clock
        self._credit = 0

    def left(self) -> int:
        """Return the bytes that may still flow today."""
        return max(0, self._limit - self.spent()) + self._credit

    def spent(self) -> int:
        """Return the bytes of today, with what is reserved."""
        return int(self._read().get(self._direction, 0))

    def spend(self, count: int) -> None:
        """Count bytes that are about to flow. Raises DeliveryUnreachable when the day has no more."""
        if count > self.left():
            raise DeliveryUnreachable(
                f"the {self._direction} budget of {self._limit} bytes for {self._day()} is used up: it goes on tomorrow"
            )
        if count > self._credit:
            block = max(count - self._credit, min(BLOCK_BYTES, self.left() - self._credit))
            self._add(block)
            self._credit += block
        self._credit -= count

    def close(self) -> None:
        """Give back what was reserved and not spent."""
        if self._credit:
            self._add(-self._credit)
            self._credit = 0

    def _add(self, count: int) -> None:
        content = self._read()
        content[self._direction] = max(0, int(content.get(self._direction, 0)) + count)
        write_atomically(self._file, (json.dumps(content) + "\n").encode())

    def _read(self) -> dict[str, int | str]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            if content["day"] == self._day():
                return {name: value if name == "day" else int(value) for name, value in content.items()}
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            pass  # a damaged file is as good as none
        return {"day": self._day()}

    def _day(self) -> str:
        return self._clock.now().date().isoformat()


class RateLimiter:
    """Keeps a download below so many bytes a second, on average; a second's worth may come at once."""

    def __init__(self, bytes_per_second: int | None) -> None:
        self._rate = bytes_per_second
        self._free_at = time.monotonic()

    def wait_for(self, count: int) -> None:
        """Wait until ``count`` more bytes may flow."""
        if self._rate is None:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now - 1.0) + count / self._rate
        if self._free_at > now:
            time.sleep(self._free_at - now)
