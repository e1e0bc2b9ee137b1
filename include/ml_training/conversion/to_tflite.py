"""Turns a float model into the int8 files that devices run.

    python -m ml_training.conversion.to_tflite --model RUN/float/model.keras --output RUN/int8 --quantize int8

A single-frame model is converted by quantization-aware training: its card names the dataset version, whose training
frames calibrate the ranges and fine-tune the upper blocks, which learn to say what the float model says. So its
threshold, chosen on validation, serves the file as well. Trunk and head of temporal and multimodal models, and models
of more than two classes, are converted after training, with ranges from training examples (``--quantize int8-ptq`` does
so with any model). Beside the files it leaves ``manifest.json`` and ``golden.npz``.
"""

import argparse
import io
import logging
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.conversion.manifest import (
    GOLDEN_NAME,
    MANIFEST_NAME,
    Golden,
    Manifest,
    PartDescription,
    Preprocessing,
    TensorDescription,
)
from ml_training.data.frames import FRAME_SIZE, RESIZE_NAME
from ml_training.inference.description import view_of
from ml_training.inference.models import fit_size
from ml_training.inference.parts import TflitePart, quantized
from ml_training.inference.scorer import load_interpreter
from ml_training.inference.sound import SOUND_NAME
from ml_training.models.stored import load_parts
from ml_training.training.model_card import ModelCard, read_card
from ml_training.training.samples import Samples, iterate_images, read_samples
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ObjectNotFound, UsageError
from ml_training.utils.hashing import code_version, sha256_bytes

logger = logging.getLogger(__name__)

GOLDEN_INPUTS = 8

Method = Literal["int8", "int8-ptq"]
Example = dict[str, npt.NDArray[Any]]


class Source(NamedTuple):
    """What a conversion looks at besides the networks."""

    card: ModelCard
    training: Samples
    validation: Samples
    data_dir: str


class Converted(NamedTuple):
    """One file of a converted model."""

    name: Literal["model", "trunk", "head"]
    content: bytes
    part: TflitePart

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.tflite"


def convert_to_int8(model_uri: str, *, data_dir: str, output: str, method: Method = "int8") -> dict[str, Any]:
    """Convert, or find the files of the same conversion below the folder ``output``; returns addresses and size.

    ``model_uri`` is the folder of a float model or a file in it. Raises ModelError when the model has no card or its
    weights do not fit the card's architecture.
    """
    card = read_card(model_uri)
    quantization = _quantization(card, method)
    known = _known(output, model_uri, card, quantization)
    if known is not None:
        logger.info("this conversion is done already: %s", output)
        return _result(known, output, reused=True)
    source = Source(
        card,
        read_samples(data_dir, card.dataset_id, "train"),
        read_samples(data_dir, card.dataset_id, "validation"),
        data_dir,
    )
    networks = load_parts(model_uri)
    heard: list[Example] = []
    if set(networks) == {"model"}:
        checkpoint = storage.join(output, "checkpoints", "qat.npz")
        files = [_frame_model(networks["model"], source, quantization, checkpoint)]
    else:
        files, heard = _trunk_and_head(networks, source)
    manifest = _describe_model(files, card, quantization, model_uri)
    _store(files, _golden(files, heard, source), manifest, output)
    return _result(manifest, output, reused=False)


def _quantization(card: ModelCard, method: Method) -> str:
    section = card.config.model
    alone = view_of(section.architecture).name == "frames" and len(section.classes) == 2
    return "int8-qat" if alone and method == "int8" else "int8-ptq"


def _known(output: str, model_uri: str, card: ModelCard, quantization: str) -> Manifest | None:
    try:
        manifest = Manifest.model_validate(storage.read_json(storage.join(output, MANIFEST_NAME)))
    except ObjectNotFound:
        return None
    same = (manifest.parent_uri, manifest.run_id, manifest.code_version, manifest.quantization) == (
        model_uri,
        card.run_id,
        code_version(),
        quantization,
    )
    return manifest if same else None


def _frame_model(model: Any, source: Source, quantization: str, checkpoint: str) -> Converted:
    from ml_training.conversion.files import to_int8
    from ml_training.conversion.post_training import picture_to_int8
    from ml_training.conversion.quantize_aware import quantize_aware

    if quantization == "int8-ptq":
        seed = source.card.config.training.seed
        return _converted("model", picture_to_int8(model, source.training, source.data_dir, seed=seed))
    aware = quantize_aware(
        model,
        source.card,
        training=source.training,
        validation=source.validation,
        data_dir=source.data_dir,
        checkpoint=checkpoint,
    )
    return _converted("model", to_int8(aware))


def _trunk_and_head(networks: dict[str, Any], source: Source) -> tuple[list[Converted], list[Example]]:
    """Return both files, and examples of what the head sees behind the int8 trunk."""
    from ml_training.conversion.files import to_int8
    from ml_training.conversion.post_training import head_examples, picture_to_int8

    seed = source.card.config.training.seed
    content = picture_to_int8(networks["trunk"], source.training, source.data_dir, seed=seed)
    trunk = _converted("trunk", content)
    examples = head_examples(source.card, trunk.part, source.data_dir)
    logger.info("the trunk has %d bytes; the head's ranges come from %d examples", len(content), len(examples))
    return [trunk, _converted("head", to_int8(networks["head"], examples))], examples


