"""Turns a float model into the files that devices run.

    python -m ml_training.conversion.to_tflite --model RUN/float/model.keras --output RUN/int8 --quantize int8

A single-frame model becomes int8 by quantization-aware training: its card names the dataset version, whose training
frames calibrate the ranges and fine-tune the upper blocks, which learn to say what the float model says. So its
threshold, chosen on validation, serves the file as well. Trunk and head of temporal and multimodal models, and models
of more than two classes, are quantized after training, with ranges from training examples (``--quantize int8-ptq`` does
so with any model). Beside the files it leaves ``manifest.json``, ``golden.npz`` and ``calibration.json``.
"""

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.conversion.converting import (
    METHODS,
    ConvertedFile,
    How,
    Job,
    Method,
    convert_networks,
    how_of,
    is_shipped,
)
from ml_training.conversion.describing import Origin, describe, golden
from ml_training.conversion.manifest import GOLDEN_NAME, MANIFEST_NAME, Manifest
from ml_training.models.stored import load_parts
from ml_training.training.model_card import ModelCard, read_card
from ml_training.training.samples import read_samples
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ObjectNotFound, UsageError
from ml_training.utils.hashing import code_version, short_hash

logger = logging.getLogger(__name__)


def convert(
    model_uri: str,
    *,
    data_dir: str,
    output: str,
    method: Method = "int8",
    keep_float: tuple[str, ...] = (),
    tracked: bool = True,
) -> dict[str, Any]:
    """Convert, or find the files of the same conversion below the folder ``output``; returns addresses and size.

    ``model_uri`` is the folder of a float model or a file in it; ``keep_float`` names layers that stay in float32.
    ``tracked``: the model's MLflow run is told.
    Raises ModelError when the model has no card or its weights do not fit the card's architecture, UsageError for a
    layer that it has not.
    """
    card = read_card(model_uri)
    how = how_of(card, method, keep_float)
    known = _known(output, model_uri, card, how)
    if known is not None:
        logger.info("this conversion is done already: %s", output)
        return _result(known, output, reused=True)
    training = read_samples(data_dir, card.dataset_id, "train")
    validation = read_samples(data_dir, card.dataset_id, "validation")
    job = Job(card, how, training, validation, data_dir)
    checkpoint = storage.join(output, "checkpoints", f"qat-{short_hash([card.run_id, code_version()])}.npz")
    conversion = convert_networks(load_parts(model_uri), job, checkpoint=checkpoint)
    files, manifest = describe(conversion, Origin(card, how, model_uri))
    if conversion.calibration:
        conversion.calibration.store(output)
    _store(files, golden(files, conversion.heard, validation, data_dir), manifest, output)
    if tracked:
        _track(manifest, files, "int8" if is_shipped(card, how) else how.name)
    return _result(manifest, output, reused=False)


def _known(output: str, model_uri: str, card: ModelCard, how: How) -> Manifest | None:
    try:
        manifest = Manifest.model_validate(storage.read_json(storage.join(output, MANIFEST_NAME)))
    except ObjectNotFound:
        return None
    same_way = How(manifest.quantization, tuple(manifest.keep_float)) == how
    same = (manifest.parent_uri, manifest.run_id, manifest.code_version) == (model_uri, card.run_id, code_version())
    return manifest if same and same_way else None


def _store(files: list[ConvertedFile], golden_content: bytes, manifest: Manifest, output: str) -> None:
    """Store files and golden inputs, and then the manifest, which says that all is there."""
    for item in files:
        storage.write_bytes(storage.join(output, item.file), item.content)
    storage.write_bytes(storage.join(output, GOLDEN_NAME), golden_content)
    storage.write_json(storage.join(output, MANIFEST_NAME), manifest.model_dump(mode="json"))


def _track(manifest: Manifest, files: list[ConvertedFile], kind: str) -> None:
    """Tell the model's MLflow run; its folder ``model`` holds the files that devices run, and no others."""
    from ml_training.training.tracking import tracker_of

    tracker = tracker_of(manifest.mlflow_run_id)
    tracker.log_metrics({f"{kind}/size_bytes": manifest.size_bytes, f"{kind}/threshold": manifest.threshold})
    folder = "model" if kind == "int8" else f"model-{kind}"
    tracker.log_dict(manifest.model_dump(mode="json"), f"{folder}/{MANIFEST_NAME}")
    with tempfile.TemporaryDirectory() as temporary:
        for item in files:
            path = Path(temporary) / item.file
            path.write_bytes(item.content)
            tracker.log_file(path, folder)


def _result(manifest: Manifest, output: str, *, reused: bool) -> dict[str, Any]:
    return {
        "model_uri": storage.join(output, manifest.parts[0].file),
        "manifest_uri": storage.join(output, MANIFEST_NAME),
        "model_name": manifest.model_name,
        "size_bytes": manifest.size_bytes,
        "sha256": manifest.sha256,
        "threshold": manifest.threshold,
        "quantization": manifest.quantization,
        "minimum_runtime": manifest.minimum_runtime,
        "parent_uri": manifest.parent_uri,
        "reused": reused,
    }


def _run(args: argparse.Namespace) -> dict[str, Any]:
    output = args.output.removesuffix("/model.tflite")
    if output.endswith(".tflite"):
        raise UsageError(f"expected a folder in --output, received {output}: a model may have several files")
    return convert(
        args.model,
        data_dir=args.data_dir,
        output=output,
        method=args.quantize,
        keep_float=tuple(args.keep_float),
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.conversion.to_tflite", __doc__)
    parser.add_argument("--model", required=True, help="folder of a float model with its card, or a .keras file in it")
    parser.add_argument("--output", required=True, help="folder for the .tflite files, manifest.json and golden.npz")
    parser.add_argument("--quantize", choices=METHODS, default="int8", help="int8-ptq: no fine-tuning (default: int8)")
    parser.add_argument("--keep-float", nargs="+", default=[], metavar="LAYER", help="layers that stay in float32")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
