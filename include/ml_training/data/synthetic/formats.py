"""In what form a channel sends: frame rate, codec, container; and which frame shows a moment of the plan first.

    FORMATS[1].frame_of(tick=25)       # 60: two seconds at 29.97 frames a second begin with frame 60

Plans count ticks of 1/12.5 s, whatever the channel's frame rate. A frame shows the newest tick that has begun, so that
what begins with a tick is first seen in the first frame at or after it; labels are the times of those frames.
"""

from dataclasses import dataclass
from fractions import Fraction

TICKS_PER_SECOND = 12.5
NTSC = Fraction(30_000, 1001)


@dataclass(frozen=True)
class Format:
    """A frame rate, a codec (h264 or mpeg2video) and a container (ts, mp4, mkv).

    ``variable`` leaves out part of the frames that repeat the one before and puts the others off by milliseconds.
    """

    frame_rate: Fraction = Fraction(25)
    codec: str = "h264"
    container: str = "ts"
    variable: bool = False

    def frame_of(self, tick: int) -> int:
        """Return the number of the first frame at or after the start of ``tick``."""
        return -(-2 * tick * self.frame_rate.numerator // (25 * self.frame_rate.denominator))

    def seconds_of(self, frame: int) -> float:
        """Return when a frame is shown, in seconds after the first."""
        return frame * self.frame_rate.denominator / self.frame_rate.numerator


FORMATS = (
    Format(),
    Format(NTSC, "h264", "mp4"),
    Format(Fraction(25), "mpeg2video", "ts"),
    Format(Fraction(50), "h264", "ts"),
    Format(Fraction(25), "h264", "mkv"),
    Format(),
    Format(Fraction(25), "h264", "mp4", variable=True),
    Format(NTSC, "mpeg2video", "ts"),
    Format(),
    Format(Fraction(25), "mpeg2video", "mkv"),
)
SUFFIXES = tuple(sorted({f".{form.container}" for form in FORMATS}))
