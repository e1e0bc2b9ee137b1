"""The batches of a pipeline as a tf.data.Dataset, in the same order.

    dataset = as_dataset(pipeline, start=State(epoch=3, step=120), epochs=10)
    model.fit(dataset.map(lambda inputs, labels, weights: (scaled(inputs["images"]), labels, weights)))

A dataset does not say where it stands. Count the batches that were used, and ``pipeline.advance(start, used)`` is the
state to go on from. For several workers of ``tf.distribute``, give each pipeline its ``num_shards`` and ``index``.
"""

import sys
from typing import Any

from ml_training.data.pipeline.batches import BEGINNING, Batch, Pipeline, State


def as_dataset(pipeline: Pipeline, *, start: State = BEGINNING, epochs: int | None = None) -> Any:
    """Return a dataset of (inputs, labels, weights); inputs are ``images`` and perhaps ``sound``, ``mfcc``.

    Shapes and types are those of ``Batch``. Batches have a known size when the
    pipeline drops the remainder. The dataset starts anew at ``start`` each time it is iterated over.
    """
    import tensorflow as tf

    structure = _elements(pipeline.batch(start))
    arrays = tf.nest.flatten(structure)
    size = pipeline.options.batch_size if pipeline.options.drop_remainder else None

    def make(number: Any) -> list[Any]:
        return list(tf.nest.flatten(_elements(pipeline.batch(pipeline.advance(start, int(number))))))

    def element(number: Any) -> Any:
        tensors = tf.numpy_function(make, [number], [array.dtype for array in arrays], stateful=False)
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.set_shape((size, *array.shape[1:]))
        return tf.nest.pack_sequence_as(structure, tensors)

    # A map over numbers, not from_generator: that one tells malloc to give all memory back at once, in the whole
    # process, and then every picture costs its pages anew (measured: a third more time for augmentation).
    numbers = tf.data.Dataset.range(_count(pipeline, start, epochs))
    return numbers.map(element, num_parallel_calls=pipeline.options.workers, deterministic=True).prefetch(1)


def _count(pipeline: Pipeline, start: State, epochs: int | None) -> int:
    if epochs is None:
        return sys.maxsize
    return max(0, (epochs - start.epoch) * pipeline.steps_per_epoch - start.step)


def _elements(batch: Batch) -> tuple[dict[str, Any], Any, Any]:
    return batch.inputs(), batch.labels, batch.weights