def _converted(name: Literal["model", "trunk", "head"], content: bytes) -> Converted:
    return Converted(name, content, TflitePart(load_interpreter(Path(f"{name}.tflite"), content=content)))


def _golden(files: list[Converted], heard: list[Example], source: Source) -> bytes:
    """Return the inputs of each file, in its own numbers, and what it gave for them, as an .npz file."""
    first = files[0].part
    samples = source.validation
    ((name, shape),) = first.input_shapes.items()
    spread = np.unique(np.linspace(0, len(samples.labels) - 1, GOLDEN_INPUTS).astype(int))
    batches = iterate_images(samples.take(spread), source.data_dir, batch_size=GOLDEN_INPUTS)
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


def _describe_model(files: list[Converted], card: ModelCard, quantization: str, model_uri: str) -> Manifest:
    section = card.config.model
    parts = [_describe_part(item) for item in files]
    view = view_of(section.architecture)
    resize = RESIZE_NAME + (f", inter_area-{section.input_size}" if section.input_size != FRAME_SIZE else "")
    return Manifest(
        model_name=card.model_name,
        architecture=section.architecture,
        sha256=parts[0].sha256,
        size_bytes=sum(part.size_bytes for part in parts),
        quantization=quantization,
        input=parts[0].inputs[0],
        output=parts[-1].output,
        parts=parts,
        view=view,
        mfcc_bands=section.mfcc_bands if view.sound_seconds else None,
        preprocessing=Preprocessing(resize=resize, sound=SOUND_NAME if view.sound_seconds else None),
        threshold=card.threshold,
        labels=list(section.classes),
        dataset_id=card.dataset_id,
        run_id=card.run_id,
        mlflow_run_id=card.mlflow_run_id,
        code_version=code_version(),
        runtime=runtime_version(),
        golden=Golden(n=GOLDEN_INPUTS),
        parent_uri=model_uri,
        created_at=datetime.now(UTC),
    )


def _store(files: list[Converted], golden: bytes, manifest: Manifest, output: str) -> None:
    for item in files:
        storage.write_bytes(storage.join(output, item.file), item.content)
    storage.write_bytes(storage.join(output, GOLDEN_NAME), golden)
    storage.write_json(storage.join(output, MANIFEST_NAME), manifest.model_dump(mode="json"))
    _track(manifest, files)


def _track(manifest: Manifest, files: list[Converted]) -> None:
    from ml_training.training.tracking import tracker_of

    tracker = tracker_of(manifest.mlflow_run_id)
    tracker.log_metrics({"int8/size_bytes": manifest.size_bytes, "int8/threshold": manifest.threshold})
    tracker.log_dict(manifest.model_dump(mode="json"), f"model/{MANIFEST_NAME}")
    with tempfile.TemporaryDirectory() as temporary:
        for item in files:
            path = Path(temporary) / item.file
            path.write_bytes(item.content)
            tracker.log_file(path, "model")


def runtime_version() -> str:
    """Return the LiteRT runtime that made the golden outputs, such as ``ai-edge-litert 2.3.0``."""
    return f"ai-edge-litert {version('ai-edge-litert')}"


def _describe_part(item: Converted) -> PartDescription:
    return PartDescription(
        name=item.name,
        file=item.file,
        sha256=sha256_bytes(item.content),
        size_bytes=len(item.content),
        inputs=[_describe(details) for details in item.part.inputs.values()],
        output=_describe(item.part.output),
    )


def _describe(details: dict[str, Any]) -> TensorDescription:
    step, zero = details["quantization"]
    return TensorDescription(
        name=details["name"],
        shape=[int(side) for side in details["shape"]],
        dtype=np.dtype(details["dtype"]).name,
        scale=float(step),
        zero_point=int(zero),
    )


def _result(manifest: Manifest, output: str, *, reused: bool) -> dict[str, Any]:
    return {
        "model_uri": storage.join(output, manifest.parts[0].file),
        "manifest_uri": storage.join(output, MANIFEST_NAME),
        "model_name": manifest.model_name,
        "size_bytes": manifest.size_bytes,
        "sha256": manifest.sha256,
        "threshold": manifest.threshold,
        "parent_uri": manifest.parent_uri,
        "reused": reused,
    }


def _run(args: argparse.Namespace) -> dict[str, Any]:
    output = args.output.removesuffix("/model.tflite")
    if output.endswith(".tflite"):
        raise UsageError(f"expected a folder in --output, received {output}: a model may have several files")
    return convert_to_int8(args.model, data_dir=args.data_dir, output=output, method=args.quantize)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.conversion.to_tflite", __doc__)
    parser.add_argument("--model", required=True, help="folder of a float model with its card, or a .keras file in it")
    parser.add_argument("--output", required=True, help="folder for the .tflite files, manifest.json and golden.npz")
    parser.add_argument("--quantize", choices=("int8", "int8-ptq"), default="int8", help="int8-ptq: no fine-tuning")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
