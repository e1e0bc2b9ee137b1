"""The sound around a frame as a model hears it: the MFCC of a clip, scaled.

    sound = hear(stretch, stretch.pts_seconds[0:32], seconds=(-5.0, 5.0), bands=40)      # float32 [32, 998, 40]

Clips of neighbouring frames share most of their sound, so its MFCC is computed once for all of them, on a grid of 10 ms
from the start of the recording: a clip begins at most 5 ms beside its second. What a frame hears does not depend on
which frames it is read with.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.inference.mfcc import HOP, SAMPLE_RATE, WINDOW, mfcc
from ml_training.inference.stretch import Stretch

Floats = npt.NDArray[np.float32]

HOP_SECONDS = HOP / SAMPLE_RATE
MIDDLE_DB, UNIT_DB = -55.0, 20.0  # of a band: silence (-100 dB) and full loudness lie about 2 units to either side
LIMIT = 4.0  # in units: bounds what a quantized input has to hold
SOUND_NAME = "mfcc-16k-25ms-10ms, scaled by inference.sound.scale_mfcc"


def clip_windows(seconds: float) -> int:
    """Return the number of MFCC windows of a clip: 998 for ten seconds."""
    return 1 + (round(seconds * SAMPLE_RATE) - WINDOW) // HOP


def scale_mfcc(coefficients: npt.NDArray[Any]) -> Floats:
    """Scale MFCC [..., bands] so that all coefficients spread alike (by 0.2 to 0.4 in broadcasts), within -4..4.

    The first one is the level: sqrt(bands) times the mean of the bands in dB. The others spread the less the finer the
    shape of the spectrum is that they describe.
    """
    bands = coefficients.shape[-1]
    spread = UNIT_DB * np.sqrt(bands) / (1.0 + np.arange(bands)) ** 0.75
    centre = np.zeros(bands)
    centre[0] = MIDDLE_DB * np.sqrt(bands)
    return np.clip((coefficients - centre) / spread, -LIMIT, LIMIT).astype(np.float32)


def sound_inputs(
    stretch: Stretch, pts_seconds: npt.NDArray[np.float64], *, seconds: tuple[float, float] | None, bands: int | None
) -> dict[str, Floats]:
    """Return a head's inputs ``sound`` [n, windows, bands] and ``has_sound`` [n, 1]; none for one that hears nothing.

    ``seconds`` and ``bands`` as for ``hear``.
    """
    if seconds is None or bands is None:
        return {}
    sound = hear(stretch, pts_seconds, seconds=seconds, bands=bands)
    flags = np.full((len(pts_seconds), 1), 0.0 if sound is None else 1.0, np.float32)
    if sound is None:
        sound = np.zeros((len(pts_seconds), clip_windows(seconds[1] - seconds[0]), bands), np.float32)
    return {"sound": sound, "has_sound": flags}


def hear(
    stretch: Stretch, pts_seconds: npt.NDArray[np.float64], *, seconds: tuple[float, float], bands: int
) -> Floats | None:
    """Return the scaled MFCC of the clips around frames, float32 [n, windows, bands]; None where there is no sound.

    ``seconds`` are the start and the end of a clip, counted from its frame.
    """
    if stretch.sound is None:
        return None
    begins = np.rint((pts_seconds + seconds[0]) / HOP_SECONDS).astype(int)
    windows = clip_windows(seconds[1] - seconds[0])
    first, end = int(begins.min()), int(begins.max()) + windows
    whole = mfcc(stretch.sound(first * HOP_SECONDS, (end - 1) * HOP_SECONDS + WINDOW / SAMPLE_RATE), bands)
    scaled = scale_mfcc(whole)
    return np.stack([scaled[begin - first : begin - first + windows] for begin in begins])
