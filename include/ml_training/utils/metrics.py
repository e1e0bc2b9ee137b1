"""Counts of right and wrong, and what is made of them; how far scores can be taken as probabilities.

counts = Counts.of(labels, scores >= 0.5)
counts.f1        # 0.93
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CALIBRATION_BINS = 15


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

    @property
    def mcc(self) -> float:
        """Correlation of what is and what was said, -1 to 1 (Matthews 1975); 0 when either has one class only."""
        hits, false, missed, rest = self
        product = (hits + false) * (hits + missed) * (rest + false) * (rest + missed)
        return (hits * rest - false * missed) / math.sqrt(product) if product else 0.0


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


class Calibration(NamedTuple):
    """Scores in bins of equal width: how many lie in each, their mean, and the share of ads among them. Arrays [B]."""

    frames: Array
    mean_score: Array  # 0 in an empty bin
    ad_share: Array  # 0 in an empty bin

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of score and share, a bin weighted by its frames."""
        return float(np.sum(self.frames * np.abs(self.mean_score - self.ad_share)) / max(1, np.sum(self.frames)))


def calibration(labels: Array, scores: Array, *, bins: int = CALIBRATION_BINS) -> Calibration:
    """Return how scores (0 to 1) [N] agree with ``labels`` (0 or 1) [N]: of the frames scored 0.8, 80 % should be ads.

    Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015; 15 bins
    as in Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    places = score_bins(scores, bins)
    frames = np.bincount(places, minlength=bins).astype(float)
    sums = np.bincount(places, weights=np.asarray(scores, float), minlength=bins)
    ads = np.bincount(places, weights=np.asarray(labels) == 1, minlength=bins)
    return Calibration(frames, sums / np.maximum(1, frames), ads / np.maximum(1, frames))


def score_bins(scores: Array, bins: int = CALIBRATION_BINS) -> npt.NDArray[np.int64]:
    """Return the bin of equal width that each score (0 to 1) lies in, int64 [N]."""
    return np.clip((np.asarray(scores, float) * bins).astype(np.int64), 0, bins - 1)


def best_f1_threshold(labels: Array, scores: Array) -> float:
    """Return the threshold with the highest F1, half-way to the next lower score.

    Use it on validation samples, never on the test set.
    """
    curve = precision_recall_curve(labels, scores)
    f1 = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-12)
    best = int(np.argmax(f1))
    lower = curve.thresholds[best + 1] if best + 1 < len(curve.thresholds) else curve.thresholds[best]
    return float((curve.thresholds[best] + lower) / 2)
