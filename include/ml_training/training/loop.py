"""The training loop that every stage shares, whatever feeds it.

    fit(head, LabeledArrays(features, labels), validation=held_out, options=LoopOptions(epochs=30, ...), store=store)
    run_stage(Stage(learner, feed, judge, options, store))          # any feed: arrays, or a pipeline of pictures

A step's examples, their change and its dropout depend on the seed and the number of the step alone, and a checkpoint
holds all else: a training that was killed at any step goes on from the last one and ends with the same weights. On
SIGTERM it stores its state after the step under way. The epoch with the highest average precision on validation is
kept. Several machines decide after each step together whether the state is stored, and whether they end: all when one
of them got SIGTERM.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.training.checkpoints import CheckpointStore, Timer, TrainingState
from ml_training.training.feeds import ArrayFeed, Fed, Feed, Inputs, LabeledArrays, LoopOptions, class_weights, rows_of
from ml_training.training.learner import Learner, LearnerOptions
from ml_training.training.progress import Progress
from ml_training.utils.errors import ModelError
from ml_training.utils.metrics import average_precision
from ml_training.utils.termination import Terminated, Termination, deferred_termination

__all__ = ["LabeledArrays", "LoopOptions", "Stage", "class_weights", "fit", "predict", "run_stage"]

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
OnEpoch = Callable[[int, dict[str, float]], None]
Judge = Callable[[keras.Model], float]

LOOKED_AT_STEPS = 10  # between two looks at the loss: on a GPU each look waits for it


class Stage(NamedTuple):
    """One stage of a training: what learns, from what, how it is judged, and where its state is kept."""

    learner: Learner
    feed: Feed
    judge: Judge
    options: LoopOptions
    store: CheckpointStore
    writes: bool = True  # of several machines, only one writes checkpoints


def fit(
    model: keras.Model,
    training: LabeledArrays,
    *,
    validation: LabeledArrays,
    options: LoopOptions,
    store: CheckpointStore,
    on_epoch: OnEpoch | None = None,
    ad_class: int = 1,
) -> float:
    """Train the layers of ``model`` that are trainable; leave it with the best epoch's weights.

    Returns the best average precision on validation, of the class ``ad_class``. Raises ModelError when the loss is no
    longer a number, DatasetUnusable when a class has no example.
    """

    def judge(judged: keras.Model) -> float:
        scores = ad_scores(predict_classes(judged, validation.inputs, len(validation.labels)), ad_class)
        return average_precision(validation.labels == ad_class, scores)

    if options.epochs == 0:
        return judge(model)
    feed = ArrayFeed(training, options, classes=max(2, int(model.output_shape[-1])))
    learner = Learner(model, learner_options(options, feed.steps))
    return run_stage(Stage(learner, feed, judge, options, store), on_epoch)


def run_stage(stage: Stage, on_epoch: OnEpoch | None = None) -> float:
    """Run a stage, or what is left of it; leave its model with the best weights and return the best score."""
    with deferred_termination() as termination:
        return _Run(stage, on_epoch, termination).to_the_end()


class _Run:
    """A stage that is under way."""

    def __init__(self, stage: Stage, on_epoch: OnEpoch | None, termination: Termination) -> None:
        self._stage, self._on_epoch, self._termination = stage, on_epoch, termination
        self._model, self._learner, self._options = stage.learner.model, stage.learner, stage.options
        self._timer = Timer(self._options.checkpoint_seconds, self._options.checkpoint_steps)
        self._best_epoch, self._best_score = 0, -1.0
        self._best_weights = self._model.get_weights()

    def to_the_end(self) -> float:
        options, feed, learner = self._options, self._stage.feed, self._learner
        epoch, step, finished = self._restore()
        if not finished:
            if step == feed.steps:  # it was ended while this epoch was judged
                epoch, step = options.epochs if self._end_epoch(epoch + 1) else epoch + 1, 0
            done = epoch * feed.examples + step * options.batch_size
            progress = Progress(options.name, options.epochs * feed.examples, done=done)
            for fed in feed.iterate(epoch, step, options.epochs):
                self._step(fed)
                progress.step(len(fed.weights))
                if fed.last and self._end_epoch(fed.epoch + 1):
                    break
                due, asked = learner.together.any(self._timer.step(), self._termination.asked)
                if due or asked:
                    self._save(fed.epoch + fed.last, 0 if fed.last else fed.step + 1)
                if asked:
                    raise Terminated
            logger.info("%s: %.0f examples a second", options.name, progress.rate)
            self._save(options.epochs, 0, finished=True)
        self._model.set_weights(self._best_weights)
        return self._best_score

    def _step(self, fed: Fed) -> None:
        self._learner.step(fed.inputs, fed.targets, fed.weights)
        if fed.last or fed.step % LOOKED_AT_STEPS == 0:
            self._look_at_loss(fed.epoch)

    def _look_at_loss(self, epoch: int) -> tuple[float, float]:
        loss_sum, seen = self._learner.loss()
        if not np.isfinite(loss_sum):
            raise ModelError(
                f"the loss is {loss_sum} in epoch {epoch + 1}: lower the learning rate "
                f"({self._options.learning_rate:g})"
            )
        return loss_sum, seen

    def _end_epoch(self, epoch: int) -> bool:
        """Judge the epoch that is over, numbered from 1; tell whether the stage may stop early."""
        loss_sum, seen = self._learner.loss()
        try:
            score = self._judge(epoch)
        except Terminated:
            self._save(epoch - 1, self._stage.feed.steps)
            raise
        loss, of = loss_sum / max(seen, 1.0), self._options.epochs
        logger.info("%s: epoch %d of %d: loss %.4f, validation AP %.4f", self._options.name, epoch, of, loss, score)
        if self._on_epoch:
            self._on_epoch(epoch, {"loss": loss, "validation_average_precision": score})
        self._begin_epoch(epoch)
        patience = self._options.early_stopping_epochs
        if patience is None or epoch - self._best_epoch < patience or epoch == of:
            return False
        logger.info("%s: no better score for %d epochs: stopped", self._options.name, patience)
        return True

    def _judge(self, epoch: int) -> float:
        """Judge the model, and keep the best; raises Terminated as soon as SIGTERM comes.

        Several machines have the first one's score. They judge to the end: the state before that is stored first.
        """
        together = self._learner.together
        if together.is_several:
            self._save(epoch - 1, self._stage.feed.steps)
        with self._learner.averaged():
            with nullcontext() if together.is_several else self._termination.at_once():
                score = together.of_the_first(self._stage.judge(self._model))
            if score > self._best_score:
                self._best_epoch, self._best_score = epoch, score
                self._best_weights = self._model.get_weights()
        return score

    def _begin_epoch(self, epoch: int) -> None:
        self._learner.reset_loss()
        for number, generator in enumerate(_dropout_generators(self._model)):
            generator.reset_from_seed((self._options.seed * 1000 + epoch) * 100 + number)

    def _save(self, epoch: int, step: int, *, finished: bool = False) -> None:
        loss_sum, seen = self._look_at_loss(epoch)
        learner = self._learner
        state = TrainingState(
            epoch, step, loss_sum, seen, self._best_epoch, self._best_score, finished,
            weights=[] if finished else self._model.get_weights(),
            optimizer=[] if finished else [variable.numpy() for variable in _variables(learner.optimizer)],
            average=[] if finished else [variable.numpy() for variable in learner.average],
            dropout=[] if finished else [generator.state.numpy() for generator in _dropout_generators(self._model)],
            best_weights=self._best_weights,
        )  # fmt: skip
        if self._stage.writes:
            self._stage.store.save(state)
        self._timer.reset()

    def _restore(self) -> tuple[int, int, bool]:
        """Take up the stored state; return the epoch and the step that come next, and whether all is done."""
        generators = _dropout_generators(self._model)
        state = self._stage.store.load()
        if state is None:
            logger.info("%s: begins", self._options.name)
            self._begin_epoch(0)
            return 0, 0, False
        self._best_epoch, self._best_score = state.best_epoch, state.best_score
        self._best_weights = state.best_weights
        if not state.finished:
            learner = self._learner
            self._model.set_weights(state.weights)
            learner.reset_loss(state.loss_sum, state.seen)
            variables = [*_variables(learner.optimizer), *learner.average]
            for variable, value in zip(variables, [*state.optimizer, *state.average], strict=True):
                variable.assign(value)
            for generator, value in zip(generators, state.dropout, strict=True):
                generator.state.assign(value)
        logger.info("%s: goes on at epoch %d, step %d", self._options.name, state.epoch + 1, state.step)
        return state.epoch, state.step, state.finished


def predict(model: keras.Model, inputs: Any, *, batch_size: int = 32) -> npt.NDArray[np.float32]:
    """Return the model's output for every input, flattened: float32 [N] where it gives one number."""
    count = len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)
    return predict_classes(model, inputs, count, batch_size=batch_size).reshape(-1)


