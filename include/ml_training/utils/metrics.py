"""Counts of right and wrong, and what is made of them.

counts = Counts.of(labels, scores >= 0.5)
counts.f1        # 0.93
"""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Counts(NamedTuple):
    """True and false, positives and negatives; an ad is the positive class."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @classmethod
    def of(cls, labels: Array, predictions: Array) -> Self:
        """Count ``labels`` (0 or 1) [N] against ``predictions`` (bool) [N]."""
        ads = np.asarray(labels) == 1
        said = np.asarray(predictions, bool)
        return cls(*(int(np.sum(mask)) for mask in (ads & said, ~ads & said, ads & ~said, ~ads & ~said)))

    @property
    def precision(self) -> float:
        """Share of the frames called ads that are ads; 0 when none was called so."""
        return self.true_positives / max(1, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the ads that were called so; 0 when there are none."""
        return self.true_positives / max(1, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.true_positives / max(1, 2 * self.true_positives + self.false_positives + self.false_negatives)


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall at every threshold that changes them, highest threshold first. Arrays float64 [K]."""

    thresholds: Array
    precision: Array
    recall: Array


def precision_recall_curve(labels: Array, scores: Array) -> PrecisionRecallCurve:
    """Return the curve of ``scores`` float [N] against ``labels`` (0 or 1) [N]; a frame at the threshold is an ad."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores = np.asarray(scores, float)[order]
    ads = (np.asarray(labels)[order] == 1).astype(float)
    last_of_tie = np.append(np.diff(sorted_scores) != 0, True)
    hits = np.cumsum(ads)[last_of_tie]
    called = np.arange(1, len(ads) + 1)[last_of_tie]
    return PrecisionRecallCurve(sorted_scores[last_of_tie], hits / called, hits / max(1.0, ads.sum()))


def average_precision(labels: Array, scores: Array) -> float:
    """Return the area below the precision-recall curve, as a sum of steps."""
    curve = precision_recall_curve(labels, scores)
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def best_f1_threshold(labels: Array, scores: Array) -> float:
    """Return the threshold with the highest F1, half-way to the next lower score.

    Use it on validation samples, never on the test set.
    """
    curve = precision_recall_curve(labels, scores)
    f1 = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-12)
    best = int(np.argmax(f1))
    lower = curve.thresholds[best + 1] if best + 1 < len(curve.thresholds) else curve.thresholds[best]
    return float((curve.thresholds[best] + lower) / 2)
