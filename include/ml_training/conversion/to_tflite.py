"""Turns a float model into the int8 file that devices run, by quantization-aware training.

    python -m ml_training.conversion.to_tflite --model RUN/float/model.keras --output RUN/int8 --quantize int8

The model's card names the dataset version; its training frames calibrate the ranges and fine-tune the upper blocks,
which learn to say what the float model says. So its threshold, chosen on validation, serves the file as well. Beside
the file it leaves ``manifest.json`` and ``golden.npz``.
"""

import argparse
import io
import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.conversion.manifest import (
    GOLDEN_NAME,
    MANIFEST_NAME,
    Golden,
    Manifest,
    Preprocessing,
    TensorDescription,
)
from ml_training.data.frames import RESIZE_NAME
from ml_training.inference.scorer import KerasScorer, TfliteScorer, load_keras, scale
from ml_training.training.model_card import ModelCard, read_card
from ml_training.training.predictions import score_samples
from ml_training.training.samples import Samples, iterate_images, read_samples
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ObjectNotFound
from ml_training.utils.hashing import code_version, sha256_bytes

logger = logging.getLogger(__name__)

FINE_TUNING_DECAY = 0.99  # of the ranges, once they are calibrated
GOLDEN_INPUTS = 8
WATCHED_FRAMES = 256  # of validation, where a single epoch leaves nothing to choose between: only its score is logged
LABELS = ["content", "ad"]


def convert_to_int8(model_uri: str, *, data_dir: str, output: str) -> dict[str, Any]:
    """Convert, or find the file of the same conversion below the folder ``output``; returns addresses and size.

    Raises ModelError when the model has no card or its weights do not fit the card's architecture.
    """
    card = read_card(model_uri)
    known = _known(output, model_uri, card)
    if known is not None:
        logger.info("this conversion is done already: %s", output)
        return _result(known, output, reused=True)
    training = read_samples(data_dir, card.dataset_id, "train")
    validation = read_samples(data_dir, card.dataset_id, "validation")
    quantized = _quantize_aware(model_uri, card, training, validation, data_dir, output)
    content = _to_int8(quantized)
    manifest = _store(content, model_uri, card, validation, data_dir, output)
    return _result(manifest, output, reused=False)


def _known(output: str, model_uri: str, card: ModelCard) -> Manifest | None:
    try:
        manifest = Manifest.model_validate(storage.read_json(storage.join(output, MANIFEST_NAME)))
    except ObjectNotFound:
        return None
    same = (manifest.parent_uri, manifest.run_id, manifest.code_version) == (model_uri, card.run_id, code_version())
    return manifest if same else None


def _quantize_aware(
    model_uri: str, card: ModelCard, training: Samples, validation: Samples, data_dir: str, output: str
) -> Any:
    from ml_training.conversion.quantization import (
        PREFIX,
        calibrate,
        fix_input_range,
        freeze_batch_norms,
        quantize,
        range_decay,
    )
    from ml_training.models.efficientnet import split_at_stage
    from ml_training.training.checkpoints import CheckpointStore
    from ml_training.training.loop import LabeledArrays, LoopOptions, fit

    section = card.config.training.quantization
    seed = card.config.training.seed
    parent = _load(model_uri)
    model = quantize(parent)
    with range_decay(section.range_decay):
        batches = _calibration_batches(training, data_dir, section.calibration_batches, section.batch_size, seed)
        calibrate(model, batches)
    logger.info("ranges calibrated with %d batches of %d", section.calibration_batches, section.batch_size)
    freeze_batch_norms(model)
    lower, upper = split_at_stage(model, card.config.training.upper.from_block, prefix=PREFIX)
    chosen = choose_samples(training, section.maximum_samples, seed)
    watched = choose_samples(validation, WATCHED_FRAMES if section.epochs == 1 else None, seed)
    with range_decay(FINE_TUNING_DECAY):
        fit(
            upper,
            LabeledArrays(
                _activations(lower, chosen, data_dir, card),
                chosen.labels,
                targets=score_samples(KerasScorer(parent), chosen, data_dir),
            ),
            validation=LabeledArrays(_activations(lower, watched, data_dir, card), watched.labels),
            options=LoopOptions(
                epochs=section.epochs,
                batch_size=section.batch_size,
                learning_rate=section.learning_rate,
                weight_decay=card.config.training.weight_decay,
                seed=seed,
            ),
            store=CheckpointStore(storage.join(output, "checkpoints", "qat.npz")),
        )
    fix_input_range(model)
    return model


def choose_samples(samples: Samples, maximum: int | None, seed: int) -> Samples:
    """Return at most ``maximum`` frames drawn by ``seed``, in the order of recording and time."""
    if maximum is None or maximum >= len(samples.labels):
        return samples
    chosen = np.random.default_rng(seed).choice(len(samples.labels), size=maximum, replace=False)
    return samples.take(np.sort(chosen))


