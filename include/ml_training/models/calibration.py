"""Makes a model's probabilities mean what they say, without another layer.

    calibration = fit_calibration(validation_scores, validation_labels)
    calibrate_output(head, calibration)             # the last layer's weights change, nothing else

Platt scaling (1999, with the stable Newton method of Lin, Lin & Weng, 2007): the log-odds of a score are stretched and
moved so that the labels become most likely. That is a change of the last layer's kernel and bias, so a calibrated model
is stored, converted and run like any other. The order of the scores stays; so does average precision.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.utils.errors import ModelError

Floats = npt.NDArray[np.floating]

SMALLEST = 1e-6  # scores are kept this far from 0 and 1
LEAST_SLOPE = 0.05  # a smaller one says that the scores know nothing of the labels
STEPS = 50


class Calibration(NamedTuple):
    """What becomes of log-odds: ``slope * log_odds + intercept``."""

    slope: float
    intercept: float


def fit_calibration(scores: Floats, labels: npt.NDArray[np.integer]) -> Calibration:
    """Fit to scores [N] in 0..1 and labels [N] of 0 and 1. Raises ModelError when they contradict each other."""
    ads = int(np.sum(labels == 1))
    smoothed = np.where(labels == 1, (ads + 1) / (ads + 2), 1 / (len(labels) - ads + 2))  # Platt's targets
    odds = _log_odds(scores)
    slope, intercept = 1.0, 0.0
    for _ in range(STEPS):
        chances = _sigmoid(slope * odds + intercept)
        error, spread = chances - smoothed, np.maximum(chances * (1 - chances), 1e-12)
        gradient = np.array([np.sum(error * odds), np.sum(error)])
        hessian = np.array(
            [[np.sum(spread * odds**2), np.sum(spread * odds)], [np.sum(spread * odds), np.sum(spread)]]
        ) + 1e-6 * np.eye(2)
        step = _damped(odds, smoothed, (slope, intercept), np.linalg.solve(hessian, gradient))
        slope, intercept = slope - step[0], intercept - step[1]
        if np.abs(step).max() < 1e-7:
            break
    if slope < LEAST_SLOPE:
        raise ModelError(
            f"the scores cannot be calibrated: they say nothing of the {len(labels)} labels of the validation split "
            f"(slope {slope:.3g}); train longer, or see whether the labels are right"
        )
    return Calibration(float(slope), float(intercept))


def calibrated(scores: Floats, calibration: Calibration) -> npt.NDArray[np.float32]:
    """Return what the calibrated model gives in place of ``scores`` [N]."""
    return _sigmoid(calibration.slope * _log_odds(scores) + calibration.intercept).astype(np.float32)


def calibrate_output(head: keras.Model, calibration: Calibration) -> None:
    """Change the last layer of a head with one sigmoid output. Raises ModelError for another output."""
    layer = head.layers[-1]
    if not isinstance(layer, keras.layers.Dense) or layer.units != 1:
        raise ModelError(f"expected a head that ends in one probability, received {layer.name}: it is not calibrated")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * calibration.slope, bias * calibration.slope + calibration.intercept])


def _damped(
    odds: Floats, targets: Floats, at: tuple[float, float], step: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Halve a Newton step until it makes the labels more likely."""
    before = _loss(odds, targets, at)
    for _ in range(20):
        if _loss(odds, targets, (at[0] - step[0], at[1] - step[1])) <= before + 1e-12:
            return step
        step = step / 2
    return np.zeros(2)


def _loss(odds: Floats, targets: Floats, at: tuple[float, float]) -> float:
    values = at[0] * odds + at[1]
    return float(np.mean(np.logaddexp(0.0, values) - targets * values))


def _log_odds(scores: Floats) -> npt.NDArray[np.float64]:
    safe = np.clip(np.asarray(scores, np.float64), SMALLEST, 1 - SMALLEST)
    return np.log(safe / (1 - safe))


def _sigmoid(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-values)))
