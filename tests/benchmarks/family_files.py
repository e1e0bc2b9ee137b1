"""A file of every family, made in minutes: the shipped networks with pretrained or random weights, quantised to int8.

    folders = make_families(Path(temporary), ["base", "small", "temporal", "multimodal"])

For benchmarks to which it does not matter how well a model judges: how fast its file is, and whether another processor
gives the same numbers. The last layer is made steep, so that outputs differ from input to input. Each folder has the
manifest and the golden inputs that the device runner reads.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CONFIGS = {"base": "base_model", "small": "base_small", "temporal": "temporal", "multimodal": "multimodal"}
GOLDEN, EXAMPLES, STEEPNESS = 8, 24, 25.0
Example = dict[str, npt.NDArray[np.float32]]


def make_families(folder: Path, names: list[str], *, precision: str = "int8") -> dict[str, Path]:
    """Write the files of each family into a folder of its own."""
    made = {}
    for name in names:
        made[name] = folder / f"{name}-{precision}"
        made[name].mkdir(parents=True)
        _write(made[name], _parts(CONFIGS[name]), precision)
    return made


def _parts(config: str) -> dict[str, Any]:
    from ml_training.config.loading import load_config
    from ml_training.models.architectures import build, parts_of

    section = load_config(config).model.model_copy(update={"trunk_model": None})
    parts = parts_of(build(section))
    for model in parts.values():
        if section.pretrained is None:
            _settle(model)
        last = next((layer for layer in reversed(model.layers) if layer.weights and model.output_shape[-1] == 1), None)
        if last is not None:
            last.set_weights([last.get_weights()[0] * STEEPNESS, *last.get_weights()[1:]])
    return parts


def _settle(model: Any) -> None:
    """Let random weights give outputs of a usual size: batch normalisation takes its statistics from some examples."""
    shapes = dict(zip(model.input_names, (item.shape[1:] for item in model.inputs), strict=True))
    numbers = np.random.default_rng(2)
    examples = [_example(numbers, shapes) for _ in range(EXAMPLES)]
    for layer in model.layers:
        if hasattr(layer, "moving_mean"):
            layer.momentum = 0.0
    stacked = [np.stack([example[name] for example in examples]) for name in shapes]
    model(stacked if len(stacked) > 1 else stacked[0], training=True)


def _write(folder: Path, networks: dict[str, Any], precision: str) -> None:
    from ml_training.conversion.files import to_file
    from ml_training.inference.parts import TflitePart
    from ml_training.inference.scorer import load_interpreter
    from ml_training.utils.hashing import sha256_bytes

    numbers, described = np.random.default_rng(1), []
    arrays: dict[str, npt.NDArray[Any]] = {}
    for place, (name, network) in enumerate(networks.items()):
        shapes = dict(zip(network.input_names, (item.shape[1:] for item in network.inputs), strict=True))
        examples = [_example(numbers, shapes) for _ in range(EXAMPLES)]
        content = to_file(network, precision, examples if precision == "int8" else None)  # type: ignore[arg-type]
        (folder / f"{name}.tflite").write_bytes(content)
        described.append({"name": name, "file": f"{name}.tflite", "sha256": sha256_bytes(content)})
        part = TflitePart(load_interpreter(Path(name), content=content))
        stacked = {key: np.stack([example[key] for example in examples[:GOLDEN]]) for key in shapes}
        prepared = part.prepare(stacked)
        outputs = [part.run_raw({key: values[n] for key, values in prepared.items()}) for n in range(GOLDEN)]
        prefix = f"{name}_" if place else ""
        arrays |= {f"head_{key}" if place else "inputs": values for key, values in prepared.items()}
        arrays[f"{prefix}outputs"] = np.stack(outputs)
    np.savez_compressed(folder / "golden.npz", **arrays)  # type: ignore[arg-type]
    manifest = {"parts": described, "sha256": described[0]["sha256"], "golden": {"inputs": "golden.npz"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _example(numbers: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> Example:
    """Return one input: pictures are smooth, as pictures are; all else is noise in the range that it has in service."""
    return {
        name: _picture(numbers, shape[0]) if shape[-1] == 3 else _noise(numbers, shape)
        for name, shape in shapes.items()
    }


def _picture(numbers: np.random.Generator, side: int) -> npt.NDArray[np.float32]:
    coarse = numbers.uniform(-1, 1, (4, 4, 3)).astype(np.float32)
    return np.clip(np.kron(coarse, np.ones((-(-side // 4), -(-side // 4), 1), np.float32))[:side, :side], -1, 1)


def _noise(numbers: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return numbers.uniform(0, 1, shape).astype(np.float32)
