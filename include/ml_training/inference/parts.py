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
import numpy.typing as npt

from ml_training.inference.scorer import load_interpreter, load_keras, scale
from ml_training.utils.errors import ModelError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Shape = tuple[int, ...]

BYTE_SCALE = (1.0 / 128.0, -1)  # of an int8 input for which byte b is int8 b - 128


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
        return np.asarray(self._run(*(_as_floats(named[name]) for name in self.input_shapes)), np.float32)


class TflitePart:
    """A ``.tflite`` file in LiteRT with XNNPACK; one example a run."""

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        self.inputs: dict[str, dict[str, Any]] = {item["name"]: item for item in interpreter.get_input_details()}
        self.output: dict[str, Any] = interpreter.get_output_details()[0]
        self.input_shapes = {name: _shape(item) for name, item in self.inputs.items()}
        self.output_shape: Shape = _shape(self.output)

    def run(self, inputs: Mapping[str, Array]) -> Floats:
        """Run n examples."""
        prepared = self.prepare(inputs)
        count = len(next(iter(prepared.values())))
        outputs = np.empty((count, *self.output_shape), self.output["dtype"])
        for place in range(count):
            outputs[place] = self.run_raw({name: values[place] for name, values in prepared.items()})
        return dequantized(outputs, self.output)

    def prepare(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return n examples in the file's own numbers, by its own names."""
        named = match_inputs(inputs, self.input_shapes)
        return {name: quantized(values, self.inputs[name]) for name, values in named.items()}

    def run_raw(self, prepared: Mapping[str, Array]) -> Array:
        """Run one example in the file's own numbers; returns a copy of the output without the batch."""
        for name, values in prepared.items():
            self.interpreter.set_tensor(self.inputs[name]["index"], values[None])
        self.interpreter.invoke()
        return np.asarray(self.interpreter.get_tensor(self.output["index"])[0])

    def tensor_types(self) -> dict[str, str]:
        """Return the type of every tensor by name."""
        return {item["name"]: np.dtype(item["dtype"]).name for item in self.interpreter.get_tensor_details()}


def match_inputs(inputs: Mapping[str, Array], shapes: Mapping[str, Shape]) -> dict[str, Array]:
    """Return the arrays under a network's own input names: by name, else by the shape of an example.

    Raises ModelError when one is missing, or fits more than one input.
    """
    found: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name in inputs and inputs[name].shape[1:] == shape:
            found[name] = inputs[name]
            continue
        fitting = [key for key, values in inputs.items() if values.shape[1:] == shape]
        if len(fitting) != 1:
            received = {key: values.shape[1:] for key, values in inputs.items()}
            raise ModelError(f"expected an input {name} of shape {shape}, received {received}")
        found[name] = inputs[fitting[0]]
    return found


def quantized(values: Array, details: Mapping[str, Any]) -> Array:
    """Turn bytes of pictures or floats into the numbers that an input takes."""
    if details["dtype"] == np.float32:
        return _as_floats(values)
    step, zero = details["quantization"]
    if values.dtype == np.uint8 and details["dtype"] == np.int8 and (step, zero) == BYTE_SCALE:
        return np.asarray(values ^ np.uint8(0x80)).view(np.int8)
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(_as_floats(values) / step) + zero, limits.min, limits.max).astype(details["dtype"])


def dequantized(values: Array, details: Mapping[str, Any]) -> Floats:
    """Turn the numbers of an output into floats."""
    if details["dtype"] == np.float32:
        return np.asarray(values, np.float32)
    step, zero = details["quantization"]
    return ((values.astype(np.float32) - zero) * step).astype(np.float32)


def _as_floats(values: Array) -> Floats:
    return scale(values) if values.dtype == np.uint8 else np.asarray(values, np.float32)


def _shape(details: Mapping[str, Any]) -> Shape:
    return tuple(int(side) for side in details["shape"][1:])
