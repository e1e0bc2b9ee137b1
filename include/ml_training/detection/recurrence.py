"""How often a picture comes back: programme returns to its sets and faces, a spot's pictures are its own.

    columns = recurrence(hashes_of(index["phash"].to_pylist()))       # float32 [T, 3], a hash a second

``coherence`` is how much what follows an edge looks like what came before it: nothing does where one item ends and
another begins (after Kender & Yeo, Video scene segmentation via continuous video coherence, CVPR 1998).
``recurs_near`` and ``recurs_far`` say how much of the time around a second, and minutes away, looks like it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml_training.detection.features import Floats

ALIKE_BITS = 14  # of 64 that two pictures of the same shot may differ in; unlike ones differ in 32
COHERENT_SECONDS = 8
NEAR_SECONDS, FAR_SECONDS = (8, 40), (40, 240)
ENOUGH = 6  # pictures that look alike: more say no more


def hashes_of(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return perceptual hashes of 16 hexadecimal digits as numbers, uint64 [N]."""
    return np.array([int(text, 16) if text else 0 for text in texts], np.uint64)


def recurrence(hashes: npt.NDArray[np.generic]) -> Floats:
    """Return coherence at the start of each second, and near and far recurrence of it, float32 [T, 3]."""
    seconds = len(hashes)
    crossing = np.zeros(seconds + 1)
    counts = {NEAR_SECONDS: np.zeros(seconds), FAR_SECONDS: np.zeros(seconds)}
    for lag in range(1, min(FAR_SECONDS[1], seconds - 1) + 1):
        alike = np.bitwise_count(hashes[lag:] ^ hashes[:-lag]) <= ALIKE_BITS  # type: ignore[operator]
        for (low, high), count in counts.items():
            if low <= lag < high:
                count[lag:] += alike
                count[:-lag] += alike
        if lag <= COHERENT_SECONDS:  # the pair looks alike over every edge between its two seconds
            places = np.flatnonzero(alike)
            np.add.at(crossing, places + 1, 1.0)
            np.add.at(crossing, places + lag + 1, -1.0)
    coherence = np.cumsum(crossing)[:seconds]
    columns = [np.log1p(coherence), *(np.minimum(count, ENOUGH) / ENOUGH for count in counts.values())]
    return np.stack(columns, axis=1).astype(np.float32)
