"""How a classifier learns on a processor: the head first, then the upper blocks.

    fitted = fit_staged(config, data, place)

Both stages learn from activations below the first learning block, computed once (``training.activations``). A training
that begins with another model's weights has a head already: it goes straight to the upper blocks.
"""

import logging
from typing import Any

import numpy as np
import tf_keras as keras

from ml_training.config.schema import TrainingConfig
from ml_training.models.stages import freeze_below, split_at_pool, split_at_stage, stage_boundaries
from ml_training.training.activations import compute_activations
from ml_training.training.fitting import Fitted, Place, TrainingData, ad_class_of, loop_options
from ml_training.training.loop import LabeledArrays, ad_scores, fit, predict, predict_classes
from ml_training.training.resources import require_memory
from ml_training.training.weights import starting_model

logger = logging.getLogger(__name__)


def fit_staged(config: TrainingConfig, data: TrainingData, place: Place) -> Fitted:
    """Train as ``config`` says. Raises ModelError, DatasetUnusable and TooLittleMemory with advice."""
    section = config.training
    keras.utils.set_random_seed(section.seed)
    model = starting_model(config)
    stage = first_learning_stage(model, config)
    lower, upper = split_at_stage(model, stage)
    training, validation = _activations(lower, config, data, place)
    if section.initial_model is None:
        _fit_head(model, stage, config, training, validation, place)
    freeze_below(model, stage)
    for layer in model.layers[: section.freeze_layers or 0]:
        layer.trainable = False
    require_memory(upper, section.upper.batch_size)
    fit(
        upper,
        training,
        validation=validation,
        options=loop_options(config, section.upper, "upper"),
        store=place.store("upper"),
        on_epoch=place.reporter("upper"),
        ad_class=ad_class_of(config.model),
    )
    outputs = predict_classes(upper, validation.inputs, len(validation.labels))
    return Fitted({"model": model}, ad_scores(outputs, ad_class_of(config.model)), data.validation.labels)


def first_learning_stage(model: keras.Model, config: TrainingConfig) -> int:
    """Return the stage where learning begins: ``upper.from_block``, or the one that ``freeze_layers`` ends in."""
    frozen = config.training.freeze_layers
    boundaries = stage_boundaries(model)
    if frozen is None:
        return min(config.training.upper.from_block, len(boundaries))
    places = {layer.name: place for place, layer in enumerate(model.layers)}
    below = [number for number, name in enumerate(boundaries, start=1) if places[name] <= frozen]
    stage = max(below, default=1)
    logger.info("the first %d layers keep their weights: learning begins in stage %d", frozen, stage)
    return stage


def _activations(
    lower: keras.Model, config: TrainingConfig, data: TrainingData, place: Place
) -> tuple[LabeledArrays, LabeledArrays]:
    copies = 1 + config.training.augmented_copies
    seed, folder = config.training.seed, place.work_dir
    inputs = compute_activations(lower, data.training, data.data_dir, folder, copies=copies, seed=seed)
    held_out = compute_activations(lower, data.validation, data.data_dir, folder)
    return (
        LabeledArrays(inputs, np.tile(data.training.labels, copies)),
        LabeledArrays(held_out, data.validation.labels),
    )


def _fit_head(
    model: keras.Model,
    stage: int,
    config: TrainingConfig,
    training: LabeledArrays,
    validation: LabeledArrays,
    place: Place,
) -> None:
    pooled, head = split_at_pool(model, stage)
    fit(
        head,
        LabeledArrays(_features(pooled, training.inputs), training.labels),
        validation=LabeledArrays(_features(pooled, validation.inputs), validation.labels),
        options=loop_options(config, config.training.head, "head"),
        store=place.store("head"),
        on_epoch=place.reporter("head"),
        ad_class=ad_class_of(config.model),
    )


def _features(pooled: keras.Model, inputs: Any) -> Any:
    width = int(pooled.output_shape[-1])
    return predict(pooled, inputs).reshape(-1, width)
