"""Which frames the window of a frame shows: the nearest in time to each of its offsets.

    places_near(pts_seconds, (-4.0, -3.0, -2.0, -1.0, 0.0))        # int64 [N, 5]

At the edges, and where frames are missing, the nearest frame stands in for one that the window would show.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def places_near(pts_seconds: npt.NDArray[np.float64], offsets_seconds: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return for each of N frames, at rising times, the frames of its window, int64 [N, T]; of two, the earlier."""
    if not len(pts_seconds):
        return np.zeros((0, len(offsets_seconds)), np.int64)
    wanted = pts_seconds[:, None] + np.asarray(offsets_seconds)
    after = np.clip(np.searchsorted(pts_seconds, wanted), 0, len(pts_seconds) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(wanted - pts_seconds[before]) <= np.abs(pts_seconds[after] - wanted)
    return np.where(nearer, before, after)
