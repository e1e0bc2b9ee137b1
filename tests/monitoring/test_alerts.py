"""Alerts reach the log and the file, whatever happens around them."""

import json
import logging
import multiprocessing
from pathlib import Path

import pytest
from ml_training.monitoring.alerts import main, raise_alert, read_alerts


def test_an_alert_is_logged_and_appended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "deep" / "alerts.jsonl"
    raise_alert("task_failed", "train failed", {"path": tmp_path}, alerts_file=path)
    raise_alert("model_refused", "recall is\nlow", severity="warning", alerts_file=path)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    first, second = read_alerts(path)
    assert (first["kind"], first["severity"], first["facts"]) == ("task_failed", "error", {"path": str(tmp_path)})
    assert second["summary"] == "recall is\nlow"


def test_without_a_file_it_is_only_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("ADBREAK_ALERTS_FILE", raising=False)
    raise_alert("task_failed", "train failed")
    assert "train failed" in caplog.text


def test_a_file_that_cannot_be_written_does_not_fail_the_caller(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alert = raise_alert("task_failed", "train failed", alerts_file=tmp_path)
    assert alert["summary"] == "train failed"
    assert "cannot be written" in caplog.text


def _raise_many(path: Path) -> None:
    for number in range(100):
        raise_alert("task_failed", "x" * 2000, {"number": number}, alerts_file=path)


def test_processes_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_raise_many, args=(path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert len(read_alerts(path)) == 400


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"kind": "a"}\n{"kind": ')
    assert read_alerts(path) == [{"kind": "a"}]
    assert read_alerts(tmp_path / "none") == []


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ADBREAK_ALERTS_FILE", str(tmp_path / "alerts.jsonl"))
    assert main(["--json", "raise", "--kind", "test", "--summary", "hello", "--facts", '{"a": 1}']) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == {"a": 1}
    assert main(["list"]) == 0
    assert "error    test: hello" in capsys.readouterr().out
    assert main(["--json", "list", "--kind", "other"]) == 0
    assert json.loads(capsys.readouterr().out) == {"alerts": []}
    assert main(["raise", "--kind", "test", "--summary", "hello", "--facts", "[1]"]) == 2
    monkeypatch.delenv("ADBREAK_ALERTS_FILE")
    assert main(["list"]) == 2
