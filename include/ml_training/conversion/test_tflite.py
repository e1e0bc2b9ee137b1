"""Judges the int8 files themselves: their accuracy, their loss against the float parent, operators and size.

    python -m ml_training.conversion.test_tflite --model RUN/int8/model.tflite --parent RUN/float/model.keras

Comparisons are paired: the same frames, whole recordings drawn together. With ``--champion`` the file is compared with
the model that is in service, on the same frames. The result is ``report.json`` beside the model.
"""

import argparse
from typing import Any

import numpy as np

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.conversion.manifest import read_manifest
from ml_training.inference.parts import TflitePart
from ml_training.inference.scorer import load_interpreter
from ml_training.models.stored import model_folder
from ml_training.statistics.intervals import metric_intervals, paired_difference
from ml_training.training.evaluate import evaluate, read_judged, slice_f1
from ml_training.training.model_card import read_card
from ml_training.training.predictions import Predictions, predict_split, stored_predictions
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ModelError
from ml_training.utils.records import Interval

FLOAT_TYPES = ("float16", "float32", "float64")


def judge_int8_file(
    model_uri: str, *, parent_uri: str, data_dir: str, champion: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Judge an int8 file on the test split; stores and returns the report (``docs/promotion.md`` lists its fields).

    ``champion`` is ``{"name", "version", "model_uri"}`` of the model in service. Raises ModelError when the parent is
    not the one that the manifest names.
    """
    manifest = read_manifest(model_uri)
    parent = read_card(parent_uri)
    if manifest.run_id != parent.run_id:
        raise ModelError(f"{model_uri} comes from run {manifest.run_id}, but its parent is of run {parent.run_id}")
    evaluation, int8 = evaluate(read_judged(model_uri), data_dir=data_dir)
    scores = stored_predictions(parent_uri, data_dir, manifest.dataset_id, "test") or predict_split(
        parent_uri, data_dir, manifest.dataset_id, "test"
    )
    int8_counts, float_counts = int8.counts(manifest.threshold), scores.counts(parent.threshold)
    floats = float_tensors(model_uri)
    report_uri = storage.join(model_folder(model_uri), "report.json")
    report = {
        "version": 1,
        "model_name": manifest.model_name,
        "model_uri": model_uri,
        "sha256": manifest.sha256,
        "size_bytes": manifest.size_bytes,
        "parts": [part.model_dump(include={"name", "file", "sha256", "size_bytes"}) for part in manifest.parts],
        "dataset_id": manifest.dataset_id,
        "split": "test",
        "split_unit": _split_unit(data_dir, manifest.dataset_id),
        "int8": {**_dump(metric_intervals(int8_counts)), "threshold": manifest.threshold},
        "float": {**_dump(metric_intervals(float_counts)), "threshold": parent.threshold},
        "f1_loss": paired_difference(float_counts, int8_counts, "f1").model_dump(),
        "mean_score_difference": float(np.mean(np.abs(int8.scores - scores.scores))),
        "all_int8": not floats,
        "float_operators": floats,
        "slices": _dump(slice_f1(int8, manifest.threshold)),
        "champion": _against_champion(champion, int8, manifest.threshold, data_dir, manifest.dataset_id),
        "recordings": len(int8_counts.recordings),
        "frames": evaluation["frames"],
        "ad_share": evaluation["ad_share"],
        "report_uri": report_uri,
    }
    storage.write_json(report_uri, report)
    return report


def float_tensors(model_uri: str) -> list[str]:
    """Return the names of the tensors that are not integers, of all of the model's files; a head's as ``head:name``."""
    names = []
    for part in read_manifest(model_uri).parts:
        prefix = "" if part.name == "model" else f"{part.name}:"
        with storage.local_copy(storage.join(model_folder(model_uri), part.file)) as path:
            kinds = TflitePart(load_interpreter(path)).tensor_types()
        names += [f"{prefix}{name}" for name, kind in kinds.items() if kind in FLOAT_TYPES]
    return names


def _against_champion(
    champion: dict[str, Any] | None, int8: Predictions, threshold: float, data_dir: str, dataset_id: str
) -> dict[str, Any] | None:
    if not champion:
        return None
    champion_threshold = read_judged(champion["model_uri"]).threshold
    other = predict_split(champion["model_uri"], data_dir, dataset_id, "test")
    theirs, ours = other.counts(champion_threshold), int8.counts(threshold)
    slices = {}
    for name in slice_f1(int8, threshold):
        field, _, value = name.partition("=")
        mask = (int8.samples.channels if field == "channel" else int8.samples.genres) == value
        loss = paired_difference(other.counts(champion_threshold, mask), int8.counts(threshold, mask), "f1")
        slices[name] = {"f1_loss": loss.model_dump()}
    return {
        "name": champion["name"],
        "version": champion["version"],
        "f1": metric_intervals(theirs)["f1"].model_dump(),
        "f1_gain": paired_difference(ours, theirs, "f1").model_dump(),
        "slices": slices,
    }


def _split_unit(data_dir: str, dataset_id: str) -> str:
    return str(storage.read_json(storage.join(data_dir, "datasets", dataset_id, "card.json"))["split_unit"])


def _dump(intervals: dict[str, Interval]) -> dict[str, Any]:
    return {name: interval.model_dump() for name, interval in intervals.items()}


def _run(args: argparse.Namespace) -> dict[str, Any]:
    champion = None
    if args.champion:
        champion = {"name": args.champion_name, "version": args.champion_version, "model_uri": args.champion}
    return judge_int8_file(args.model, parent_uri=args.parent, data_dir=args.data_dir, champion=champion)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.conversion.test_tflite", __doc__)
    parser.add_argument("--model", required=True, help="a model.tflite with its manifest beside it")
    parser.add_argument("--parent", required=True, help="the model.keras that it was converted from")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--champion", help="the model.tflite in service, with its manifest beside it")
    parser.add_argument("--champion-name", default="champion")
    parser.add_argument("--champion-version", default="")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
