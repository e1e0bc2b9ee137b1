"""What is expected of frames, labels and dataset versions, and what happens when it does not hold.

    suite_expectations("frames")["frames"]      # the rules for the table `frames`, as Great Expectations objects

Every rule carries a severity in its ``meta``:

| severity | when it does not hold |
| --- | --- |
| stop | the command fails: something is wrong with the pipeline or with the labels, and training must wait |
| quarantine | the recordings that break it are set aside, and the others go on |
| warn | it is told, nothing else |
"""

from typing import Any, Literal

from ml_training.data.frames import INDEX_SCHEMA
from ml_training.data.manifest import MANIFEST_SCHEMA
from ml_training.data.validation.engine import expectations
from ml_training.utils.records import LABELS

Severity = Literal["stop", "quarantine", "warn"]
MATURITY = {"stop": "critical", "quarantine": "warning", "warn": "info"}  # the library's own words, for its pages

LONGEST_GAP_SECONDS = 60.0
LONGEST_AD_SECONDS = 600.0  # teleshopping is a label of its own
SHORTEST_AD_SECONDS = 3.0


def _rule(kind: Any, name: str, severity: Severity, says: str, **options: Any) -> Any:
    meta = {"name": name, "severity": severity, "says": says}
    return kind(meta=meta, description=f"{says} ({severity})", severity=MATURITY[severity], **options)


def _between(column: str, name: str, severity: Severity, says: str, **bounds: Any) -> Any:
    return _rule(expectations.ExpectColumnValuesToBeBetween, name, severity, says, column=column, **bounds)


def _filled(column: str, severity: Severity) -> Any:
    says = f"every row has a {column}"
    return _rule(expectations.ExpectColumnValuesToNotBeNull, f"{column}_filled", severity, says, column=column)


def _unique(columns: list[str], name: str, severity: Severity, says: str) -> Any:
    return _rule(expectations.ExpectCompoundColumnsToBeUnique, name, severity, says, column_list=columns)


def _columns(names: list[str]) -> Any:
    says = "the table has the columns that readers expect"
    return _rule(
        expectations.ExpectTableColumnsToMatchSet, "columns", "stop", says, column_set=names, exact_match=False
    )


def suite_expectations(suite: str) -> dict[str, list[Any]]:
    """Return the rules of a suite, by the table that they are about (``tables`` says what the tables hold)."""
    return {"frames": _frames, "labels": _labels, "dataset": _dataset}[suite]()


def _frames() -> dict[str, list[Any]]:
    rows = [
        _columns(INDEX_SCHEMA.names),
        _filled("recording_id", "stop"),
        _filled("pts_seconds", "quarantine"),
        _between("pts_seconds", "time_not_negative", "quarantine", "no frame lies before the first", min_value=0),
        _between(
            "step_seconds", "time_increases", "quarantine", "timestamps increase strictly", min_value=0, strict_min=True
        ),
        _unique(["recording_id", "shard", "row"], "one_picture_a_frame", "quarantine", "no picture serves two frames"),
        _between("luma", "luma_range", "quarantine", "luma is within 0..255", min_value=0, max_value=255),
        _between("motion", "motion_range", "quarantine", "motion is within 0..255", min_value=0, max_value=255),
        _between("sharpness", "sharpness_range", "quarantine", "sharpness is not negative", min_value=0),
        _between(
            "width", "width_range", "quarantine", "the source is 16 to 8192 pixels wide", min_value=16, max_value=8192
        ),
        _between(
            "height", "height_range", "quarantine", "the source is 16 to 8192 pixels high", min_value=16, max_value=8192
        ),
        _rule(
            expectations.ExpectColumnValuesToMatchRegex,
            "phash_form",
            "quarantine",
            "a perceptual hash is 16 hexadecimal digits",
            column="phash",
            regex="^[0-9a-f]{16}$",
        ),
    ]
    return {"frames": rows, "recordings": _frame_summaries()}


