"""Says which of two models is better, and whether that is more than chance.

    python -m ml_training.training.compare RUN_A/int8/model.tflite RUN_B/int8/model.tflite --data-dir data
    python -m ml_training.training.compare old/evaluation-test.json new/evaluation-test.json --output compare.json

Both judge the same frames and the same breaks, each with its own threshold. Differences are paired: whole recordings
are drawn for both at once, so what makes a recording hard for both cancels. A difference is more than chance when its
95 % interval leaves zero out. What an evaluation stored is used, else the models look at the recordings now.
"""

import argparse
import logging
from typing import Any, NamedTuple

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.statistics.breaks import BreakMatches, break_f1_difference, break_scores
from ml_training.statistics.intervals import METRICS, RecordingCounts, metric_intervals, paired_difference
from ml_training.statistics.score_tables import ScoreTable, paired_score_difference, score_intervals
from ml_training.training.dataset_choice import find_dataset
from ml_training.training.evaluate import Judged, listing_of, read_judged
from ml_training.training.event_level import judge_breaks
from ml_training.training.predictions import Predictions, predict_split, read_predictions, stored_predictions
from ml_training.training.slices import slice_counts
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import UsageError
from ml_training.utils.records import Interval, Split

logger = logging.getLogger(__name__)

DECISIVE = "f1"  # the frame figure that the gates look at
LOWER_IS_BETTER = ("calibration_error",)


class Side(NamedTuple):
    """One of two models on a split: what it said, and what came of it."""

    judged: Judged
    predictions: Predictions
    counts: RecordingCounts
    scores: ScoreTable
    breaks: list[BreakMatches] | None


def compare(
    first: str, second: str, *, data_dir: str, dataset: str | None = None, split: Split = "test"
) -> dict[str, Any]:
    """Compare two models, or two evaluations; differences are the second minus the first.

    ``dataset`` is the version that judges both; by default the one that both name. Raises UsageError when they name
    different ones, or evaluations of different splits.
    """
    judged = [_judged(name, split) for name in (first, second)]
    if dataset:
        data_dir, dataset_id = find_dataset(dataset, data_dir)
    else:
        dataset_id = _common_dataset(judged)
    one, other = (
        _side(name, side._replace(dataset_id=dataset_id), data_dir, split)
        for name, side in zip((first, second), judged, strict=True)
    )
    figures = _figures(one, other)
    return {
        "version": 1,
        "first": _describe(one),
        "second": _describe(other),
        "dataset_id": dataset_id,
        "split": split,
        "frames": len(one.predictions.scores),
        "recordings": len(one.counts.recordings),
        "figures": figures,
        "by_slice": _slices(one, other),
        "verdict": verdict(figures),
    }


def verdict(figures: dict[str, Any]) -> str:
    """Return which is better, in a sentence: by frame F1, and beside it what else differs by more than chance."""
    decisive = figures[DECISIVE]
    others = [(name, figure["better"]) for name, figure in figures.items() if name != DECISIVE and figure["better"]]
    beside = "; by other figures: " + ", ".join(f"the {side} ({name})" for name, side in others) if others else ""
    difference = Interval.model_validate(decisive["difference"])
    if difference.low is None or difference.high is None:
        return f"not measured: two recordings or more give an interval, F1 differs by {difference.value:+.4f} on one"
    span = f"F1 {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
    if not decisive["better"]:
        return f"neither is better by more than chance: {span}{beside}"
    return f"the {decisive['better']} is better by more than chance: {span}{beside}"


def difference_row(first: Interval, second: Interval, difference: Interval, *, lower_is_better: bool) -> dict[str, Any]:
    """Return a figure of both sides and what their difference (second minus first) says."""
    better = None
    if difference.low is not None and difference.high is not None and (difference.low > 0 or difference.high < 0):
        better = "second" if (difference.value > 0) != lower_is_better else "first"
    return {
        "first": first.model_dump(),
        "second": second.model_dump(),
        "difference": difference.model_dump(),
        "better": better,
    }


def _figures(one: Side, other: Side) -> dict[str, Any]:
    """Return every figure of both, with its paired difference."""
    rows = {}
    ours, theirs = metric_intervals(one.counts), metric_intervals(other.counts)
    for name in METRICS:
        difference = paired_difference(other.counts, one.counts, name)
        rows[name] = difference_row(ours[name], theirs[name], difference, lower_is_better=False)
    ours, theirs = score_intervals(one.scores), score_intervals(other.scores)
    for name in ours:
        difference = paired_score_difference(other.scores, one.scores, name)
        rows[name] = difference_row(ours[name], theirs[name], difference, lower_is_better=name in LOWER_IS_BETTER)
    if one.breaks is not None and other.breaks is not None:
        rows["break_f1"] = difference_row(
            break_scores(one.breaks).f1,
            break_scores(other.breaks).f1,
            break_f1_difference(other.breaks, one.breaks),
            lower_is_better=False,
        )
    return rows


