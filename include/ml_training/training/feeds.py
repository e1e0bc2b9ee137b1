"""What gives a stage its batches: arrays that lie ready, or a pipeline that makes pictures.

    feed = ArrayFeed(LabeledArrays(features, labels), LoopOptions(epochs=30, batch_size=128, learning_rate=1e-3))
    for fed in feed.iterate(epoch=3, step=120, epochs=30): ...        # the same batches, wherever one begins

Which examples a step sees, and how they are changed, depends on the seed and the number of the step alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ml_training.data.pipeline.batches import Pipeline, State
from ml_training.utils.errors import DatasetUnusable

Array = npt.NDArray[Any]
Inputs = Array | Mapping[str, Array]

HEAVIEST = 10.0  # of a class with few examples, when there are more than two


class LoopOptions(NamedTuple):
    """How one stage learns."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    seed: int = 1
    class_weighting: bool = True
    warm_up_share: float = 0.1  # of all steps
    ema_decay: float | None = None
    early_stopping_epochs: int | None = None
    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    name: str = "training"


class LabeledArrays(NamedTuple):
    """Inputs [N, ...] (an array, a memory map, or several by the names of the model's inputs) and labels [N].

    Labels are 0 or 1, an ad; of more classes, their numbers. ``targets`` float [N] in [0, 1] are learned in place of
    the labels, as when one model learns from another.
    """

    inputs: Any
    labels: Array
    targets: Array | None = None


class Fed(NamedTuple):
    """One batch, and where it stands."""

    inputs: Inputs
    targets: Array  # float32 [B, 1] or [B, classes]
    weights: Array  # float32 [B]
    epoch: int
    step: int
    last: bool  # of its epoch


class Feed(Protocol):
    """Gives the batches of a stage, from any step on."""

    @property
    def examples(self) -> int:
        """The examples of an epoch."""
        ...

    @property
    def steps(self) -> int:
        """The batches of an epoch."""
        ...

    def iterate(self, epoch: int, step: int, epochs: int) -> Iterator[Fed]:
        """Yield batches from a step of an epoch on, until ``epochs`` are over in all."""
        ...


class ArrayFeed:
    """Batches of arrays, in an order that seed and epoch decide."""

    def __init__(self, data: LabeledArrays, options: LoopOptions, *, classes: int = 2) -> None:
        self._data, self._options = data, options
        labels = data.labels if data.targets is None else data.targets
        self._targets = targets_of(labels, classes, options.label_smoothing)
        weighted = options.class_weighting
        self._weights = class_weights(data.labels) if weighted else np.ones(len(data.labels), np.float32)

    @property
    def examples(self) -> int:
        """The examples of an epoch."""
        return len(self._data.labels)

    @property
    def steps(self) -> int:
        """The batches of an epoch; the last one may be smaller."""
        return -(-self.examples // self._options.batch_size)

    def iterate(self, epoch: int, step: int, epochs: int) -> Iterator[Fed]:
        """Yield batches from a step of an epoch on, until ``epochs`` are over in all."""
        size = self._options.batch_size
        for current in range(epoch, epochs):
            order = np.random.default_rng([self._options.seed, current]).permutation(self.examples)
            for number in range(step if current == epoch else 0, self.steps):
                chosen = np.sort(order[number * size : (number + 1) * size])
                inputs, last = rows_of(self._data.inputs, chosen), number + 1 == self.steps
                yield Fed(inputs, self._targets[chosen], self._weights[chosen], current, number, last)


class PipelineFeed:
    """Pictures of a pipeline, changed anew in every epoch; labels are the numbers of classes."""

    def __init__(self, pipeline: Pipeline, options: LoopOptions, *, classes: int = 2) -> None:
        self._pipeline = pipeline
        labels = pipeline.examples.labels
        self._targets = targets_of(labels, classes, options.label_smoothing)
        weighted = options.class_weighting
        self._weights = class_weights(labels) if weighted else np.ones(len(labels), np.float32)

    @property
    def examples(self) -> int:
        """The examples of an epoch, of this machine."""
        return self.steps * self._pipeline.options.batch_size

    @property
    def steps(self) -> int:
        """The batches of an epoch."""
        return self._pipeline.steps_per_epoch

    def iterate(self, epoch: int, step: int, epochs: int) -> Iterator[Fed]:
        """Yield batches from a step of an epoch on, until ``epochs`` are over in all."""
        at = State(epoch, step)
        for batch in self._pipeline.iterate(at, epochs=epochs):
            weights = self._weights[batch.numbers] * batch.weights
            last = batch.next_state.step == 0
            yield Fed(batch.images, self._targets[batch.numbers], weights, at.epoch, at.step, last)
            at = batch.next_state


def class_weights(labels: Array) -> npt.NDArray[np.float32]:
    """Return a weight for every sample that makes all classes count the same; their mean is 1.

    Of more than two classes none counts more than ten times as much as its number says. Raises DatasetUnusable when
    there are less than two.
    """
    classes, places, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if len(classes) < 2:
        found = ", ".join(str(int(one)) for one in classes) or "none"
        raise DatasetUnusable(f"examples of two classes are needed, received {found}: label more recordings")
    weights = len(labels) / (len(classes) * counts)
    weights = weights if len(classes) == 2 else np.minimum(weights, HEAVIEST)
    found_weights = weights[places]
    return np.asarray(found_weights / found_weights.mean(), np.float32)


def targets_of(labels: Array, classes: int, smoothing: float) -> npt.NDArray[np.float32]:
    """Return what is learned: float32 [N, 1] of labels (or scores) [N] for two classes, else [N, classes]."""
    if classes == 2:
        return (np.asarray(labels, np.float32)[:, None] * (1.0 - smoothing) + 0.5 * smoothing).astype(np.float32)
    certain = np.eye(classes, dtype=np.float32)[np.asarray(labels, np.int64)]
    return (certain * (1.0 - smoothing) + smoothing / classes).astype(np.float32)


def rows_of(inputs: Any, chosen: Array) -> Inputs:
    """Return the chosen rows of an array, or of each of several by name."""
    if isinstance(inputs, Mapping):
        return {name: np.asarray(array[chosen]) for name, array in inputs.items()}
    return np.asarray(inputs[chosen])
