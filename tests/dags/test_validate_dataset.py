"""What ``validate_dataset`` checks, announces and tells; the suites answer at once here (``stand_in_commands``)."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.airflow

SUITES = ["recordings", "frames", "audio", "labels"]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the suites answer at once; return what was called, in order."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("stand_in_commands.py")}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("ADBREAK_ML_PYTHON", str(python))
    monkeypatch.setenv("STAND_IN_CALLS", str(tmp_path / "calls"))
    return lambda: [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


def test_the_suites_run_one_after_the_other_on_what_was_announced(run_dag: Any, calls: Any) -> None:
    run = run_dag("validate_dataset", recordings=["b", "a"])
    assert run.state == "success"
    assert [(call["suite"], call["recordings"]) for call in calls()] == [(suite, ["a", "b"]) for suite in SUITES]
    assert run.announced("validated_frames") == [{"recordings": ["a", "b"]}]


def test_what_is_set_aside_is_told_and_not_announced(
    run_dag: Any, calls: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_QUARANTINES", json.dumps({"recordings": "copied", "audio": "damaged"}))
    run = run_dag("validate_dataset", recordings=["copied", "damaged", "good"])
    assert run.state == "success"
    assert [alert["summary"] for alert in alerts()] == [
        "copied is in quarantine: recordings says so", "damaged is in quarantine: audio says so"
    ]  # fmt: skip
    assert run.announced("validated_frames") == [{"recordings": ["good"]}]


def test_a_suite_that_stops_leaves_the_others_to_say_what_they_find(
    run_dag: Any, calls: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", 'data.validation:"frames"')
    monkeypatch.setenv("STAND_IN_QUARANTINES", json.dumps({"audio": "damaged"}))
    run = run_dag("validate_dataset", recordings=["damaged", "good"])
    assert run.state == "failed"
    assert [run.state_of(f"validate_{suite}") for suite in SUITES] == ["success", "failed", "success", "success"]
    assert run.state_of("validated_frames") == "upstream_failed"
    assert run.announced("validated_frames") == []
    assert {alert["kind"] for alert in alerts()} == {"task_failed", "recording_quarantined"}


def test_when_all_is_set_aside_nothing_is_announced(run_dag: Any, calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_QUARANTINES", json.dumps({"recordings": "only"}))
    run = run_dag("validate_dataset", recordings=["only"])
    assert (run.state, run.state_of("validated_frames")) == ("success", "skipped")
    assert run.announced("validated_frames") == []


def test_what_was_announced_is_checked_and_too_many_names_mean_all() -> None:
    from workflow.shared import FRAMES
    from workflow.validation import MOST_NAMED, recordings_to_validate

    events = [SimpleNamespace(extra={"recordings": ["b", "a"]}), SimpleNamespace(extra={"recordings": ["c"]})]
    form: dict[str, Any] = {"recordings": []}
    assert recordings_to_validate(form, {FRAMES: events}) == ["a", "b", "c"]
    assert recordings_to_validate({"recordings": ["x"]}, {FRAMES: events}) == ["x"]
    assert recordings_to_validate(form, {}) == []
    many = [SimpleNamespace(extra={"recordings": [str(number) for number in range(MOST_NAMED + 1)]})]
    assert recordings_to_validate(form, {FRAMES: many}) == []
