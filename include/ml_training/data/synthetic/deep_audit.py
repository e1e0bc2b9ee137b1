"""How far do shortcuts lead? Boosted trees on all cues together, and a small network on high-pass patches.

    deep_audit([recording_cues(path) for path in paths], model_f1=0.87)   # {"trees_f1": 0.55, "patches_f1": 0.44, ...}

Both judge channels that they were not trained on, and their threshold is the best there is for the channels judged:
generous to the shortcut. Patches carry what the encoder and the grain left, and hardly any shapes. A model that learns
what ads look like must be at least five points of F1 ahead of both.
"""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold

from ml_training.data.synthetic.cues import PATCH, Cues
from ml_training.utils.errors import DataError, ValidationFailed
from ml_training.utils.metrics import best_f1_threshold

MARGIN = 0.05
FOLDS = 4
EPOCHS, BATCH = 3, 128
Scores = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

logger = logging.getLogger(__name__)


def deep_audit(tables: list[Cues], *, model_f1: float | None = None) -> dict[str, Any]:
    """Return the F1 of both shortcuts over all seconds, each judged by what has not seen its channel.

    ``model_f1`` is what the model reaches on channels held out; without it nothing is compared.

    Raises:
        DataError: fewer than two channels.
        ValidationFailed: a shortcut's F1 is above ``model_f1`` less five points.
    """
    truth = np.concatenate([table.is_ad for table in tables])
    channels = np.concatenate([np.full(len(table.is_ad), table.channel) for table in tables])
    if len(np.unique(channels)) < 2:
        raise DataError(f"expected recordings of two channels or more, received only {channels[0]}")
    trees = _by_trees(tables, truth, channels)
    patches = _by_patches(np.concatenate([table.patches for table in tables]), truth, channels)
    shortcuts = {"trees_f1": _best_f1(truth, trees), "patches_f1": _best_f1(truth, patches)}
    found = {
        **shortcuts,
        "always_ad_f1": round(2 * float(truth.mean()) / (1 + float(truth.mean())), 3),
        "model_f1": model_f1,
        "margin": MARGIN,
    }
    near = {name: f1 for name, f1 in shortcuts.items() if model_f1 is not None and f1 > model_f1 - MARGIN}
    if near:
        raise ValidationFailed(
            f"shortcuts come within {MARGIN} of the model's F1 {model_f1}: received {near}", deep=found
        )
    return found


def _folds(truth: Truth, channels: npt.NDArray[Any]) -> Any:
    return GroupKFold(min(FOLDS, len(np.unique(channels)))).split(truth, truth, channels)


def _by_trees(tables: list[Cues], truth: Truth, channels: npt.NDArray[Any]) -> Scores:
    """Return each second's score by boosted trees on all cues, trained on other channels."""
    names = sorted(tables[0].values)
    values = np.stack([np.concatenate([table.values[name] for table in tables]) for name in names], axis=1)
    scores = np.zeros(len(truth))
    for known, judged in _folds(truth, channels):
        trees = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.06, l2_regularization=1.0, random_state=7)
        scores[judged] = trees.fit(values[known], truth[known]).predict_proba(values[judged])[:, 1]
    return scores


def _by_patches(patches: npt.NDArray[np.int8], truth: Truth, channels: npt.NDArray[Any]) -> Scores:
    """Return each second's score by a network on its patches, trained on other channels; patches vote."""
    scores, count = np.zeros(len(truth)), patches.shape[1]
    for fold, (known, judged) in enumerate(_folds(truth, channels)):
        network = _network(fold)
        train = patches[known].reshape(-1, PATCH, PATCH, 1).astype(np.float32) / 127
        network.fit(
            train, np.repeat(truth[known], count).astype(np.float32), epochs=EPOCHS, batch_size=BATCH, verbose=0
        )
        said = network.predict(patches[judged].reshape(-1, PATCH, PATCH, 1).astype(np.float32) / 127, 512, verbose=0)
        scores[judged] = said.reshape(-1, count).mean(axis=1)
        logger.info("patches: fold %d judged %d seconds", fold + 1, len(judged))
    return scores


def _network(seed: int) -> Any:
    import tf_keras as keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    network = keras.Sequential([
        layers.Input((PATCH, PATCH, 1)),
        *(layers.Conv2D(width, 3, strides=2, activation="relu", padding="same") for width in (16, 32, 48)),
        layers.GlobalAveragePooling2D(),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    network.compile(keras.optimizers.legacy.Adam(2e-3), "binary_crossentropy")
    return network


def _best_f1(truth: Truth, scores: Scores) -> float:
    """Return the F1 at the best threshold."""
    said = scores >= best_f1_threshold(truth.astype(np.int8), scores)
    right = float(np.sum(said & truth))
    return round(2 * right / max(float(said.sum() + truth.sum()), 1.0), 3)
