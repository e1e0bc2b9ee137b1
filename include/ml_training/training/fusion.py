"""How the sound of a multimodal head learns, and how much each branch counts in the end.

    fit_sound(head, statistics, labels)                       # [N, 3, 20] and 0 or 1
    fit_fusion(head, seen, heard, validation_labels)          # log odds [N] of each branch, on validation

Both are logistic regressions with a penalty, which have one best answer and no seed. The fusion is learned on
validation, where no branch has learned: on training pictures the first one is always right. It is two regressions, with
sound and without, so that the result means what it says in both cases (Platt, 1999).
"""

import logging

import numpy as np
import numpy.typing as npt
import tf_keras as keras
from scipy.optimize import minimize

from ml_training.models.multimodal import STATISTICS, fuse, weigh_statistics
from ml_training.training.feeds import class_weights
from ml_training.utils.errors import ModelError

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.floating]
Array = npt.NDArray[np.float64]

SOUND_PENALTY = 33.0  # half of the sum of squared weights counts as much as this many examples' log likelihood
CLIP_SECONDS = 10.0  # examples a second apart share most of what they hear: so many say as much as one
TRUST_PENALTY = 3.0  # of a branch's weight, for leaving 1, in examples
LEAST_WEIGHT = 0.05  # of the pictures; a smaller one says that they know nothing of the labels


def fit_sound(head: keras.Model, statistics: Floats, labels: npt.NDArray[np.integer]) -> None:
    """Set the weights of the sound's statistics, [N, 3, 20], so that they tell ads (1) from content (0)."""
    rows = np.asarray(statistics, np.float64).reshape(len(labels), -1)
    middle, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    weights = np.asarray(class_weights(labels), np.float64)
    standard = (rows - middle) / spread
    found = _logistic(standard, labels, weights, np.zeros(rows.shape[1]), SOUND_PENALTY)
    slopes, bias = found[:-1] / spread, found[-1] - float(np.sum(found[:-1] * middle / spread))
    weigh_statistics(head, slopes.reshape(len(STATISTICS), -1), bias)


def fit_fusion(head: keras.Model, seen: Floats, heard: Floats, labels: npt.NDArray[np.integer]) -> Floats:
    """Set how much each branch's log odds [N] count, from labels [N] of 0 and 1; return the fused log odds [N].

    Raises ModelError when the pictures contradict the labels.
    """
    weights = np.full(len(labels), 1 / CLIP_SECONDS)
    silent = _logistic(np.asarray(seen, np.float64)[:, None], labels, weights, np.ones(1), TRUST_PENALTY)
    both = _logistic(np.stack([seen, heard], axis=1).astype(np.float64), labels, weights, np.ones(2), TRUST_PENALTY)
    if both[1] < 0:  # sound that contradicts the few labels of validation is left out, not turned round
        both = np.array([silent[0], 0.0, silent[1]])
    if min(silent[0], both[0]) < LEAST_WEIGHT:
        raise ModelError(
            f"the pictures say nothing of the {len(labels)} labels of the validation split (weight {silent[0]:.3g}); "
            "train longer, or see whether the labels are right"
        )
    logger.info("pictures alone count %.2f; with sound %.2f, and the sound %.2f", silent[0], both[0], both[1])
    fuse(head, np.array([[silent[0]], [both[0] - silent[0]], [both[1]], [both[2] - silent[1]]]), float(silent[1]))
    return np.asarray(both[0] * np.asarray(seen) + both[1] * np.asarray(heard) + both[2])


def _logistic(rows: Array, labels: npt.NDArray[np.integer], weights: Array, centre: Array, penalty: float) -> Array:
    """Return slopes and, last, the intercept that make the labels most likely; slopes are drawn to ``centre``."""
    columns = np.column_stack([rows, np.ones(len(rows))])
    targets = np.asarray(labels, np.float64)

    def loss(values: Array) -> tuple[float, Array]:
        odds, away = columns @ values, values[:-1] - centre
        chances = 0.5 * (1 + np.tanh(odds / 2))
        cost = np.sum(weights * (np.logaddexp(0.0, odds) - targets * odds)) + penalty / 2 * np.sum(away**2)
        slope = columns.T @ (weights * (chances - targets))
        slope[:-1] += penalty * away
        return float(cost), slope

    found = minimize(loss, np.append(centre, 0.0), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return np.asarray(found.x)
