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


UNCHANGED = Calibration()


def calibrate(log_odds: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Calibration:
    """Fit both numbers to labels 0 or 1 [N]; classes weigh as they are. Without both classes nothing changes."""
    values, wanted = np.asarray(log_odds, np.float64), np.asarray(labels, np.float64)
    if len(np.unique(wanted)) < 2:
        return Calibration()
    rows = np.stack([values, np.ones_like(values)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(STEPS):
        share = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        gradient = rows.T @ (share - wanted) + RIDGE * len(values) * (weights - [1.0, 0.0])
        curvature = rows.T @ (rows * (share * (1 - share))[:, None]) + RIDGE * len(values) * np.eye(2)
        weights = weights - np.linalg.solve(curvature, gradient)
    scale = float(np.clip(weights[0], LEAST_SCALE, GREATEST_SCALE))
    return Calibration(scale=scale, offset=float(weights[1]))
