"""Timecode of editing programs, hours:minutes:seconds:frames, with the numbers that drop-frame leaves out.

    rate = edit_rate(30_000 / 1001)              # EditRate(frames_per_second=29.97..., counted=30, drop=True)
    timecode(17982, rate)                        # '00:10:00;00': ten minutes

Drop-frame timecode counts 30 a second and leaves out the numbers 0 and 1 of each minute but not of each tenth, so that
it shows the time of day at 29.97 frames a second (SMPTE ST 12-1).
"""

from typing import NamedTuple

NTSC_RATE = 30_000 / 1001
NTSC_MULTIPLES = (1, 2, 4)  # 29.97, 59.94 and 119.88 frames a second are all counted at 29.97
RATE_TOLERANCE = 0.005  # 29.97 is written for 30000/1001, and 30 is no drop-frame rate
MOST_COUNTED = 60  # two digits of frames; what is faster counts every second frame
DROPPED, FRAMES_OF_MINUTE, FRAMES_OF_TEN_MINUTES = 2, 1798, 17982


class EditRate(NamedTuple):
    """At which rate timecode counts: frames a second, the whole number that a second has, and whether it drops."""

    frames_per_second: float
    counted: int
    drop: bool


def edit_rate(frame_rate: float) -> EditRate:
    """Return how timecode counts a recording of ``frame_rate`` frames a second."""
    if any(abs(frame_rate / times - NTSC_RATE) < RATE_TOLERANCE for times in NTSC_MULTIPLES):
        return EditRate(NTSC_RATE, 30, drop=True)
    while round(frame_rate) > MOST_COUNTED:
        frame_rate /= 2
    return EditRate(frame_rate, max(1, round(frame_rate)), drop=False)


def timecode(frame: int, rate: EditRate) -> str:
    """Return the timecode of the ``frame``-th frame, from 0; drop-frame has a semicolon before the frames."""
    if rate.drop:
        tens, rest = divmod(frame, FRAMES_OF_TEN_MINUTES)
        minutes = (rest - DROPPED) // FRAMES_OF_MINUTE if rest >= DROPPED else 0
        frame += DROPPED * (9 * tens + minutes)
    seconds, frames = divmod(frame, rate.counted)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{clock}{';' if rate.drop else ':'}{frames:02d}"
