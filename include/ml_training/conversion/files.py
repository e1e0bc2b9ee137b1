"""Networks become ``.tflite`` files here, in whichever precision and however their ranges were found.

    content = to_file(quantized, "int8")                           # ranges from quantization-aware training
    content = to_file(head, "int8", [{"embeddings": ...}, ...])    # ranges from examples, after training
    content = to_file(model, "float16")

In int8 and int16 files inputs and output are of that type too. A file has a batch of one: that is how devices run it,
and how an unrolled LSTM stays without state.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tf_keras as keras

Array = npt.NDArray[Any]
Examples = Iterable[Mapping[str, Array]]
Precision = Literal["int8", "int16", "float16", "float32"]


def to_file(model: keras.Model, precision: Precision = "int8", representative: Examples | None = None) -> bytes:
    """Convert a model; ``representative`` are examples by input name, float32 without a batch, for int8 and int16."""
    return bytes(make_converter(model, precision, representative).convert())


def to_int8(model: keras.Model, representative: Examples | None = None) -> bytes:
    """Convert a model to an int8 file."""
    return to_file(model, "int8", representative)


def make_converter(model: keras.Model, precision: Precision, representative: Examples | None) -> Any:
    """Return TensorFlow's converter, set to a precision."""
    import tensorflow as tf

    # A frozen graph of one example at a time. By way of a Keras SavedModel the same file takes 12 times as long.
    shapes = [
        tf.TensorSpec([1, *item.shape[1:]], tf.float32, name=name)
        for name, item in zip(model.input_names, model.inputs, strict=True)
    ]
    graph = tf.function(lambda *inputs: model(_joined(inputs), training=False)).get_concrete_function(*shapes)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision in ("int8", "int16"):
        converter.inference_input_type = converter.inference_output_type = getattr(tf, precision)
    if representative is not None:
        converter.representative_dataset = representative_dataset(model, representative)
        ops = tf.lite.OpsSet
        wide = ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wide if precision == "int16" else ops.TFLITE_BUILTINS_INT8]
    return converter


def representative_dataset(model: keras.Model, examples: Examples) -> Any:
    """Return what the converter calls for examples: batches of one, float32, in the order of the inputs."""

    def one_by_one() -> Iterator[list[Array]]:
        for example in examples:
            yield [np.asarray(example[name], np.float32)[None] for name in model.input_names]

    return one_by_one


def _joined(inputs: tuple[Any, ...]) -> Any:
    return list(inputs) if len(inputs) > 1 else inputs[0]
