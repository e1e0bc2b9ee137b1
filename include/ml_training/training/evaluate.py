"""Judges a model file on a split of a dataset version.

    python -m ml_training.training.evaluate --model RUN/float/model.keras --data-dir data --split test

The threshold comes with the model, chosen on validation. Every figure carries its 95 % interval, by bootstrap over
recordings, and the number of recordings behind it. Beside the model it leaves ``evaluation-<split>.json``, the
predictions, and three pictures: precision-recall curve, confusion matrix, worst errors.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ml_training.cloud import storage
from ml_training.config.schema import GatesSection
from ml_training.config.settings import read_settings
from ml_training.statistics.intervals import metric_intervals
from ml_training.training.model_card import beside, read_card
from ml_training.training.predictions import Predictions, predict_split, write_predictions
from ml_training.training.samples import Samples, iterate_images
from ml_training.training.tracking import tracker_of
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.metrics import Counts, average_precision, precision_recall_curve
from ml_training.utils.records import Interval, Split
from ml_training.utils.visualization import save_confusion, save_precision_recall, save_sheet

WORST_ERRORS = 24


class Judged(NamedTuple):
    """A model file to judge: where it is, and what its card or manifest says of it."""

    model_uri: str
    dataset_id: str
    threshold: float
    mlflow_run_id: str | None


def read_judged(model_uri: str) -> Judged:
    """Read the card beside a ``.keras`` file, or the manifest beside a ``.tflite`` file. Raises ModelError."""
    if model_uri.endswith(".keras"):
        card = read_card(model_uri)
        return Judged(model_uri, card.dataset_id, card.threshold, card.mlflow_run_id)
    try:
        manifest = storage.read_json(beside(model_uri, "manifest.json"))
    except ObjectNotFound as error:
        raise ModelError(f"{model_uri} has no manifest.json beside it: convert it with conversion.to_tflite") from error
    return Judged(model_uri, manifest["dataset_id"], manifest["threshold"], manifest.get("mlflow_run_id"))


def evaluate(
    judged: Judged, *, data_dir: str, split: Split = "test", output: str | None = None
) -> tuple[dict[str, Any], Predictions]:
    """Score the split, store evaluation, predictions and pictures below ``output``; return figures and predictions.

    ``output`` is a folder, by default that of the model.
    """
    predictions = predict_split(judged.model_uri, data_dir, judged.dataset_id, split)
    folder = output or judged.model_uri.rsplit("/", 1)[0]
    predictions_uri = storage.join(folder, f"predictions-{split}.parquet")
    evaluation_uri = storage.join(folder, f"evaluation-{split}.json")
    write_predictions(predictions, predictions_uri)
    labels = predictions.samples.labels
    result = {
        "version": 1,
        "model_uri": judged.model_uri,
        "dataset_id": judged.dataset_id,
        "split": split,
        "threshold": judged.threshold,
        "frames": len(labels),
        "ad_share": float(np.mean(labels == 1)),
        "average_precision": average_precision(labels, predictions.scores),
        **{name: value.model_dump() for name, value in metric_intervals(predictions.counts(judged.threshold)).items()},
        "by_slice": {name: interval.model_dump() for name, interval in slice_f1(predictions, judged.threshold).items()},
        "predictions_uri": predictions_uri,
        "evaluation_uri": evaluation_uri,
    }
    storage.write_json(evaluation_uri, result)
    _store_pictures(judged, predictions, data_dir, folder, split)
    return result, predictions


def slice_f1(predictions: Predictions, threshold: float) -> dict[str, Interval]:
    """Return the F1 of every channel and genre, by ``channel=name``; a slice without ads or content is left out."""
    samples = predictions.samples
    found = {}
    for field, values in (("channel", samples.channels), ("genre", samples.genres)):
        for value in sorted({str(value) for value in values if value}):
            mask = values == value
            if len(np.unique(samples.labels[mask])) == 2:
                found[f"{field}={value}"] = metric_intervals(predictions.counts(threshold, mask))["f1"]
    return found


def _store_pictures(judged: Judged, predictions: Predictions, data_dir: str, folder: str, split: str) -> None:
    kind = "float" if judged.model_uri.endswith(".keras") else "int8"
    labels, scores = predictions.samples.labels, predictions.scores
    tracker = tracker_of(judged.mlflow_run_id)
    gates = GatesSection()
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary) / f"{name}-{split}.png" for name in ("precision_recall", "confusion", "worst_errors")]
        curve = precision_recall_curve(labels, scores)
        save_precision_recall(curve, threshold=judged.threshold, bounds=(gates.precision, gates.recall), path=files[0])
        save_confusion(Counts.of(labels, scores >= judged.threshold), files[1])
        _save_worst(predictions, judged.threshold, data_dir, files[2])
        for file in files:
            storage.upload(file, storage.join(folder, file.name))
            tracker.log_file(file, f"plots/{kind}")
    intervals = metric_intervals(predictions.counts(judged.threshold))
    tracker.log_metrics({f"{split}/{kind}/{name}": interval.value for name, interval in intervals.items()})


def _save_worst(predictions: Predictions, threshold: float, data_dir: str, path: Path) -> None:
    samples, scores = predictions.samples, predictions.scores
    wrong = np.flatnonzero((scores >= threshold) != (samples.labels == 1))
    chosen = np.sort(wrong[np.argsort(-np.abs(scores[wrong] - threshold), kind="stable")][:WORST_ERRORS])
    shown: Samples = samples.take(chosen)
    batches = iterate_images(shown, data_dir, batch_size=64) if len(chosen) else ()
    images = [image for _, batch in batches for image in batch]
    captions = [
        f"{recording} {seconds:.0f} s\nis {'ad' if label else 'content'}, scored {score:.2f}"
        for recording, seconds, label, score in zip(
            shown.recording_ids, shown.pts_seconds, shown.labels, scores[chosen], strict=True
        )
    ]
    save_sheet(images, captions, title=f"{len(wrong)} of {len(scores)} frames wrong; the worst", path=path)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    judged = read_judged(args.model)
    if args.test_data:
        judged = judged._replace(dataset_id=args.test_data)
    if args.threshold is not None:
        judged = judged._replace(threshold=args.threshold)
    result, _ = evaluate(judged, data_dir=args.data_dir, split=args.split, output=args.output)
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.evaluate", __doc__)
    parser.add_argument("--model", required=True, help="a .keras or .tflite file, its card or manifest beside it")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--test-data", help="dataset version (default: the one that the model was trained on)")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--threshold", type=float, help="instead of the model's own")
    parser.add_argument("--output", help="folder for the results (default: the model's)")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
