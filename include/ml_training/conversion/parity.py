"""How far a file is from its float parent, and which of its checks hold.

against = parity(scored, 0.41, floats, 0.41)     # F1 of both, their paired difference, differences of scores
checks_of(report, bounds)                        # [{"check": "size", "verdict": "pass", "reason": ...}, ...]
"""

from typing import Any

import numpy as np

from ml_training.config.schema import SIZE_LIMIT_BYTES, GatesSection
from ml_training.statistics.intervals import metric_intervals, paired_difference, spanned
from ml_training.training.predictions import Predictions, predict_split, stored_predictions
from ml_training.utils.records import Interval, Verdict

PERCENTILE = 95


def float_predictions(model_uri: str, data_dir: str, dataset_id: str) -> Predictions:
    """Return what a float model says of the test split, stored or computed now."""
    stored = stored_predictions(model_uri, data_dir, dataset_id, "test")
    return stored or predict_split(model_uri, data_dir, dataset_id, "test")


def parity(file: Predictions, threshold: float, parent: Predictions | None, parent_threshold: float) -> dict[str, Any]:
    """Return F1 and the like of the file and its parent on the same frames, and how much their scores differ."""
    counts = file.counts(threshold)
    report: dict[str, Any] = {
        "int8": {**dump(metric_intervals(counts)), "threshold": threshold},
        "float": None,
        "f1_loss": None,
        "score_difference": None,
        "recordings": len(counts.recordings),
    }
    if parent is None:
        return report
    parent_counts = parent.counts(parent_threshold)
    difference = np.abs(file.scores - parent.scores)
    return report | {
        "float": {**dump(metric_intervals(parent_counts)), "threshold": parent_threshold},
        "f1_loss": paired_difference(parent_counts, counts, "f1").model_dump(),
        "mean_score_difference": float(np.mean(difference)),
        "score_difference": {
            "mean": float(np.mean(difference)),
            "p95": float(np.percentile(difference, PERCENTILE)),
            "max": float(np.max(difference)),
        },
    }


def checks_of(report: dict[str, Any], bounds: GatesSection) -> list[dict[str, str]]:
    """Return the verdict on each check of the page ``docs/conversion.md``."""
    size, floats, differing = report["size_bytes"], report["float_operators"], report["metadata_differences"]
    return [
        {"check": "parity", **_parity_check(report["f1_loss"], bounds.int8_f1_loss)},
        _check("all_int8", not floats, f"{len(floats)} operators are not int8" if floats else "every operator is int8"),
        _check("size", size < bounds.size_bytes, f"{size:,} bytes, fewer than {bounds.size_bytes:,} wanted"),
        _check("size_limit", size <= SIZE_LIMIT_BYTES, f"{size:,} bytes, never more than {SIZE_LIMIT_BYTES:,}"),
        _check("metadata", not differing, ", ".join(differing) or "the files say what the manifest says"),
    ]


def readable(report: dict[str, Any]) -> dict[str, str]:
    """Return the main figures as lines for people."""
    float_f1 = f", float {report['float']['f1']['value']:.4f}" if report["float"] else ""
    lines = {
        "model_uri": report["model_uri"],
        "dataset_id": report["dataset_id"],
        "frames": f"{report['frames']} of {report['recordings']} recordings",
        "f1": spanned(report["int8"]["f1"]) + float_f1,
    }
    if report["score_difference"]:
        mean, p95, largest = (report["score_difference"][name] for name in ("mean", "p95", "max"))
        lines["f1_loss"] = spanned(report["f1_loss"])
        lines["score_difference"] = f"mean {mean:.4f}, 95 % below {p95:.4f}, largest {largest:.4f}"
    lines["compressed_bytes"] = f"{report['compressed_bytes']:,}"
    lines |= {item["check"]: f"{item['verdict']}: {item['reason']}" for item in report["checks"]}
    return {**lines, "report": report["report_uri"]}


def dump(intervals: dict[str, Interval]) -> dict[str, Any]:
    """Return intervals as JSON."""
    return {name: interval.model_dump() for name, interval in intervals.items()}


def _parity_check(loss: dict[str, Any] | None, margin: float) -> dict[str, str]:
    if loss is None:
        return {"verdict": "not_measured", "reason": "the float parent is not there: name it with --parent"}
    verdict: Verdict = "pass"
    if loss["value"] > margin:
        verdict = "not_measured" if loss["low"] is None else "fail" if loss["low"] > 0 else "pass"
    return {"verdict": verdict, "reason": f"F1 lost {spanned(loss)}, at most {margin} wanted"}


def _check(name: str, holds: bool, reason: str) -> dict[str, str]:
    return {"check": name, "verdict": "pass" if holds else "fail", "reason": reason}
