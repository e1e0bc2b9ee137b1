"""The batches of a pipeline as a tf.data.Dataset, in the same order.

    dataset = as_dataset(pipeline, start=State(epoch=3, step=120), epochs=10)
    model.fit(dataset.map(lambda inputs, labels, weights: (scaled(inputs["images"]), labels, weights)))

A dataset does not say where it stands. Count the batches that were used, and ``pipeline.advance(start, used)`` is the
state to go on from. For several workers of ``tf.distribute``, give each pipeline its ``num_shards`` and ``index``.
"""

from typing import Any

from ml_training.data.pipeline.batches import BEGINNING, Batch, Pipeline, State


def as_dataset(pipeline: Pipeline, *, start: State = BEGINNING, epochs: int | None = None) -> Any:
    """Return a dataset of (inputs, labels, weights); inputs are ``images`` and perhaps ``sound``, ``mfcc``.

    Shapes and types are those of ``Batch``. Batches have a known size when the
    pipeline drops the remainder. The dataset starts anew at ``start`` each time it is iterated over.
    """
    import tensorflow as tf

    size = pipeline.options.batch_size if pipeline.options.drop_remainder else None

    def described(array: Any) -> Any:
        return tf.TensorSpec((size, *array.shape[1:]), array.dtype)

    first = pipeline.batch(start)
    signature = tf.nest.map_structure(described, _elements(first))
    dataset = tf.data.Dataset.from_generator(
        lambda: (_elements(batch) for batch in pipeline.iterate(start, epochs=epochs)), output_signature=signature
    )
    return dataset.prefetch(1)


def _elements(batch: Batch) -> tuple[dict[str, Any], Any, Any]:
    return batch.inputs(), batch.labels, batch.weights