def _frame_summaries() -> list[Any]:
    return [
        _rule(
            expectations.ExpectColumnValuesToBeUnique,
            "recording_once",
            "stop",
            "each recording is there once",
            column="recording_id",
        ),
        _between(
            "missing_rows",
            "all_rows",
            "quarantine",
            "the index has all frames of the extraction",
            min_value=0,
            max_value=0,
        ),
        _between("frames", "has_frames", "quarantine", "a recording has frames", min_value=1),
        _between(
            "bad_pictures",
            "pictures_decode",
            "quarantine",
            "sampled pictures decode to 224x224 RGB",
            min_value=0,
            max_value=0,
        ),
        _between("black_share", "not_all_black", "quarantine", "at most 95 % of the frames are black", max_value=0.95),
        _between("black_share", "rarely_black", "warn", "at most 30 % of the frames are black", max_value=0.30),
        _between(
            "frozen_share",
            "not_frozen",
            "quarantine",
            "at most 95 % of the frames repeat the one before",
            max_value=0.95,
        ),
        _between(
            "frozen_share", "rarely_frozen", "warn", "at most 50 % of the frames repeat the one before", max_value=0.50
        ),
        _between(
            "rate_share",
            "frame_rate",
            "warn",
            "90 to 110 % of the frames asked for are there",
            min_value=0.9,
            max_value=1.1,
        ),
        _between(
            "longest_gap_seconds",
            "longest_gap",
            "warn",
            "no gap is longer than a minute",
            max_value=LONGEST_GAP_SECONDS,
        ),
        _between("gap_share", "gap_share", "quarantine", "gaps are at most half of the recording", max_value=0.5),
        _between("damaged_share", "rarely_damaged", "warn", "at most 2 % of the frames are damaged", max_value=0.02),
    ]


def _labels() -> dict[str, list[Any]]:
    segments = [
        _filled("label", "stop"),
        _rule(
            expectations.ExpectColumnValuesToBeInSet,
            "label_known",
            "stop",
            f"labels are among {', '.join(LABELS)}",
            column="label",
            value_set=list(LABELS),
        ),
        _between("start_seconds", "start_not_negative", "stop", "no label starts before the recording", min_value=0),
        _between(
            "length_seconds", "end_after_start", "stop", "labels end after they start", min_value=0, strict_min=True
        ),
        _between(
            "past_end_seconds", "within_recording", "stop", "no label ends a second past the recording", max_value=1.0
        ),
        _between("ad_seconds", "ad_not_long", "warn", "no ad is longer than ten minutes", max_value=LONGEST_AD_SECONDS),
        _between(
            "ad_seconds", "ad_not_short", "warn", "no ad is shorter than three seconds", min_value=SHORTEST_AD_SECONDS
        ),
    ]
    recordings = [
        _between(
            "labelled_share", "mostly_labelled", "warn", "at least half of a recording is labelled", min_value=0.5
        ),
        _between("ad_share", "plausible_ad_share", "warn", "ads are at most 60 % of what is labelled", max_value=0.6),
    ]
    both = _rule(
        expectations.ExpectColumnDistinctValuesToContainSet,
        "both_classes",
        "stop",
        "all labels together have both ad and content",
        column="label",
        value_set=["ad", "content"],
    )
    return {"segments": segments, "recordings": recordings, "all_labels": [both]}


def _dataset() -> dict[str, list[Any]]:
    rows = [
        _columns(MANIFEST_SCHEMA.names),
        _rule(
            expectations.ExpectColumnValuesToBeInSet,
            "split_known",
            "stop",
            "splits are train, validation, test",
            column="split",
            value_set=["train", "validation", "test"],
        ),
        _rule(
            expectations.ExpectColumnValuesToBeInSet,
            "label_value",
            "stop",
            "labels are 1, 0 or -1",
            column="label",
            value_set=[1, 0, -1],
        ),
        _between("pts_seconds", "time_not_negative", "stop", "no frame lies before the first", min_value=0),
        _unique(["recording_id", "pts_seconds"], "frame_once", "stop", "no frame is listed twice"),
        _unique(["shard_uri", "row"], "picture_once", "stop", "no picture is listed twice"),
    ]
    one = {"min_value": 1, "max_value": 1}
    return {
        "manifest": rows,
        "recordings": [
            _between("splits", "recording_in_one_split", "stop", "no recording is in two splits", **one),
            _between("channel_splits", "channel_in_one_split", "stop", "no held-out channel is in two splits", **one),
            _between(
                "unlike_record", "split_as_recorded", "stop", "splits are as recorded at first sight", max_value=0
            ),
        ],
        "creatives": [
            _between("splits", "creative_in_one_split", "stop", "no creative is scored in two splits", max_value=1)
        ],
        "splits": _split_summaries(),
    }


def _split_summaries() -> list[Any]:
    return [
        _between("ad", "has_ads", "stop", "every split has frames of ads", min_value=1),
        _between("content", "has_content", "stop", "every split has frames of content", min_value=1),
        _between("ad_share", "ad_share", "warn", "ads are 5 to 50 % of what is scored", min_value=0.05, max_value=0.5),
        _between(
            "off_share", "balanced", "warn", "splits are within 20 points of their share of the frames", max_value=0.2
        ),
        _between(
            "ignored_share", "rarely_ignored", "warn", "at most 5 % of a test set is of ignored classes", max_value=0.05
        ),
        _between("masked_share", "rarely_masked", "warn", "at most half of a split's ads are masked", max_value=0.5),
    ]
