"""Media time: seconds of presentation time since the first decodable video frame.

    clock = MediaClock(time_base=Fraction(1, 90000), frame_seconds=0.04)
    seconds = clock.advance(frame.pts, frame.duration)   # 0.0 for the first; None for one out of order

Timestamps are the stream's own. A 33-bit MPEG-TS counter that wraps, and one that is reset by a splice, are added on:
media time never runs backwards; gaps stay what they are and are recorded.
"""

from fractions import Fraction
from typing import NamedTuple

WRAP_TICKS = 2**33  # the MPEG-TS counter: 26.5 hours at 90 kHz
RESET_SECONDS = 1.0  # a step back by more is a new counter; a smaller one is a frame out of order
GAP_FRAMES = 2  # a step of more than so many frame durations is a gap
ROUNDING_SECONDS = 1e-4  # two frames of 1/90000 s rounding are no gap
TIME_TOLERANCE = 1e-6  # seconds; far below one tick of 1/90000 s: a float's rounding, not a frame's


class Gap(NamedTuple):
    """A stretch without frames: from the last frame before it to the first one after."""

    at_seconds: float
    length_seconds: float


def target_number(seconds: float, frames_per_second: float) -> int:
    """Return the number k of the last target time k / frames_per_second at or before a media time."""
    return int((seconds + TIME_TOLERANCE) * frames_per_second)


class MediaClock:
    """Turns the timestamps of decoded frames, in order of presentation, into media time.

    ``gaps`` and ``resets`` are what it met; ``end_seconds`` is where the newest frame ends.
    """

    def __init__(self, time_base: Fraction, frame_seconds: float) -> None:
        self.time_base = time_base
        self.frame_seconds = frame_seconds
        self.first_ticks: int | None = None
        self.gaps: list[Gap] = []
        self.resets = 0
        self._offset_ticks = self._offset_before = 0
        self._last_ticks = 0
        self._last_seconds = 0.0
        self._last_duration = frame_seconds

    @property
    def end_seconds(self) -> float:
        """Where the newest frame ends: its time and its duration."""
        return self._last_seconds + self._last_duration if self.first_ticks is not None else 0.0

    def advance(self, pts: int, duration_ticks: int | None = None) -> float | None:
        """Return the media time of a frame in seconds, or None when it lies before the newest one.

        ``duration_ticks`` is the frame's own duration where the container says it.
        """
        duration = float(duration_ticks * self.time_base) if duration_ticks else self.frame_seconds
        if self.first_ticks is None:
            self.first_ticks = self._last_ticks = pts
            self._last_duration = duration
            return 0.0
        ticks = self._monotonic(pts)
        if ticks <= self._last_ticks:
            return None
        seconds = float((ticks - self.first_ticks) * self.time_base)
        self._note_gap(seconds)
        self._last_ticks, self._last_seconds, self._last_duration = ticks, seconds, duration
        return seconds

    def seconds_of(self, timestamp: Fraction) -> float:
        """Return the media time of another stream's timestamp (in seconds of the container), near the newest frame.

        Around a wrap or a reset, streams change their counter one after the other: the nearer of both readings holds.
        """
        readings = (
            float(timestamp - ((self.first_ticks or 0) - offset) * self.time_base)
            for offset in (self._offset_ticks, self._offset_before)
        )
        return min(readings, key=lambda seconds: abs(seconds - self._last_seconds))

    def _monotonic(self, pts: int) -> int:
        ticks = pts + self._offset_ticks
        step_back = float((self._last_ticks - ticks) * self.time_base)
        if step_back <= RESET_SECONDS:
            return ticks
        if self._last_ticks - ticks > WRAP_TICKS // 2:
            self._offset_before = self._offset_ticks
            self._offset_ticks += WRAP_TICKS
            return pts + self._offset_ticks
        self.resets += 1
        self._offset_before = self._offset_ticks
        self._offset_ticks = self._last_ticks + round(self.frame_seconds / self.time_base) - pts
        return pts + self._offset_ticks

    def _note_gap(self, seconds: float) -> None:
        length = seconds - self._last_seconds
        if length > GAP_FRAMES * max(self.frame_seconds, self._last_duration) + ROUNDING_SECONDS:
            self.gaps.append(Gap(round(self._last_seconds, 6), round(length, 6)))
