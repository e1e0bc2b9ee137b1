"""One step of learning: forward, backward, optimizer, moving average, on a processor, on GPUs, on several machines.

    learner = Learner(model, LearnerOptions(learning_rate=1e-3, steps=4_000, ema_decay=0.999))
    learner.step(images, targets, weights)        # uint8 [B, S, S, 3] or features, float [B, C], float [B]
    with learner.averaged():
        scores = predict(model, validation)       # by the moving average of the weights

The step is one graph, so that nothing but arithmetic takes time in it. Pictures come as bytes and are scaled inside.
The rate warms up and falls along a cosine (Loshchilov & Hutter, arXiv:1608.03983); AdamW decays the weights
(arXiv:1711.05101). The moving average follows faster at the start, as ``(1 + n) / (10 + n)``, else the initial weights
would stay in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ml_training.training.distillation import Teacher
from ml_training.training.feeds import Inputs
from ml_training.training.losses import example_losses, prepared, sized
from ml_training.training.machines import Together
from ml_training.utils.errors import TooLittleMemory

keras.backend.experimental.enable_tf_random_generator()  # dropout whose state can be set, not that of a traced graph

Array = npt.NDArray[Any]


class LearnerOptions(NamedTuple):
    """How a step changes the weights."""

    learning_rate: float
    steps: int  # of the whole stage: the rate's course
    weight_decay: float = 1e-4
    warm_up_share: float = 0.1
    ema_decay: float | None = None


class Learner:
    """A model that learns, with all that a checkpoint has to keep."""

    def __init__(
        self,
        model: keras.Model,
        options: LearnerOptions,
        *,
        strategy: tf.distribute.Strategy | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.model = model
        self._strategy = strategy or tf.distribute.get_strategy()
        self.together = Together(self._strategy)
        self._teacher, self._decay = teacher, options.ema_decay
        with self._strategy.scope():
            self.optimizer = make_optimizer(model, options)
            self.average = [tf.Variable(w, trainable=False) for w in model.weights] if options.ema_decay else []
            self._loss_sum, self._seen = tf.Variable(0.0, dtype=tf.float64), tf.Variable(0.0, dtype=tf.float64)
            self._student = teacher.student(model) if teacher else model
        self._run = tf.function(self._everywhere, reduce_retracing=True)

    def step(self, inputs: Inputs, targets: Array, weights: Array) -> None:
        """Learn from one batch. Raises TooLittleMemory when it does not fit into the GPU."""
        batch = (inputs, targets, weights)
        if self._strategy.num_replicas_in_sync > 1:
            batch = self._distributed(batch)
        try:
            self._run(*batch)
        except tf.errors.ResourceExhaustedError as error:
            raise TooLittleMemory(f"a batch of {len(weights)} does not fit: take a smaller batch_size") from error

    def loss(self) -> tuple[float, float]:
        """Return the sum of the losses since the last ``reset_loss``, and of how many examples."""
        return float(self._loss_sum.numpy()), float(self._seen.numpy())

    def reset_loss(self, loss_sum: float = 0.0, seen: float = 0.0) -> None:
        """Begin to sum losses anew, or where a checkpoint stood."""
        self._loss_sum.assign(loss_sum)
        self._seen.assign(seen)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the model have the moving average of its weights, and afterwards its weights again."""
        if not self.average:
            yield
            return
        own = self.model.get_weights()
        self.model.set_weights([variable.numpy() for variable in self.average])
        try:
            yield
        finally:
            self.model.set_weights(own)

    def _everywhere(self, inputs: Any, targets: Any, weights: Any) -> None:
        losses = self._strategy.run(self._here, args=(inputs, targets, weights))
        examples = self._strategy.run(_count, args=(weights,))
        self._loss_sum.assign_add(self._sum(losses))
        self._seen.assign_add(self._sum(examples))
        if self.average:
            count = tf.cast(self.optimizer.iterations, tf.float32)
            decay = tf.minimum(self._decay, (1.0 + count) / (10.0 + count))
            for average, weight in zip(self.average, self.model.weights, strict=True):
                average.assign(average + tf.cast(1.0 - decay, average.dtype) * (weight - average))

    def _here(self, inputs: Any, targets: Any, weights: Any) -> Any:
        """Learn from this replica's part of the batch; return the sum of its losses, float64."""
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        scaled = tf.nest.map_structure(prepared, inputs)
        with tf.GradientTape() as tape:
            if self._teacher:
                losses = self._teacher.losses(self._student, scaled, targets)
            else:
                losses = example_losses(targets, self._student(sized(scaled, self.model), training=True))
            weighted = losses * weights
            loss = tf.reduce_mean(weighted) / replicas
            scaling = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
            to_follow = self.optimizer.get_scaled_loss(loss) if scaling else loss
        gradients = tape.gradient(to_follow, self.model.trainable_variables)
        if scaling:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        return tf.reduce_sum(tf.cast(weighted, tf.float64))

    def _sum(self, values: Any) -> Any:
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

    def _distributed(self, batch: Any) -> Any:
        """Give each replica of this machine its part of the batch."""
        here = self._strategy.extended.worker_devices
        parts = len(here)

        def part_of(array: Array) -> Any:
            pieces = np.array_split(np.asarray(array), parts)
            return self._strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(pieces[context.replica_id_in_sync_group % parts])
            )

        return tf.nest.map_structure(part_of, batch)


def make_optimizer(model: keras.Model, options: LearnerOptions) -> Any:
    """Return AdamW with its schedule, built for the layers of ``model`` that learn."""
    warm_up = max(1, round(options.warm_up_share * options.steps))
    rate = keras.optimizers.schedules.CosineDecay(
        options.learning_rate / 10,
        max(1, options.steps - warm_up),
        alpha=0.01,
        warmup_target=options.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=options.weight_decay)
    if any(layer.dtype_policy.compute_dtype == "float16" for layer in model.layers):
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def _count(weights: Any) -> Any:
    return tf.cast(tf.size(weights), tf.float64)
