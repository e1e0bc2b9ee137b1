"""What a checkpoint finds, and that doubt stops the night."""

from pathlib import Path

import pandas as pd
import pytest
from ml_training.data.validation.checkpoint import run_checkpoint
from ml_training.data.validation.rules import Rules, among, between, contains, filled


def rules() -> Rules:
    return {
        "segments": [
            filled("label", "stop"),
            among("label", "label_known", "stop", "labels are known", ["ad", "content"]),
            between("past_end_seconds", "within_recording", "stop", "no label ends past the recording", max_value=1.0),
        ],
        "recordings": [
            between("share", "mostly_labelled", "warn", "half is labelled", min_value=0.5),
            between("share", "labelled", "quarantine", "something is labelled", min_value=0.05),
        ],
        "all_labels": [contains("label", "both_classes", "stop", "both classes are there", ["ad", "content"])],
    }


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    segments = pd.DataFrame(
        {"recording_id": ["a", "b"], "label": ["ad", "content"], "past_end_seconds": [0.0, 9.0], "mistake": [None, "x"]}
    )
    recordings = pd.DataFrame({"recording_id": ["a", "b"], "share": [0.1, 1.0]})
    return {"segments": segments, "recordings": recordings, "all_labels": segments[["label"]]}


def test_findings_name_what_breaks_them_and_say_why(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    findings = run_checkpoint("labels", rules(), tables, folder=tmp_path, run_name="one")
    assert [(f.table, f.expectation, f.severity, f.subject, f.names) for f in findings] == [
        ("segments", "within_recording", "stop", "recording_id", ["b"]),
        ("recordings", "mostly_labelled", "warn", "recording_id", ["a"]),
    ]
    assert "1 of 2 do not (past_end_seconds 9, recording_id b, mistake x)" in findings[0].detail


def test_a_table_may_be_about_something_else(tmp_path: Path) -> None:
    about_files: Rules = {"files": [between("bad", "readable", "quarantine", "lines are readable", max_value=0)]}
    tables = {"files": pd.DataFrame({"file": ["x", "y"], "device": ["p", "q"], "bad": [0, 2]})}
    (finding,) = run_checkpoint("telemetry", about_files, tables, folder=tmp_path, run_name="one")
    assert (finding.subject, finding.names, finding.severity) == ("file", ["y"], "quarantine")


def test_a_quarantine_that_names_nothing_stops(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    tables["recordings"] = pd.DataFrame({"recording_id": [None], "share": [0.0]})
    findings = run_checkpoint("labels", rules(), tables, folder=tmp_path, run_name="one")
    assert next(f for f in findings if f.expectation == "labelled").severity == "stop"


def test_a_rule_that_cannot_be_checked_stops(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    tables["recordings"] = tables["recordings"].drop(columns="share")
    findings = run_checkpoint("labels", rules(), tables, folder=tmp_path, run_name="one")
    doubtful = next(f for f in findings if f.expectation == "mostly_labelled")
    assert doubtful.severity == "stop"
    assert 'could not be checked: Error: The column "share"' in doubtful.detail


def test_an_empty_table_breaks_nothing(tmp_path: Path) -> None:
    tables = {"recordings": pd.DataFrame(columns=["recording_id", "share"], dtype=float)}
    about_recordings = {"recordings": rules()["recordings"]}
    assert run_checkpoint("labels", about_recordings, tables, folder=tmp_path, run_name="one") == []
