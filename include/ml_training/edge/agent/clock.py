"""What time it is, and whether to believe it: a Pi without a network at boot lives in the past.

    clock = Clock()
    clock.check(known_over="2026-11-23T02:00:00+00:00")       # ClockWrong: this clock is before that

Expired metadata is only seen as expired by a clock that is right. A clock that stands before a time that is known to
be over (a signed document's, or the last good check's), or more than a day beside the server's, gets no updates.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ml_training.utils.errors import UpdateRefused

TOLERANCE = timedelta(days=1)  # between this clock and the server's
SLACK = timedelta(minutes=10)  # between this clock and a time that is over


class Clock:
    """The system's clock, ``offset_seconds`` beside it to rehearse a wrong one."""

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset = timedelta(seconds=offset_seconds)

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC) + self.offset

    def text(self) -> str:
        """Return the time as ISO 8601, to the second."""
        return self.now().isoformat(timespec="seconds")

    def check(self, *, known_over: str | None = None, server_date: str | None = None) -> None:
        """Raise UpdateRefused when this clock cannot be right.

        ``known_over``: an ISO time that is certainly over; ``server_date``: the header Date of an answer.
        """
        now = self.now()
        if known_over is not None and now < datetime.fromisoformat(known_over) - SLACK:
            raise UpdateRefused(
                f"the clock is wrong: it says {_minute(now)}, but {known_over[:16]} is known to be over; no update is "
                "taken before it is set",
                kind="clock",
            )
        served = _parsed(server_date)
        if served is not None and abs(served - now) > TOLERANCE:
            raise UpdateRefused(
                f"the clock is wrong, or the server's is: here it is {_minute(now)}, there {_minute(served)}; no "
                "update is taken before both agree to a day",
                kind="clock",
            )


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")[:16]


def _parsed(date: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
    return parsed if parsed is None or parsed.tzinfo else parsed.replace(tzinfo=UTC)
