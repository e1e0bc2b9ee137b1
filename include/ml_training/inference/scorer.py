"""A scorer of single pictures: pictures in, probabilities of an ad out; ``inference.models`` opens models of any kind.

    scorer = load_scorer(Path("model.tflite"))
    scores = scorer.score(images)          # uint8 [N, 224, 224, 3] RGB -> float32 [N]

A ``.tflite`` file runs in LiteRT, the runtime that devices have, one picture at a time as they do; a ``.keras`` file in
TensorFlow. Both take bytes and scale them as the file says: an int8 input by its own scale and zero point.
"""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ml_training.inference.tflite import load_interpreter, scale
from ml_training.utils.errors import ModelError

Images = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]

KERAS_BATCH = 32

__all__ = ["KerasScorer", "Scorer", "TfliteScorer", "load_interpreter", "load_keras", "load_scorer", "scale"]


class Scorer(Protocol):
    """Gives each picture the probability that it is an ad's."""

    def score(self, images: Images) -> Scores:
        """Score uint8 [N, H, W, 3] RGB of the model's input size; returns float32 [N] in [0, 1]."""
        ...


def load_scorer(path: Path, *, threads: int = 1) -> Scorer:
    """Load a ``.tflite`` or ``.keras`` file. Raises ModelError when it is neither, or is broken."""
    if path.suffix == ".tflite":
        return TfliteScorer(path, threads=threads)
    if path.suffix == ".keras":
        return KerasScorer(load_keras(path))
    raise ModelError(f"expected a .tflite or .keras file, received {path.name}")


class TfliteScorer:
    """A ``.tflite`` file in LiteRT with XNNPACK."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._interpreter = load_interpreter(path, threads=threads)
        self.input: dict[str, Any] = self._interpreter.get_input_details()[0]
        self.output: dict[str, Any] = self._interpreter.get_output_details()[0]

    def score(self, images: Images) -> Scores:
        """Score uint8 [N, H, W, 3]; one ``invoke`` a picture."""
        expected = tuple(int(side) for side in self.input["shape"][1:])
        if images.shape[1:] != expected:
            raise ModelError(f"expected pictures of shape {expected}, received {images.shape[1:]}")
        return np.array([self.run(self.prepare(images[i : i + 1])) for i in range(len(images))], np.float32)

    def prepare(self, images: Images) -> npt.NDArray[Any]:
        """Turn bytes into what the file's input takes: scaled floats, or those quantized."""
        scaled = scale(images)
        if self.input["dtype"] == np.float32:
            return scaled
        step, zero = self.input["quantization"]
        limits = np.iinfo(self.input["dtype"])
        return np.clip(np.rint(scaled / step) + zero, limits.min, limits.max).astype(self.input["dtype"])

    def run_raw(self, prepared: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run one prepared input [1, H, W, 3] and return the raw output tensor [1, 1]."""
        self._interpreter.set_tensor(self.input["index"], prepared)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self.output["index"]))

    def run(self, prepared: npt.NDArray[Any]) -> float:
        """Run one prepared input [1, H, W, 3] and return its probability."""
        raw = self.run_raw(prepared).reshape(-1)[0]
        if self.output["dtype"] == np.float32:
            return float(raw)
        step, zero = self.output["quantization"]
        return float((float(raw) - zero) * step)

    def tensor_types(self) -> dict[str, str]:
        """Return the type of every tensor by name."""
        return {d["name"]: np.dtype(d["dtype"]).name for d in self._interpreter.get_tensor_details()}


def load_keras(path: Path) -> Any:
    """Load a ``.keras`` file. Raises ModelError when it is broken."""
    import tf_keras

    try:
        return tf_keras.models.load_model(path, compile=False)
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is not a model that tf_keras can load: {error}") from error


class KerasScorer:
    """A Keras model in TensorFlow."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def score(self, images: Images) -> Scores:
        """Score uint8 [N, H, W, 3] in batches."""
        parts = [
            self._model.predict_on_batch(scale(images[start : start + KERAS_BATCH])).reshape(-1)
            for start in range(0, len(images), KERAS_BATCH)
        ]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