def predict_classes(model: keras.Model, inputs: Any, count: int, *, batch_size: int = 32) -> npt.NDArray[np.float32]:
    """Return the model's output for ``count`` inputs, float32 [N, ...]."""
    parts = [
        model.predict_on_batch(_floats(rows_of(inputs, np.arange(start, min(start + batch_size, count)))))
        for start in range(0, count, batch_size)
    ]
    return np.concatenate(parts)


def ad_scores(outputs: npt.NDArray[np.float32], ad_class: int) -> npt.NDArray[np.float32]:
    """Return P(ad) float32 [N] of outputs [N, 1], or of [N, classes]: those of the class ``ad_class``."""
    return outputs[:, 0] if outputs.shape[-1] == 1 else outputs[:, ad_class]


def learner_options(options: LoopOptions, steps_per_epoch: int) -> LearnerOptions:
    """Return what a learner needs of the loop's options."""
    return LearnerOptions(
        learning_rate=options.learning_rate,
        steps=options.epochs * steps_per_epoch,
        weight_decay=options.weight_decay,
        warm_up_share=options.warm_up_share,
        ema_decay=options.ema_decay,
    )


def _floats(inputs: Inputs) -> Any:
    if isinstance(inputs, Mapping):
        return {name: np.asarray(array, np.float32) for name, array in inputs.items()}
    return np.asarray(inputs, np.float32)


def _variables(optimizer: Any) -> list[Any]:
    found = optimizer.variables
    return list(found() if callable(found) else found)


def _dropout_generators(model: keras.Model) -> list[Any]:
    """Return the random generators of all drop-out layers, in order."""
    found = []
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Dropout):
            generator = layer._random_generator
            if generator._rng_type != generator.RNG_STATEFUL:
                raise ValueError(f"{layer.name} has no state that can be set: import training.loop before building it")
            generator._maybe_init()
            found.append(generator._generator)
    return found
