"""Average precision and calibration error with their intervals: figures of scores, not of right and wrong.

    table = ScoreTable.of(recording_ids, labels, scores)
    average_precision_interval(table), calibration_interval(table)
    paired_score_difference(table, other, "average_precision")

Scores of each recording are counted in bins, so that a draw of recordings is a sum of histograms. The point estimates
are exact; the draws see scores rounded to at most 512 steps, which hold the same number of frames each.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.statistics.intervals import draw_weights, interval_of, number_recordings, sum_interval
from ml_training.utils.metrics import CALIBRATION_BINS, average_precision, calibration, score_bins
from ml_training.utils.records import Interval

STEPS = 512

Array = npt.NDArray[Any]


class ScoreTable(NamedTuple):
    """Histograms of the scores of R recordings, and both figures over all frames."""

    recordings: list[str]
    ranked: Array  # float64 [R, 2 * S]: content, then ads, at each step from the lowest score to the highest
    binned: Array  # float64 [R, 2 * B]: the sum of score minus label, then of frames, in each calibration bin
    average_precision: float
    calibration_error: float

    @classmethod
    def of(cls, recording_ids: Array, labels: Array, scores: Array) -> "ScoreTable":
        """Count ``scores`` (0 to 1) [N] and ``labels`` (0 or 1) [N] of each recording."""
        names, owners = number_recordings(recording_ids)
        ads = (np.asarray(labels) == 1).astype(np.int64)
        steps = _steps(scores)
        places = score_bins(scores)
        return cls(
            recordings=names,
            ranked=_count(owners, ads * STEPS + steps, (len(names), 2 * STEPS)),
            binned=np.concatenate(
                [
                    _count(owners, places, (len(names), CALIBRATION_BINS), np.asarray(scores, float) - ads),
                    _count(owners, places, (len(names), CALIBRATION_BINS)),
                ],
                axis=1,
            ),
            average_precision=average_precision(labels, scores),
            calibration_error=calibration(labels, scores).error,
        )


def average_precision_interval(table: ScoreTable) -> Interval:
    """Return the area below the precision-recall curve with its interval."""
    return sum_interval(table.ranked, _average_precision, value=table.average_precision)


def calibration_interval(table: ScoreTable) -> Interval:
    """Return the expected calibration error with its interval; drawn recordings raise it a little, never lower it."""
    return sum_interval(table.binned, _calibration_error, value=table.calibration_error)


def score_intervals(table: ScoreTable) -> dict[str, Interval]:
    """Return both figures by name."""
    return {
        "average_precision": average_precision_interval(table),
        "calibration_error": calibration_interval(table),
    }


def paired_score_difference(first: ScoreTable, second: ScoreTable, metric: str, *, seed: int = 0) -> Interval:
    """Return a figure of ``first`` minus that of ``second`` on the same recordings, drawn together.

    Raises ValueError when the two speak of different recordings.
    """
    if first.recordings != second.recordings:
        raise ValueError("a paired difference needs the same recordings on both sides")
    statistic, field = _STATISTICS[metric]
    weights = draw_weights(len(first.recordings), seed)
    draws = [statistic(weights @ getattr(table, field)) for table in (first, second)]
    value = getattr(first, metric) - getattr(second, metric)
    return interval_of(float(value), draws[0] - draws[1], len(first.recordings))


def _average_precision(sums: Array) -> Array:
    """Return the area for histograms [..., 2 * S]."""
    content, ads = sums[..., :STEPS][..., ::-1], sums[..., STEPS:][..., ::-1]
    hits = np.cumsum(ads, axis=-1)
    called = hits + np.cumsum(content, axis=-1)
    gained = ads / np.maximum(1.0, hits[..., -1:])
    return np.asarray(np.sum(gained * hits / np.maximum(1.0, called), axis=-1))


def _calibration_error(sums: Array) -> Array:
    """Return the error for sums [..., 2 * B]."""
    distances, frames = sums[..., :CALIBRATION_BINS], sums[..., CALIBRATION_BINS:]
    return np.asarray(np.abs(distances).sum(axis=-1) / np.maximum(1.0, frames.sum(axis=-1)))


_STATISTICS: dict[str, tuple[Callable[[Array], Array], str]] = {
    "average_precision": (_average_precision, "ranked"),
    "calibration_error": (_calibration_error, "binned"),
}


def _steps(scores: Array) -> Array:
    """Return the step of each score; equal scores share one, and each step has about as many frames."""
    values = np.unique(np.asarray(scores, float))
    if len(values) <= STEPS:
        return np.searchsorted(values, scores)
    edges = np.unique(np.quantile(np.asarray(scores, float), np.linspace(0, 1, STEPS + 1)[1:-1]))
    return np.searchsorted(edges, scores, side="right")


def _count(owners: Array, places: Array, shape: tuple[int, int], weights: Array | None = None) -> Array:
    """Return how many frames (or what weight) each recording has at each place, float64 of ``shape``."""
    flat = np.bincount(owners * shape[1] + places, weights=weights, minlength=shape[0] * shape[1])
    return flat.astype(float).reshape(shape)