def _calibration_batches(
    samples: Samples, data_dir: str, batches: int, batch_size: int, seed: int
) -> Iterator[npt.NDArray[np.float32]]:
    chosen = choose_samples(samples, batches * batch_size, seed)
    images = np.concatenate([batch for _, batch in iterate_images(chosen, data_dir, batch_size=batch_size)])
    order = np.random.default_rng(seed).permutation(len(images))
    for start in range(0, len(images), batch_size):
        yield scale(images[order[start : start + batch_size]])


def _activations(lower: Any, samples: Samples, data_dir: str, card: ModelCard) -> npt.NDArray[Any]:
    from ml_training.training.activations import compute_activations

    return compute_activations(lower, samples, data_dir, read_settings().work_dir / "quantized" / card.run_id)


def _load(model_uri: str) -> Any:
    with storage.local_copy(model_uri) as path:
        return load_keras(path)


def _to_int8(model: Any) -> bytes:
    import tensorflow as tf

    # A frozen graph of one picture at a time. By way of a Keras SavedModel the same file takes 12 times as long.
    shape = tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name="image")
    graph = tf.function(lambda image: model(image, training=False)).get_concrete_function(shape)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _store(
    content: bytes, model_uri: str, card: ModelCard, validation: Samples, data_dir: str, output: str
) -> Manifest:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.tflite"
        path.write_bytes(content)
        scorer = TfliteScorer(path)
        golden = _golden(scorer, validation, data_dir)
    storage.write_bytes(storage.join(output, "model.tflite"), content)
    storage.write_bytes(storage.join(output, GOLDEN_NAME), golden)
    manifest = Manifest(
        model_name=card.model_name,
        sha256=sha256_bytes(content),
        size_bytes=len(content),
        quantization="int8-qat",
        input=_describe(scorer.input),
        output=_describe(scorer.output),
        preprocessing=Preprocessing(resize=RESIZE_NAME),
        threshold=card.threshold,
        labels=LABELS,
        dataset_id=card.dataset_id,
        run_id=card.run_id,
        mlflow_run_id=card.mlflow_run_id,
        code_version=code_version(),
        runtime=runtime_version(),
        golden=Golden(n=GOLDEN_INPUTS),
        parent_uri=model_uri,
        created_at=datetime.now(UTC),
    )
    storage.write_json(storage.join(output, MANIFEST_NAME), manifest.model_dump(mode="json"))
    _track(manifest, output)
    return manifest


def _track(manifest: Manifest, output: str) -> None:
    from ml_training.training.tracking import tracker_of

    tracker = tracker_of(manifest.mlflow_run_id)
    tracker.log_metrics({"int8/size_bytes": manifest.size_bytes, "int8/threshold": manifest.threshold})
    tracker.log_dict(manifest.model_dump(mode="json"), f"model/{MANIFEST_NAME}")
    with storage.local_copy(storage.join(output, "model.tflite")) as path:
        tracker.log_file(path, "model")


def runtime_version() -> str:
    """Return the LiteRT runtime that made the golden outputs, such as ``ai-edge-litert 2.3.0``."""
    from importlib.metadata import version

    return f"ai-edge-litert {version('ai-edge-litert')}"


def _golden(scorer: TfliteScorer, samples: Samples, data_dir: str) -> bytes:
    spread = np.unique(np.linspace(0, len(samples.labels) - 1, GOLDEN_INPUTS).astype(int))
    images = np.concatenate([batch for _, batch in iterate_images(samples.take(spread), data_dir, batch_size=8)])
    inputs = np.concatenate([scorer.prepare(images[i : i + 1]) for i in range(len(images))])
    outputs = np.concatenate([scorer.run_raw(inputs[i : i + 1]) for i in range(len(inputs))])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, inputs=inputs, outputs=outputs)
    return buffer.getvalue()


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
        "model_uri": storage.join(output, "model.tflite"),
        "manifest_uri": storage.join(output, MANIFEST_NAME),
        "model_name": manifest.model_name,
        "size_bytes": manifest.size_bytes,
        "sha256": manifest.sha256,
        "threshold": manifest.threshold,
        "parent_uri": manifest.parent_uri,
        "reused": reused,
    }


def _run(args: argparse.Namespace) -> dict[str, Any]:
    output = args.output.rsplit("/", 1)[0] if args.output.endswith("/model.tflite") else args.output
    return convert_to_int8(args.model, data_dir=args.data_dir, output=output)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.conversion.to_tflite", __doc__)
    parser.add_argument("--model", required=True, help="a model.keras with its card beside it")
    parser.add_argument("--output", required=True, help="folder for model.tflite, manifest.json and golden.npz")
    parser.add_argument("--quantize", choices=("int8",), default="int8")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
