"""A stretch of a recording as models see it: its frames in order of time, and its sound.

    stretch = Stretch(pts_seconds, read_images, read_sound)
    images = stretch.images(0, 64)                    # uint8 [64, 224, 224, 3]
    sound = stretch.sound(10.0, 20.0)                 # int16 [160000], or None where the recording has none

Pictures and sound are read when they are asked for, so that a recording of hours takes no more memory than a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Sound = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Stretch:
    """N frames about a second apart, and what reads them."""

    pts_seconds: npt.NDArray[np.float64]  # [N], rising
    images: Callable[[int, int], Images]  # frames start..end as uint8 [n, 224, 224, 3], RGB
    sound: Callable[[float, float], Sound] | None = None  # seconds -> 16 kHz mono; zeros outside the recording

    def __len__(self) -> int:
        return len(self.pts_seconds)


def stretch_of(images: Images, pts_seconds: Any = None, sound: Sound | None = None, *, rate: int = 16_000) -> Stretch:
    """Return arrays in memory as a stretch: ``images`` [N, H, W, 3], one a second unless times are given."""
    times = np.arange(len(images), dtype=np.float64) if pts_seconds is None else np.asarray(pts_seconds, np.float64)

    def cut(start: float, end: float) -> Sound:
        length, first = round((end - start) * rate), round(start * rate)
        taken = np.zeros(length, np.int16)
        low, high = max(first, 0), min(first + length, len(whole))
        if high > low:
            taken[low - first : high - first] = whole[low:high]
        return taken

    if sound is None:
        return Stretch(times, lambda start, end: images[start:end])
    whole = sound
    return Stretch(times, lambda start, end: images[start:end], cut)
