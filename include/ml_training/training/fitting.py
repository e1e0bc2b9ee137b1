"""How the classifier's weights are found: the head first, then the upper blocks.

    model = fit_classifier(config, data, work_dir=..., checkpoints="s3://.../checkpoints", on_epoch=tracker.epoch)

Both stages learn from activations below the first learning block, computed once (``training.activations``).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.cloud import storage
from ml_training.config.schema import TrainingConfig
from ml_training.models.efficientnet import build_classifier, freeze_below, split_at_pool, split_at_stage
from ml_training.training.activations import compute_activations
from ml_training.training.checkpoints import CheckpointStore
from ml_training.training.loop import LabeledArrays, LoopOptions, fit, predict
from ml_training.training.samples import Samples

Array = npt.NDArray[Any]
OnEpoch = Callable[[str, int, dict[str, float]], None]


class TrainingData(NamedTuple):
    """The two splits that a training may see, and where their pictures are."""

    data_dir: str
    training: Samples
    validation: Samples


class Fitted(NamedTuple):
    """A trained classifier and its scores on the validation frames, float32 [N]."""

    model: keras.Model
    validation_scores: npt.NDArray[np.float32]


def fit_classifier(
    config: TrainingConfig, data: TrainingData, *, work_dir: Path, checkpoints: str, on_epoch: OnEpoch
) -> Fitted:
    """Train as ``config`` says; ``work_dir`` holds the activations, ``checkpoints`` the state after each epoch."""
    seed = config.training.seed
    keras.utils.set_random_seed(seed)
    model = build_classifier(config.model, weights=config.model.pretrained)
    lower, upper = split_at_stage(model, config.training.upper.from_block)
    training, validation = _activations(lower, config, data, work_dir)
    _fit_head(model, config, training, validation, checkpoints, on_epoch)
    freeze_below(model, config.training.upper.from_block)
    section = config.training.upper
    fit(
        upper,
        training,
        validation=validation,
        options=_options(config, section.epochs, section.batch_size, section.learning_rate),
        store=CheckpointStore(storage.join(checkpoints, "upper.npz")),
        on_epoch=lambda epoch, values: on_epoch("upper", epoch, values),
    )
    return Fitted(model, predict(upper, validation.inputs))


def _activations(
    lower: keras.Model, config: TrainingConfig, data: TrainingData, work_dir: Path
) -> tuple[LabeledArrays, LabeledArrays]:
    copies = 1 + config.training.augmented_copies
    seed = config.training.seed
    inputs = compute_activations(lower, data.training, data.data_dir, work_dir, copies=copies, seed=seed)
    held_out = compute_activations(lower, data.validation, data.data_dir, work_dir)
    return (
        LabeledArrays(inputs, np.tile(data.training.labels, copies)),
        LabeledArrays(held_out, data.validation.labels),
    )


def _fit_head(
    model: keras.Model,
    config: TrainingConfig,
    training: LabeledArrays,
    validation: LabeledArrays,
    checkpoints: str,
    on_epoch: OnEpoch,
) -> None:
    pooled, head = split_at_pool(model, config.training.upper.from_block)
    section = config.training.head
    fit(
        head,
        LabeledArrays(_features(pooled, training.inputs), training.labels),
        validation=LabeledArrays(_features(pooled, validation.inputs), validation.labels),
        options=_options(config, section.epochs, section.batch_size, section.learning_rate),
        store=CheckpointStore(storage.join(checkpoints, "head.npz")),
        on_epoch=lambda epoch, values: on_epoch("head", epoch, values),
    )


def _features(pooled: keras.Model, inputs: Array) -> Array:
    width = int(pooled.output_shape[-1])
    return predict(pooled, inputs).reshape(-1, width)


def _options(config: TrainingConfig, epochs: int, batch_size: int, learning_rate: float) -> LoopOptions:
    return LoopOptions(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=config.training.weight_decay,
        label_smoothing=config.training.label_smoothing,
        seed=config.training.seed,
    )
