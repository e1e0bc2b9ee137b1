"""Judges a model on a split of a dataset version: frame by frame, as breaks, and where it is weak.

    python -m ml_training.training.evaluate --model RUN/float/model.keras --data-dir data --split test
    python -m ml_training.training.evaluate --model model.tflite --test-data data/datasets/4be1 --output evaluation.json

Any model: a ``.keras`` or ``.tflite`` file, a folder of trunk and head, an ensemble's YAML. The threshold comes with
the model, chosen on validation. Every figure carries its 95 % interval, by bootstrap over recordings, and the number of
recordings behind it. Beside the model it leaves ``evaluation-<split>.json``, the predictions, the page
``report-<split>.html`` and three pictures: precision-recall curve, confusion matrix, worst errors.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.data.dataset_listing import Listing, read_listing
from ml_training.inference.ensemble import THRESHOLD as ENSEMBLE_THRESHOLD
from ml_training.statistics.intervals import metric_intervals, spanned
from ml_training.statistics.score_tables import ScoreTable, score_intervals
from ml_training.training.dataset_choice import find_dataset
from ml_training.training.event_level import RecordingBreaks, as_rows, break_figures, judge_breaks
from ml_training.training.model_facts import MODEL_FILES, facts_of, folder_of, version_of
from ml_training.training.predictions import Predictions, predict_split, write_predictions
from ml_training.training.report import Facts, write_report
from ml_training.training.slices import slice_figures
from ml_training.training.tracking import Tracker, tracker_of
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DatasetUnusable, ModelError, UsageError
from ml_training.utils.metrics import best_f1_threshold
from ml_training.utils.records import Interval, Split

ON_VALIDATION = "validation"  # in place of a threshold: choose it there


class Judged(NamedTuple):
    """A model to judge: where it is, and what its card or manifest says of it."""

    model_uri: str
    dataset_id: str
    threshold: float
    mlflow_run_id: str | None
    threshold_source: str = "model"  # which was chosen on validation


class Places(NamedTuple):
    """Where an evaluation leaves its results."""

    folder: str
    evaluation: str
    predictions: str
    report: str


def read_judged(model_uri: str) -> Judged:
    """Read what lies beside a model. Raises ModelError when nothing does."""
    facts = facts_of(model_uri)
    threshold = ENSEMBLE_THRESHOLD if facts.threshold is None else facts.threshold
    return Judged(model_uri, facts.dataset_id or "", threshold, facts.mlflow_run_id)


def evaluate(
    judged: Judged, *, data_dir: str, split: Split = "test", output: str | None = None
) -> tuple[dict[str, Any], Predictions]:
    """Score the split, store evaluation, predictions, report and pictures; return figures and predictions.

    ``output`` is a folder, by default that of the model, or the ``.json`` file that becomes the evaluation.
    """
    if not judged.dataset_id:
        raise UsageError(f"{judged.model_uri} does not say which dataset version judges it: give --test-data")
    places = places_of(judged.model_uri, split, output)
    predictions = predict_split(judged.model_uri, data_dir, judged.dataset_id, split)
    write_predictions(predictions, places.predictions)
    listing = listing_of(data_dir, judged.dataset_id)
    breaks = judge_breaks(predictions, judged.threshold, listing) if listing else None
    result = {
        "version": 2,
        "model_uri": judged.model_uri,
        "model_version": version_of(judged.model_uri),
        "kind": kind_of(judged.model_uri),
        "dataset_id": judged.dataset_id,
        "split": split,
        "threshold": judged.threshold,
        "threshold_source": judged.threshold_source,
        **figures(predictions, judged.threshold, breaks),
        "predictions_uri": places.predictions,
        "report_uri": places.report,
        "evaluation_uri": places.evaluation,
    }
    _store(Facts(result, predictions, breaks, data_dir), places, tracker_of(judged.mlflow_run_id))
    return result, predictions


def figures(predictions: Predictions, threshold: float, breaks: list[RecordingBreaks] | None) -> dict[str, Any]:
    """Return every figure of some predictions; ``events`` is None where a version does not list its labels."""
    samples = predictions.samples
    table = ScoreTable.of(samples.recording_ids, samples.labels, predictions.scores)
    intervals = metric_intervals(predictions.counts(threshold)) | score_intervals(table)
    return {
        "frames": len(samples.labels),
        "recordings": len(table.recordings),
        "ad_share": float(np.mean(samples.labels == 1)),
        **{name: interval.model_dump() for name, interval in intervals.items()},
        "by_slice": slice_figures(predictions, threshold),
        "events": break_figures(breaks) if breaks is not None else None,
    }


def slice_f1(predictions: Predictions, threshold: float) -> dict[str, Interval]:
    """Return the F1 of every channel and genre, by ``channel=name``; a slice without ads or content is left out."""
    found = slice_figures(predictions, threshold)
    wanted = [name for name in found if name.startswith(("channel=", "genre="))]
    return {name: Interval.model_validate(found[name]["f1"]) for name in wanted}


def kind_of(model_uri: str) -> str:
    """Return ``float``, ``int8`` or ``ensemble``."""
    if model_uri.endswith((".yaml", ".yml")):
        return "ensemble"
    converted = model_uri.endswith(".tflite") or storage.exists(storage.join(folder_of(model_uri), "manifest.json"))
    return "int8" if converted and not model_uri.endswith(".keras") else "float"


def places_of(model_uri: str, split: Split, output: str | None) -> Places:
    """Return where results go."""
    folder = output or folder_of(model_uri)
    evaluation = storage.join(folder, f"evaluation-{split}.json")
    if output and output.endswith(".json"):
        folder, evaluation = output.rpartition("/")[0] or ".", output
    return Places(
        folder,
        evaluation,
        storage.join(folder, f"predictions-{split}.parquet"),
        storage.join(folder, f"report-{split}.html"),
    )


def threshold_on_validation(model_uri: str, data_dir: str, dataset_id: str) -> float:
    """Return the threshold with the best F1 on the validation split of a dataset version."""
    predictions = predict_split(model_uri, data_dir, dataset_id, "validation")
    return best_f1_threshold(predictions.samples.labels, predictions.scores)


def listing_of(data_dir: str, dataset_id: str) -> Listing | None:
    """Return what a version lists: its labels at their exact times; None for one that is only a manifest."""
    if not storage.exists(storage.join(data_dir, "datasets", dataset_id, "listing.jsonl")):
        return None
    return read_listing(data_dir, dataset_id)


def _store(facts: Facts, places: Places, tracker: Tracker) -> None:
    """Store report and pictures, and then the evaluation, which says that all is there."""
    result = facts.result
    kind = result["kind"]
    with tempfile.TemporaryDirectory() as temporary:
        for file in write_report(facts, Path(temporary)):
            storage.upload(file, storage.join(places.folder, file.name))
            tracker.log_file(file, f"{'plots' if file.suffix == '.png' else 'reports'}/{kind}")
    rows = as_rows(facts.breaks) if facts.breaks is not None else None
    storage.write_json(places.evaluation, {**result, "breaks": rows})
    found = {name: value["value"] for name, value in result.items() if isinstance(value, dict) and "value" in value}
    events = result["events"] or {}
    found |= {f"break_{name}": events[name]["value"] for name in ("precision", "recall", "f1") if name in events}
    tracker.log_metrics({f"{result['split']}/{kind}/{name}": value for name, value in found.items()})


def _threshold(args: argparse.Namespace, judged: Judged, data_dir: str) -> Judged:
    if args.threshold is None:
        return judged
    if args.threshold == ON_VALIDATION:
        chosen = threshold_on_validation(judged.model_uri, data_dir, judged.dataset_id)
        return judged._replace(threshold=chosen, threshold_source=f"validation of {judged.dataset_id}")
    try:
        return judged._replace(threshold=float(args.threshold), threshold_source="given")
    except ValueError as error:
        raise UsageError(f"--threshold takes a number or 'validation', received {args.threshold!r}") from error


def _run(args: argparse.Namespace) -> dict[str, Any]:
    try:
        judged = read_judged(args.model)
    except ModelError:
        if args.model.endswith(MODEL_FILES) or storage.is_s3(args.model) or Path(args.model).exists():
            raise
        raise UsageError(f"there is no model {args.model}: give a file, a folder or an ensemble's YAML") from None
    data_dir = args.data_dir
    if args.test_data:
        data_dir, dataset_id = find_dataset(args.test_data, data_dir)
        judged = judged._replace(dataset_id=dataset_id)
    judged = _threshold(args, judged, data_dir)
    try:
        result, _ = evaluate(judged, data_dir=data_dir, split=args.split, output=args.output)
        return result if args.json else readable(result)
    except DatasetUnusable as error:
        if args.test_data:
            raise
        raise DatasetUnusable(f"{error.message}; or judge on another version with --test-data") from error


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the main figures as lines for people; the report has the others."""
    lines = {name: str(result[name]) for name in ("model_uri", "dataset_id", "split", "frames", "recordings")}
    lines["threshold"] = f"{result['threshold']:.4f} ({result['threshold_source']})"
    named = {**result, **{f"break_{name}": value for name, value in (result["events"] or {}).items()}}
    for name, value in named.items():
        if isinstance(value, dict) and "value" in value:
            lines[name] = spanned(value)
    return {**lines, "report": result["report_uri"]}


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.evaluate", __doc__)
    parser.add_argument(
        "--model", required=True, help="a .keras or .tflite file, a folder of parts, or an ensemble's YAML"
    )
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--test-data", help="dataset version, its folder, or a data folder (default: the model's own)")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--threshold", help="instead of the model's: a number, or 'validation' to choose it there")
    parser.add_argument("--output", help="folder for the results, or a .json file (default: the model's folder)")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
