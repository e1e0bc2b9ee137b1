"""Networks become int8 ``.tflite`` files here, whichever way their ranges were found.

    content = to_int8(quantized)                                  # ranges from quantization-aware training
    content = to_int8(head, representative=[{"embeddings": ...}, ...])      # ranges from examples, after training

Inputs and output are int8 too. A file has a batch of one: that is how devices run it, and how an unrolled LSTM stays
without state.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras

Array = npt.NDArray[Any]


def to_int8(model: keras.Model, representative: Iterable[Mapping[str, Array]] | None = None) -> bytes:
    """Convert a model to a ``.tflite`` file; ``representative`` are examples by input name, float32 without a batch."""
    import tensorflow as tf

    # A frozen graph of one example at a time. By way of a Keras SavedModel the same file takes 12 times as long.
    names = model.input_names
    shapes = [
        tf.TensorSpec([1, *item.shape[1:]], tf.float32, name=name)
        for name, item in zip(names, model.inputs, strict=True)
    ]
    graph = tf.function(lambda *inputs: model(_joined(inputs), training=False)).get_concrete_function(*shapes)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    if representative is not None:

        def examples() -> Iterator[list[Array]]:
            for example in representative:
                yield [np.asarray(example[name], np.float32)[None] for name in names]

        converter.representative_dataset = examples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def _joined(inputs: tuple[Any, ...]) -> Any:
    return list(inputs) if len(inputs) > 1 else inputs[0]
