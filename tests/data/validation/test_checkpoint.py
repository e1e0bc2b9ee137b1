"""What a checkpoint finds, and that doubt stops the night."""

from pathlib import Path

import pandas as pd
import pytest
from ml_training.data.validation.checkpoint import run_checkpoint


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    segments = pd.DataFrame(
        {
            "recording_id": ["a", "b"],
            "label": ["ad", "content"],
            "start_seconds": [0.0, 0.0],
            "length_seconds": [20.0, 50.0],
            "past_end_seconds": [0.0, 9.0],
            "ad_seconds": [20.0, None],
        }
    )
    recordings = pd.DataFrame({"recording_id": ["a", "b"], "labelled_share": [0.1, 1.0], "ad_share": [0.3, 0.3]})
    return {"segments": segments, "recordings": recordings, "all_labels": segments}


def test_findings_name_recordings_and_values(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    findings = run_checkpoint("labels", tables, folder=tmp_path, run_name="one")
    assert [(f.table, f.expectation, f.severity, f.recordings) for f in findings] == [
        ("segments", "within_recording", "stop", ["b"]),
        ("recordings", "mostly_labelled", "warn", ["a"]),
    ]
    assert "1 of 2 do not (past_end_seconds 9, recording_id b)" in findings[0].detail


def test_a_rule_that_cannot_be_checked_stops(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    tables["recordings"] = tables["recordings"].drop(columns="ad_share")
    findings = run_checkpoint("labels", tables, folder=tmp_path, run_name="one")
    doubtful = next(f for f in findings if f.expectation == "plausible_ad_share")
    assert doubtful.severity == "stop"
    assert 'could not be checked: Error: The column "ad_share"' in doubtful.detail
