"""One file of a model, with any number of inputs, in the runtime that its kind needs.

    part = load_part(Path("head.tflite"))
    part.run({"embeddings": windows})              # float32 [n, 5, 256] -> float32 [n, 1]

Inputs are float32 by name; pictures may come as bytes, which are scaled on the way. A ``.tflite`` file runs in LiteRT,
one example at a time as devices do, and takes and gives its own numbers: each input is quantized by its own scale, the
output brought back. Converters rename inputs, so one that is not found by its name is found by its shape.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ml_training.inference.scorer import load_keras
from ml_training.inference.tflite import (
    Array,
    Floats,
    Shape,
    TflitePart,
    as_floats,
    dequantized,
    load_interpreter,
    match_inputs,
    quantized,
)
from ml_training.utils.errors import ModelError

__all__ = ["KerasPart", "Part", "TflitePart", "dequantized", "load_part", "match_inputs", "quantized"]


class Part(Protocol):
    """A network in memory. Shapes are those of one example, without the batch."""

    input_shapes: dict[str, Shape]
    output_shape: Shape

    def run(self, inputs: Mapping[str, Array]) -> Floats:
        """Run n examples: name -> [n, ...]; returns float32 [n, ...]. Raises ModelError for inputs that do not fit."""
        ...


def load_part(path: Path, *, threads: int = 1) -> Part:
    """Load a ``.tflite`` or ``.keras`` file. Raises ModelError when it is neither, is broken or not there."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}: the model is not complete")
    if path.suffix == ".tflite":
        return TflitePart(load_interpreter(path, threads=threads))
    if path.suffix == ".keras":
        return KerasPart(load_keras(path))
    raise ModelError(f"expected a .tflite or .keras file, received {path.name}")


class KerasPart:
    """A Keras model in TensorFlow; the whole batch at once."""

    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        shapes = [tuple(item.shape[1:]) for item in model.inputs]
        self.input_shapes: dict[str, Shape] = dict(zip(model.input_names, shapes, strict=True))
        self.output_shape: Shape = tuple(model.output_shape[1:])
        signature = [tf.TensorSpec([None, *shape], tf.float32) for shape in shapes]

        def run(*inputs: Any) -> Any:
            return model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)

        self._run = tf.function(run, input_signature=signature)  # one graph for any number of examples

    def run(self, inputs: Mapping[str, Array]) -> Floats:
        """Run n examples."""
        named = match_inputs(inputs, self.input_shapes)
        return np.asarray(self._run(*(as_floats(named[name]) for name in self.input_shapes)), np.float32)
