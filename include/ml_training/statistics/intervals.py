"""Intervals by bootstrap over recordings: frames of one recording are no independent evidence.

    table = count_by_recording(recording_ids, labels, scores >= threshold)
    intervals = metric_intervals(table)        # {'precision': Interval(value=0.95, low=0.91, high=0.98, ...), ...}

Whole recordings are drawn with replacement, 2,000 times; the interval spans the 2.5 to 97.5 percentiles
(Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Fewer than two recordings give no interval.
What is drawn are sums that each recording adds to: counts, histograms, seconds. So a draw costs the same for a minute
as for a month.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.utils.records import Interval

DRAWS = 2000
PERCENTILES = (2.5, 97.5)
METRICS = ("precision", "recall", "f1", "mcc")

Array = npt.NDArray[Any]


class RecordingCounts(NamedTuple):
    """Counts of each recording: int64 [R, 4] in the order of ``Counts``, and the recordings' ids [R]."""

    counts: Array
    recordings: list[str]


def count_by_recording(recording_ids: Array, labels: Array, predictions: Array) -> RecordingCounts:
    """Count ``labels`` (0 or 1) [N] against ``predictions`` (bool) [N] for each recording, in order of name."""
    names, owners = number_recordings(recording_ids)
    ads, said = np.asarray(labels) == 1, np.asarray(predictions, bool)
    places = owners * 4 + np.where(ads, np.where(said, 0, 2), np.where(said, 1, 3))
    return RecordingCounts(np.bincount(places, minlength=len(names) * 4).reshape(-1, 4), names)


def number_recordings(recording_ids: Array) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the recordings in order of name, and the number of each frame's, int64 [N]; runs of a name cost little."""
    ids = np.asarray(recording_ids)
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])) if len(ids) else np.zeros(0, np.int64)
    names, owners = np.unique(ids[starts].astype(str), return_inverse=True)
    return names.tolist(), np.repeat(owners, np.diff(np.append(starts, len(ids))))


def metric_values(counts: Array) -> dict[str, Array]:
    """Return precision, recall, F1 and MCC of counts [..., 4], each [...]; 0 where one is not defined."""
    hits, false, missed, rest = (counts[..., i].astype(float) for i in range(4))
    product = (hits + false) * (hits + missed) * (rest + false) * (rest + missed)
    return {
        "precision": hits / np.maximum(1, hits + false),
        "recall": hits / np.maximum(1, hits + missed),
        "f1": 2 * hits / np.maximum(1, 2 * hits + false + missed),
        "mcc": (hits * rest - false * missed) / np.sqrt(np.maximum(1, product)),
    }


def metric_intervals(table: RecordingCounts, *, seed: int = 0) -> dict[str, Interval]:
    """Return precision, recall, F1 and MCC over all frames, with their 95 % intervals."""
    values = metric_values(table.counts.sum(axis=0))
    draws = metric_values(_draw(table.counts, seed))
    return {name: interval_of(float(values[name]), draws[name], len(table.recordings)) for name in METRICS}


def spanned(interval: Mapping[str, Any]) -> str:
    """Return a stored interval for people: ``0.7934 (0.7193 to 0.8594)``, or the value alone."""
    if interval["low"] is None:
        return f"{interval['value']:.4f}"
    return f"{interval['value']:.4f} ({interval['low']:.4f} to {interval['high']:.4f})"


def sum_interval(
    sums: Array, statistic: Callable[[Array], Array], *, value: float | None = None, seed: int = 0
) -> Interval:
    """Return a statistic of sums over recordings, with its interval.

    ``sums`` [R, K] is what each recording adds; ``statistic`` turns sums [..., K] into values [...]. ``value`` is the
    point estimate where a finer one is known than the sums give.
    """
    point = float(statistic(sums.sum(axis=0))) if value is None else value
    return interval_of(point, statistic(_draw(sums, seed)), len(sums))


def paired_difference(first: RecordingCounts, second: RecordingCounts, metric: str, *, seed: int = 0) -> Interval:
    """Return ``metric`` of ``first`` minus that of ``second`` on the same recordings, drawn together.

    Raises ValueError when the two speak of different recordings.
    """
    if first.recordings != second.recordings:
        raise ValueError("a paired difference needs the same recordings on both sides")
    value = metric_values(first.counts.sum(axis=0))[metric] - metric_values(second.counts.sum(axis=0))[metric]
    draws = metric_values(_draw(first.counts, seed))[metric] - metric_values(_draw(second.counts, seed))[metric]
    return interval_of(float(value), draws, len(first.recordings))


def interval_of(value: float, draws: Array, recordings: int) -> Interval:
    """Put a point estimate and its bootstrap draws [D] together."""
    if recordings < 2:
        return Interval(value=value, recordings=recordings)
    low, high = np.percentile(draws, PERCENTILES)
    return Interval(value=value, low=float(low), high=float(high), recordings=recordings)


def draw_weights(recordings: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return how often each draw takes each recording, int64 [draws, recordings]; the same seed draws the same."""
    if not recordings:
        return np.zeros((DRAWS, 0), np.int64)
    generator = np.random.default_rng(seed)
    return generator.multinomial(recordings, np.full(recordings, 1 / recordings), size=DRAWS)


def _draw(sums: Array, seed: int) -> Array:
    return draw_weights(len(sums), seed) @ sums
