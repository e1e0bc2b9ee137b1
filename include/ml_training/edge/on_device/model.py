"""A model as a device runs it: its parts in LiteRT, one frame after the other, held against golden outputs and labels.

    model = Model(folder, threads=1)         # manifest.json, the files that it names, golden.npz
    model.check_golden()["golden_exact"]
    model.step(0)                            # seconds that each part took for one frame

A model of trunk and head runs the trunk once a frame and keeps the window of its last outputs for the head.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ml_training.edge.on_device.runtime import RunnerError, import_runtime


class Part:
    """One file of the model: arrays in its own numbers in, an array in its own numbers out."""

    def __init__(self, name: str, path: str, threads: int) -> None:
        self.name, self.path = name, path
        try:
            self.interpreter = import_runtime()(model_path=path, num_threads=threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise RunnerError("model_unusable", f"the runtime refuses {os.path.basename(path)}: {error}") from error
        self.inputs = {item["name"]: item for item in self.interpreter.get_input_details()}
        outputs = self.interpreter.get_output_details()
        if len(outputs) != 1:
            raise RunnerError("model_unusable", f"expected one output of {name}, received {len(outputs)}")
        self.output = outputs[0]

    def run(self, values: dict[str, Any]) -> Any:
        """Return the output without its batch of one for inputs without theirs; a copy."""
        for name, value in values.items():
            self.interpreter.set_tensor(self.inputs[name]["index"], value[None])
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])[0]

    def take_golden(self, arrays: dict[str, Any], prefix: str) -> None:
        """Keep this part's golden inputs [n, ...] by name, and outputs [n, ...]. Raises RunnerError on a misfit."""
        names = [key for key in arrays if key.startswith(prefix) and key != f"{prefix}outputs"]
        if not prefix:
            names = [key for key in names if key.startswith("inputs")]
        self.golden_inputs = self.match({key[len(prefix) :]: arrays[key] for key in names})
        self.golden_outputs = arrays.get(f"{prefix}outputs", ())
        count = len(self.golden_outputs)
        if not count or any(len(values) != count for values in self.golden_inputs.values()):
            raise RunnerError("golden_unusable", f"{self.name} has golden inputs and {count} outputs to them")

    def golden_input(self, number: int) -> dict[str, Any]:
        """Return one golden input, round and round."""
        return one(self.golden_inputs, number)

    def check_golden(self) -> dict[str, Any]:
        """Return whether the outputs come out the same, and by how much not."""
        import numpy as np

        expected = np.asarray(self.golden_outputs, np.float64)
        answers = np.stack([self.run(self.golden_input(number)) for number in range(len(expected))])
        difference = float(np.max(np.abs(answers.astype(np.float64) - expected)))
        return {"exact": difference == 0, "max_difference": difference, "inputs": len(expected)}

    def match(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """Return arrays [n, ...] under the input names: by name, else by shape and type. Raises RunnerError."""
        found = {}
        for name, item in self.inputs.items():
            fitting = {key: values for key, values in arrays.items() if fits(values, item)}
            if name not in fitting and len(fitting) != 1:
                received = ", ".join(f"{key} {v.shape[1:]} of {v.dtype}" for key, v in arrays.items()) or "nothing"
                wanted = f"{tuple(item['shape'][1:].tolist())} of {item['dtype'].__name__}"
                raise RunnerError("golden_unusable", f"{self.name} takes {wanted}, the golden inputs are {received}")
            found[name] = fitting.get(name, next(iter(fitting.values())))
        return found


def fits(values: Any, details: dict[str, Any]) -> bool:
    """Tell whether an array [n, ...] holds examples of an input."""
    return values.shape[1:] == tuple(details["shape"][1:].tolist()) and values.dtype == details["dtype"]


def as_floats(values: Any, details: dict[str, Any]) -> Any:
    """Turn an output's numbers into float32."""
    import numpy as np

    step, zero = details["quantization"]
    return values.astype(np.float32) if not step else ((values.astype(np.float32) - zero) * step).astype(np.float32)


def as_input(values: Any, details: dict[str, Any]) -> Any:
    """Turn float32 into an input's numbers."""
    import numpy as np

    step, zero = details["quantization"]
    if not step:
        return values.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(values / step) + zero, limits.min, limits.max).astype(details["dtype"])


