"""The training loop that every stage shares: some layers learn from arrays computed once.

    fit(head, features, labels, validation=(more, their_labels), options=LoopOptions(epochs=30, ...), store=store)

An epoch's order depends on the seed and the epoch alone, and its end is a checkpoint: a training that was killed goes
on from there and ends with the same weights. The epoch with the highest average precision on validation is kept.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.training.checkpoints import CheckpointStore, TrainingState
from ml_training.utils.errors import ModelError
from ml_training.utils.metrics import average_precision

logger = logging.getLogger(__name__)

keras.backend.experimental.enable_tf_random_generator()  # dropout whose state can be set, not that of a traced graph

Array = npt.NDArray[Any]
OnEpoch = Callable[[int, dict[str, float]], None]

PROGRESS_SECONDS = 15.0
WARM_UP_SHARE = 0.1  # of all steps


class LoopOptions(NamedTuple):
    """How one stage learns."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    seed: int = 1


class LabeledArrays(NamedTuple):
    """Inputs [N, ...] (an array or a memory map) and labels (0 or 1) [N].

    ``targets`` float [N] in [0, 1] are learned in place of the labels, as when one model learns from another.
    """

    inputs: Array
    labels: Array
    targets: Array | None = None


def fit(
    model: keras.Model,
    training: LabeledArrays,
    *,
    validation: LabeledArrays,
    options: LoopOptions,
    store: CheckpointStore,
    on_epoch: OnEpoch | None = None,
) -> float:
    """Train the layers of ``model`` that are trainable; leave it with the best epoch's weights.

    Returns the best average precision on validation. Raises ModelError when the loss is no longer a number.
    """
    if options.epochs == 0:
        return average_precision(validation.labels, predict(model, validation.inputs))
    optimizer = _compile(model, options, steps=options.epochs * _batches(len(training.labels), options.batch_size))
    state = _restore(model, optimizer, store)
    for epoch in range(state.epochs_done, options.epochs):
        loss = _train_epoch(model, training, options, epoch)
        score = average_precision(validation.labels, predict(model, validation.inputs))
        best = score > state.best_score
        weights = model.get_weights()
        state = TrainingState(
            epoch + 1,
            max(score, state.best_score),
            weights,
            [np.asarray(variable) for variable in optimizer.variables],
            weights if best else state.best_weights,
        )
        store.save(state)
        logger.info("epoch %d of %d: loss %.4f, validation AP %.4f", epoch + 1, options.epochs, loss, score)
        if on_epoch:
            on_epoch(epoch + 1, {"loss": loss, "validation_average_precision": score})
    model.set_weights(state.best_weights)
    return state.best_score


def predict(model: keras.Model, inputs: Array, *, batch_size: int = 32) -> npt.NDArray[np.float32]:
    """Return the model's output for every input, flattened: float32 [N]."""
    parts = [
        model.predict_on_batch(np.asarray(inputs[start : start + batch_size], np.float32)).reshape(-1)
        for start in range(0, len(inputs), batch_size)
    ]
    return np.concatenate(parts)


def class_weights(labels: Array) -> npt.NDArray[np.float32]:
    """Return a weight for every sample that makes both classes count the same; their mean is 1."""
    ads = float(np.mean(labels == 1))
    return np.where(labels == 1, 0.5 / max(ads, 1e-6), 0.5 / max(1 - ads, 1e-6)).astype(np.float32)


def _compile(model: keras.Model, options: LoopOptions, *, steps: int) -> Any:
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        options.learning_rate / 10,
        max(1, steps - warm_up),
        alpha=0.01,
        warmup_target=options.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=options.weight_decay)
    model.compile(optimizer, loss=keras.losses.BinaryCrossentropy(label_smoothing=options.label_smoothing))
    optimizer.build(model.trainable_variables)
    return optimizer


def _restore(model: keras.Model, optimizer: Any, store: CheckpointStore) -> TrainingState:
    state = store.load()
    if state is None:
        return TrainingState(0, -1.0, [], [], model.get_weights())
    model.set_weights(state.weights)
    for variable, value in zip(optimizer.variables, state.optimizer, strict=True):
        variable.assign(value)
    logger.info("found %d epochs done in %s", state.epochs_done, store.uri)
    return state


def _train_epoch(model: keras.Model, training: LabeledArrays, options: LoopOptions, epoch: int) -> float:
    order = np.random.default_rng([options.seed, epoch]).permutation(len(training.labels))
    _seed_dropout(model, options.seed * 1000 + epoch)
    weights = class_weights(training.labels)
    targets = np.asarray(training.labels if training.targets is None else training.targets, np.float32)
    total, started = 0.0, time.monotonic()
    spoke = started
    for start in range(0, len(order), options.batch_size):
        chosen = np.sort(order[start : start + options.batch_size])
        inputs = np.asarray(training.inputs[chosen], np.float32)
        loss = model.train_on_batch(inputs, targets[chosen, None], weights[chosen])
        if not np.isfinite(loss):
            advice = f"lower the learning rate ({options.learning_rate:g})"
            raise ModelError(f"the loss is {loss} in epoch {epoch + 1}: {advice}")
        total += float(loss) * len(chosen)
        now = time.monotonic()
        if now - spoke > PROGRESS_SECONDS:
            spoke = now
            _say_progress(epoch, options.epochs, start + len(chosen), len(order), now - started)
    return total / len(order)


def _seed_dropout(model: keras.Model, seed: int) -> None:
    for number, layer in enumerate(model._flatten_layers(include_self=False)):
        if isinstance(layer, keras.layers.Dropout):
            generator = layer._random_generator
            if generator._rng_type != generator.RNG_STATEFUL:
                raise ValueError(f"{layer.name} has no state that can be set: import training.loop before building it")
            generator._maybe_init()
            generator._generator.reset_from_seed(seed * 100 + number)


def _say_progress(epoch: int, epochs: int, done: int, total: int, seconds: float) -> None:
    rate = done / seconds
    left = (total - done + total * (epochs - epoch - 1)) / rate
    logger.info("epoch %d: %d of %d samples, %.0f a second, %.0f s left", epoch + 1, done, total, rate, left)


def _batches(samples: int, batch_size: int) -> int:
    return -(-samples // batch_size)
