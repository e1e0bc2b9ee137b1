"""Makes the scores of models of frames comparable: log odds that mean what they say on recordings they did not learn.

    calibration = calibrate(log_odds, labels)             # both [N], of recordings that the model did not learn
    calibration.apply(log_odds)

Two numbers, by logistic regression (Platt, Probabilistic outputs for support vector machines, 1999). A model that knows
less gets smaller log odds, so the sequence model can learn from one and work with another.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.detection.features import Floats
from ml_training.utils.records import Record

Array = npt.NDArray[np.float64]

HALVINGS, ENOUGH = 12, 1e-9  # of a step that overshoots; share of the loss that a step has to gain
STEPS = 30  # of Newton's method; it stands still after some eight
RIDGE = 1e-3
LEAST_SCALE, GREATEST_SCALE = 0.05, 3.0


class Calibration(Record):
    """``scale`` times the log odds, plus ``offset``."""

    scale: float = 1.0
    offset: float = 0.0

    def apply(self, log_odds: npt.NDArray[Any]) -> Floats:
        """Return calibrated log odds."""
        return np.asarray(self.scale * log_odds + self.offset, np.float32)


def fit_logistic(rows: Array, wanted: Array, *, prior: Array, ridge: Array) -> Array:
    """Return the weights [K] of a logistic regression of 0 or 1 [N] on rows [N, K], by Newton's method.

    ``ridge`` [K] draws each weight towards ``prior`` [K].
    """

    def loss(weights: Array) -> float:
        odds = rows @ weights
        return float(np.sum(np.logaddexp(0, odds) - wanted * odds) + 0.5 * np.sum(ridge * (weights - prior) ** 2))

    weights, now = prior.astype(np.float64), loss(prior)
    for _ in range(STEPS):
        share = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        gradient = rows.T @ (share - wanted) + ridge * (weights - prior)
        curvature = rows.T @ (rows * (share * (1 - share))[:, None]) + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        size = next((0.5**k for k in range(HALVINGS) if loss(weights - 0.5**k * step) < now), 0.0)
        weights = weights - size * step
        before, now = now, loss(weights)
        if before - now < ENOUGH * abs(before):
            break
    return weights


UNCHANGED = Calibration()


def calibrate(log_odds: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Calibration:
    """Fit both numbers to labels 0 or 1 [N]; classes weigh as they are. Without both classes nothing changes."""
    values, wanted = np.asarray(log_odds, np.float64), np.asarray(labels, np.float64)
    if len(np.unique(wanted)) < 2:
        return Calibration()
    rows = np.stack([values, np.ones_like(values)], axis=1)
    weights = fit_logistic(rows, wanted, prior=np.array([1.0, 0.0]), ridge=np.full(2, RIDGE * len(values)))
    scale = float(np.clip(weights[0], LEAST_SCALE, GREATEST_SCALE))
    return Calibration(scale=scale, offset=float(weights[1]))