class Model:
    """All parts of a model with their golden inputs and outputs."""

    def __init__(self, folder: str, threads: int) -> None:
        import numpy as np

        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            named = json.load(file)["parts"]
        self.parts = [Part(part["name"], os.path.join(folder, part["file"]), threads) for part in named]
        with np.load(os.path.join(folder, "golden.npz")) as golden:
            arrays = dict(golden)
        for part in self.parts:
            part.take_golden(arrays, "" if part is self.parts[0] else f"{part.name}_")
        self._window: Any = None

    def step(self, number: int) -> tuple[float, ...]:
        """Judge one golden frame; returns the seconds that each part took."""
        trunk, start = self.parts[0], time.perf_counter()
        seconds: list[float] = []
        output = trunk.run(trunk.golden_input(number))
        for head in self.parts[1:]:
            start = _lap(seconds, start)
            values = head.golden_input(number)
            name = embeddings_of(head, output.size)
            if self._window is None:
                self._window = values[name].copy()
            self._window[:-1] = self._window[1:]
            self._window[-1] = as_input(as_floats(output, trunk.output), head.inputs[name])
            head.run({**values, name: self._window})
        _lap(seconds, start)
        return tuple(seconds)

    def check_golden(self) -> dict[str, Any]:
        """Run every golden input of every part and compare; differences are in the outputs' own (quantised) units."""
        by_part = {part.name: part.check_golden() for part in self.parts}
        return {
            "golden": by_part,
            "golden_exact": all(item["exact"] for item in by_part.values()),
            "golden_max_difference": max(item["max_difference"] for item in by_part.values()),
            "golden_inputs": sum(item["inputs"] for item in by_part.values()),
        }

    def accuracy(self, path: str) -> dict[str, Any]:
        """Score the frames of a test set [M] and compare with their labels and with the scores of the other side."""
        import numpy as np

        with np.load(path) as file:
            test = dict(file)
        trunk, rest = self.parts[0], self.parts[1:]
        pictures = next(iter(trunk.match({"pictures": test["pictures"]})))
        outputs = np.stack([trunk.run({pictures: picture}) for picture in test["pictures"]])
        for head in rest:
            name = embeddings_of(head, outputs[0].size)
            windows = as_input(as_floats(outputs, trunk.output)[test["places"]], head.inputs[name])
            heard = {key[5:]: values for key, values in test.items() if key.startswith("head_")}
            inputs = head.match({name: windows, **heard})
            outputs = np.stack([head.run(one(inputs, number)) for number in range(len(windows))])
        scores = as_floats(outputs, self.parts[-1].output)[:, int(test["column"])]
        called, ads = scores >= float(test["threshold"]), test["labels"] == 1
        right = int(np.sum(called & ads))
        return {
            "frames": len(ads),
            "ads": int(ads.sum()),
            "precision": right / max(int(called.sum()), 1),
            "recall": right / max(int(ads.sum()), 1),
            "f1": 2 * right / max(int(called.sum()) + int(ads.sum()), 1),
            "max_score_difference": float(np.max(np.abs(scores - test["expected"]))),
        }


def _lap(seconds: list[float], start: float) -> float:
    now = time.perf_counter()
    seconds.append(now - start)
    return now


def embeddings_of(head: Part, size: int) -> str:
    """Return the head's input that takes the window of the trunk's outputs of this size."""
    for name, item in head.inputs.items():
        if len(item["shape"]) == 3 and item["shape"][-1] == size:
            return name
    raise RunnerError("model_unusable", f"{head.name} has no input for windows of {size} numbers")


def one(inputs: dict[str, Any], number: int) -> dict[str, Any]:
    """Return one example of arrays [n, ...], round and round."""
    return {name: values[number % len(values)] for name, values in inputs.items()}
