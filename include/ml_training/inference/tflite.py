"""One ``.tflite`` file in LiteRT: what a device runs, and nothing that a device does not have.

    part = TflitePart(load_interpreter(Path("head.tflite")))
    part.run({"embeddings": windows})              # float32 [n, 5, 256] -> float32 [n, 1]

One example a run, as devices do, in the file's own numbers: each input is quantized by its own scale, the output
brought back. Converters rename inputs, so one that is not found by its name is found by its shape.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.utils.errors import ModelError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Shape = tuple[int, ...]

BYTE_SCALE = (1.0 / 128.0, -1)  # of an int8 input for which byte b is int8 b - 128


def scale(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scale RGB bytes to the input that the networks are trained on: ``(x - 127) / 128``, float32."""
    return (images.astype(np.float32) - 127.0) / 128.0


def load_interpreter(path: Path, *, content: bytes | None = None, threads: int = 1) -> Any:
    """Return LiteRT's interpreter of a file, or of ``content`` made of it. Raises ModelError when it cannot run."""
    from ai_edge_litert.interpreter import Interpreter

    source: dict[str, Any] = {"model_path": str(path)} if content is None else {"model_content": content}
    try:
        interpreter = Interpreter(**source, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path} is not a model that LiteRT can run: {error}") from error
    return interpreter


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
        return as_floats(values)
    step, zero = details["quantization"]
    if values.dtype == np.uint8 and details["dtype"] == np.int8 and (step, zero) == BYTE_SCALE:
        return np.asarray(values ^ np.uint8(0x80)).view(np.int8)
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(as_floats(values) / step) + zero, limits.min, limits.max).astype(details["dtype"])


def dequantized(values: Array, details: Mapping[str, Any]) -> Floats:
    """Turn the numbers of an output into floats."""
    if details["dtype"] == np.float32:
        return np.asarray(values, np.float32)
    step, zero = details["quantization"]
    return ((values.astype(np.float32) - zero) * step).astype(np.float32)


def as_floats(values: Array) -> Floats:
    """Return float32; bytes of pictures are scaled."""
    return scale(values) if values.dtype == np.uint8 else np.asarray(values, np.float32)


def _shape(details: Mapping[str, Any]) -> Shape:
    return tuple(int(side) for side in details["shape"][1:])
