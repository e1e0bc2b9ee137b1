"""How far the values of a feature have moved: the population stability index of two histograms.

    index = stability_index(now=[10, 40, 50], before=[30, 40, 30])            # 0.29
    by_chance(bins=3, recordings=40, recordings_before=30)                    # 0.12

The index is sum((p - q) ln(p / q)) over bins, 0 for equal shares; 0.1 is commonly called small and 0.25 large (Siddiqi,
Credit Risk Scorecards, 2006). A shift of a normal feature by one standard deviation gives 1.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SMALLEST_SHARE = 1e-4  # of a bin that one of the two lacks: the index stays finite
GROUPS = 10  # deciles of what was before

Counts = npt.NDArray[np.int64]


def stability_index(now: Sequence[int] | Counts, before: Sequence[int] | Counts) -> float:
    """Return the population stability index of two counts over the same bins; NaN where one of them has nothing."""
    shares = [np.asarray(counts, np.float64) for counts in (now, before)]
    if not all(counts.sum() > 0 for counts in shares):
        return float("nan")
    p, q = (np.maximum(counts / counts.sum(), SMALLEST_SHARE) for counts in shares)
    return float(np.sum((p - q) * np.log(p / q)))


def by_chance(*, bins: int, recordings: int, recordings_before: int) -> float:
    """Return the index to expect where nothing moved: (bins - 1)(1/n + 1/m) for n and m independent observations.

    Frames of one recording resemble each other, so a recording counts as one observation: an upper estimate. Source:
    Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation
    14(4), 2020.
    """
    return max(bins - 1, 0) * (1 / max(recordings, 1) + 1 / max(recordings_before, 1))


def decile_groups(before: Sequence[int] | Counts) -> npt.NDArray[np.int64]:
    """Return for each bin the number of its group, such that groups hold about a tenth of ``before`` each."""
    counts = np.asarray(before, np.float64)
    total = counts.sum()
    middle = (np.cumsum(counts) - counts / 2) / total if total > 0 else np.zeros(len(counts))
    groups = np.minimum((middle * GROUPS).astype(np.int64), GROUPS - 1)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def grouped(counts: Sequence[int] | Counts, groups: npt.NDArray[np.int64]) -> Counts:
    """Return the counts of each group."""
    return np.bincount(groups, weights=np.asarray(counts, np.float64)).astype(np.int64)
