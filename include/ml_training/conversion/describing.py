"""What travels with a model's files: their manifest, the text inside each of them, golden inputs and outputs.

    files = with_metadata(conversion.files, manifest)
    content = golden(files, heard, validation, data_dir)          # an .npz file

Golden outputs are made by the finished files in the runtime that the manifest names; a device must repeat them.
"""

import io
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from ml_training.conversion.converting import Conversion, ConvertedFile, Example, How, loaded
from ml_training.conversion.manifest import Golden, Manifest, PartDescription, Preprocessing, TensorDescription
from ml_training.conversion.metadata import FileMetadata, finish
from ml_training.data.frames import FRAME_SIZE, RESIZE_NAME
from ml_training.inference.description import view_of
from ml_training.inference.models import fit_size
from ml_training.inference.parts import quantized
from ml_training.inference.sound import SOUND_NAME
from ml_training.training.model_card import ModelCard
from ml_training.training.samples import Samples, iterate_images
from ml_training.utils.hashing import code_version, sha256_bytes
from ml_training.utils.source_control import git_commit

GOLDEN_INPUTS = 8
OUTPUT_NAMES = {"model": "scores", "trunk": "embedding", "head": "scores"}
MINIMUM_RUNTIME = "1.2.0"  # of ai-edge-litert: every file of the page docs/conversion.md ran there as in 2.3.0


class Origin(NamedTuple):
    """Where a model comes from."""

    card: ModelCard
    how: How
    model_uri: str


def describe(conversion: Conversion, origin: Origin) -> tuple[list[ConvertedFile], Manifest]:
    """Return the files with their metadata and names, and the manifest of the model."""
    facts = _facts(conversion, origin)
    files = [finished(item, facts) for item in conversion.files]
    parts = [_describe_part(item) for item in files]
    card = origin.card
    return files, Manifest(
        **facts,
        architecture=card.config.model.architecture,
        sha256=parts[0].sha256,
        size_bytes=sum(part.size_bytes for part in parts),
        input=parts[0].inputs[0],
        output=parts[-1].output,
        parts=parts,
        mlflow_run_id=card.mlflow_run_id,
        runtime=runtime_version(),
        golden=Golden(n=GOLDEN_INPUTS),
        parent_uri=origin.model_uri,
        created_at=datetime.now(UTC),
    )


def golden(files: list[ConvertedFile], heard: list[Example], samples: Samples, data_dir: str) -> bytes:
    """Return the inputs of each file, in its own numbers, and what it gave for them, as an .npz file."""
    first = files[0].part
    ((name, shape),) = first.input_shapes.items()
    spread = np.unique(np.linspace(0, len(samples.labels) - 1, GOLDEN_INPUTS).astype(int))
    batches = iterate_images(samples.take(spread), data_dir, batch_size=GOLDEN_INPUTS)
    pictures = np.concatenate([quantized(fit_size(images, shape), first.inputs[name]) for _, images in batches])
    arrays = {"inputs": pictures, "outputs": np.stack([first.run_raw({name: picture}) for picture in pictures])}
    if len(files) > 1:
        head, examples = files[1].part, heard[:GOLDEN_INPUTS]
        inputs = [head.prepare({key: values[None] for key, values in example.items()}) for example in examples]
        arrays |= {f"head_{key}": np.concatenate([item[key] for item in inputs]) for key in head.input_shapes}
        outputs = [head.run_raw({key: values[0] for key, values in item.items()}) for item in inputs]
        arrays["head_outputs"] = np.stack(outputs)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def runtime_version() -> str:
    """Return the LiteRT runtime that made the golden outputs, such as ``ai-edge-litert 2.3.0``."""
    return f"ai-edge-litert {version('ai-edge-litert')}"


def _facts(conversion: Conversion, origin: Origin) -> dict[str, Any]:
    """Return what the files say as well as the manifest."""
    card, section = origin.card, origin.card.config.model
    view = view_of(section.architecture)
    resize = RESIZE_NAME + (f", inter_area-{section.input_size}" if section.input_size != FRAME_SIZE else "")
    calibration = conversion.calibration
    return {
        "model_name": card.model_name,
        "labels": list(section.classes),
        "threshold": card.threshold,
        "preprocessing": Preprocessing(resize=resize, sound=SOUND_NAME if view.sound_seconds else None),
        "view": view,
        "mfcc_bands": section.mfcc_bands if view.sound_seconds else None,
        "minimum_runtime": MINIMUM_RUNTIME,
        "dataset_id": card.dataset_id,
        "run_id": card.run_id,
        "git_commit": git_commit(),
        "code_version": code_version(),
        "quantization": origin.how.quantization,
        "keep_float": list(origin.how.keep_float),
        "calibration_id": calibration.calibration_id if calibration else None,
    }


def finished(item: ConvertedFile, facts: dict[str, Any]) -> ConvertedFile:
    """Return a file with its metadata, and with the names that its network has for inputs and output."""
    metadata = FileMetadata(part=item.name, **facts)
    own = list(item.part.inputs)  # converters keep the names and perhaps change their order, or make up others
    inputs = own if set(own) == set(item.input_names) else item.input_names
    content = finish(item.content, metadata, inputs=inputs, output=OUTPUT_NAMES[item.name])
    return loaded(item.name, content, item.input_names)


def _describe_part(item: ConvertedFile) -> PartDescription:
    return PartDescription(
        name=item.name,
        file=item.file,
        sha256=sha256_bytes(item.content),
        size_bytes=len(item.content),
        inputs=[_describe_tensor(details) for details in item.part.inputs.values()],
        output=_describe_tensor(item.part.output),
    )


def _describe_tensor(details: dict[str, Any]) -> TensorDescription:
    step, zero = details["quantization"]
    return TensorDescription(
        name=details["name"],
        shape=[int(side) for side in details["shape"]],
        dtype=np.dtype(details["dtype"]).name,
        scale=float(step),
        zero_point=int(zero),
    )