def _slices(one: Side, other: Side) -> dict[str, Any]:
    """Return the F1 of every slice on both sides; of many slices some differ by chance alone."""
    ours = slice_counts(one.predictions, one.judged.threshold)
    theirs = slice_counts(other.predictions, other.judged.threshold)
    return {
        name: difference_row(
            metric_intervals(ours[name])["f1"],
            metric_intervals(theirs[name])["f1"],
            paired_difference(theirs[name], ours[name], "f1"),
            lower_is_better=False,
        )
        for name in ours
    }


def _side(name: str, judged: Judged, data_dir: str, split: Split) -> Side:
    predictions = _stored(name, judged, data_dir, split)
    if predictions is None:
        logger.info("%s has no stored predictions of dataset %s: scoring", judged.model_uri, judged.dataset_id)
        predictions = predict_split(judged.model_uri, data_dir, judged.dataset_id, split)
    samples = predictions.samples
    listing = listing_of(data_dir, judged.dataset_id)
    breaks = None
    if listing is not None:
        breaks = [found.matches for found in judge_breaks(predictions, judged.threshold, listing)]
    table = ScoreTable.of(samples.recording_ids, samples.labels, predictions.scores)
    return Side(judged, predictions, predictions.counts(judged.threshold), table, breaks)


def _judged(name: str, split: Split) -> Judged:
    """Read a model's facts, or those of an evaluation."""
    if not name.endswith(".json"):
        return read_judged(name)
    evaluation = storage.read_json(name)
    if evaluation.get("split") != split:
        raise UsageError(f"{name} is about the {evaluation.get('split')} split, --split asks for {split}")
    return Judged(evaluation["model_uri"], evaluation["dataset_id"], evaluation["threshold"], None)


def _stored(name: str, judged: Judged, data_dir: str, split: Split) -> Predictions | None:
    if not name.endswith(".json"):
        return stored_predictions(judged.model_uri, data_dir, judged.dataset_id, split)
    evaluation = storage.read_json(name)
    if evaluation["dataset_id"] != judged.dataset_id:
        return None
    return read_predictions(evaluation["predictions_uri"], data_dir, judged.dataset_id, split)


def _common_dataset(judged: list[Judged]) -> str:
    ids = sorted({side.dataset_id for side in judged if side.dataset_id})
    if len(ids) != 1:
        named = " and ".join(ids) or "none"
        raise UsageError(f"the two must be judged on one dataset version, they name {named}: give --test-data")
    return ids[0]


def _describe(side: Side) -> dict[str, Any]:
    return {"model_uri": side.judged.model_uri, "threshold": side.judged.threshold}


def _run(args: argparse.Namespace) -> dict[str, Any]:
    pair = args.models or args.pair
    if len(pair) != 2:
        raise UsageError(f"two models (or evaluations) are compared, received {len(pair)}")
    result = compare(pair[0], pair[1], data_dir=args.data_dir, dataset=args.test_data, split=args.split)
    if args.output:
        storage.write_json(args.output, result)
    return result if args.json else readable(result)


def readable(result: dict[str, Any]) -> dict[str, Any]:
    """Return the comparison as lines for people."""
    lines: dict[str, Any] = {"first": result["first"]["model_uri"], "second": result["second"]["model_uri"]}
    for name, figure in result["figures"].items():
        difference = Interval.model_validate(figure["difference"])
        span = "" if difference.low is None else f" ({difference.low:+.4f} to {difference.high:+.4f})"
        better = f", the {figure['better']} is better" if figure["better"] else ""
        lines[name] = (
            f"{figure['first']['value']:.4f} -> {figure['second']['value']:.4f}, {difference.value:+.4f}{span}{better}"
        )
    return {**lines, "on": f"{result['recordings']} recordings of {result['dataset_id']}", "verdict": result["verdict"]}


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.compare", __doc__)
    parser.add_argument("pair", nargs="*", metavar="MODEL", help="two models, or two evaluation-<split>.json")
    parser.add_argument("--models", nargs=2, metavar="MODEL", help="the same as an option")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--test-data", help="dataset version, its folder, or a data folder (default: what both name)")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--output", help="a .json file for the result")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
