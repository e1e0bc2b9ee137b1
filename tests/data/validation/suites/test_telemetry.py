"""The suite ``telemetry``: every rule holds for what a good device sends, and each is broken by its bad data."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ml_training.data.validation.run import validate
from ml_training.data.validation.scope import Scope
from ml_training.data.validation.suites.telemetry import (
    WINDOW_COLUMNS,
    describe_windows,
    rules,
    score_drift,
    summarise_devices,
)
from ml_training.utils.errors import DataError, ValidationFailed
from ml_training.utils.records import TelemetryWindow

NOW = datetime(2026, 1, 6, tzinfo=UTC)
START = datetime(2026, 1, 5, 7, tzinfo=UTC)
WINDOW: dict[str, Any] = {
    "device": "pi-attic",
    "started_at": START.isoformat(),
    "window_seconds": 3600.0,
    "model_name": "base-general",
    "model_version": "1.2.0",
    "frames": 3600,
    "ad_share": 0.2,
    "score_histogram": [2500, 200, 50, 30, 20, 20, 30, 50, 200, 500],
    "latency_p50_ms": 9.0,
    "latency_p95_ms": 12.0,
    "temperature_celsius": 55.0,
    "free_store_bytes": 5_000_000_000,
}
QUIET = {"frames": 0, "ad_share": None, "score_histogram": [0] * 10, "latency_p50_ms": None, "latency_p95_ms": None}


def windows(*changes: dict[str, Any], date: str = "2026-01-05") -> pd.DataFrame:
    names = {"file": "pi-attic/2026-01-05/0700.jsonl", "folder_device": "pi-attic", "folder_date": date}
    rows = [
        names | TelemetryWindow.model_validate_json(json.dumps(WINDOW | change)).model_dump()
        for change in changes or ({},)
    ]
    return describe_windows(pd.DataFrame(rows, columns=WINDOW_COLUMNS), now=NOW)


def at(hours: float, **changes: Any) -> dict[str, Any]:
    return {"started_at": (START + timedelta(hours=hours)).isoformat(), **changes}


def devices(*changes: dict[str, Any]) -> pd.DataFrame:
    return summarise_devices(windows(*changes))


def files(bad: int = 0) -> pd.DataFrame:
    return pd.DataFrame([{"file": "pi-attic/2026-01-05/0700.jsonl", "device": "pi-attic", "bad_lines": bad}])


MOVED = [500, 200, 50, 30, 20, 20, 30, 50, 200, 2500]
STEADY = (at(-48), at(0))

BROKEN: dict[tuple[str, str], Callable[[], pd.DataFrame]] = {
    ("files", "lines_readable"): lambda: files(1),
    ("windows", "device_as_folder"): lambda: windows({"device": "pi-cellar"}),
    ("windows", "not_ahead"): lambda: windows(at(24 * 365)),
    ("windows", "day_as_folder"): lambda: windows(date="2026-01-09"),
    ("windows", "window_once"): lambda: windows({}, {}),
    ("windows", "version_form"): lambda: windows({"model_version": "newest"}),
    ("windows", "frames_counted"): lambda: windows({"frames": 3000}),
    ("windows", "counts_not_negative"): lambda: windows({"score_histogram": [3601, -1, *([0] * 8)]}),
    ("windows", "ad_share_range"): lambda: windows({"ad_share": 20.0}),
    ("windows", "latency_positive"): lambda: windows({"latency_p50_ms": 0.0}),
    ("windows", "latency_order"): lambda: windows({"latency_p95_ms": 8.0}),
    ("windows", "latency_bound"): lambda: windows({"latency_p95_ms": 50.0}),
    ("windows", "temperature_range"): lambda: windows({"temperature_celsius": 900.0}),
    ("windows", "not_hot"): lambda: windows({"temperature_celsius": 82.0}),
    ("windows", "store_not_negative"): lambda: windows({"free_store_bytes": -1}),
    ("windows", "store_not_full"): lambda: windows({"free_store_bytes": 1000}),
    ("devices", "device_sees"): lambda: devices(QUIET),
    ("devices", "device_speaks"): lambda: devices({}, at(26)),
    ("devices", "windows_follow"): lambda: devices({}, at(0.5)),
    ("devices", "scores_steady"): lambda: devices(at(-25), at(0, score_histogram=MOVED)),
    ("fleet", "mostly_readable"): lambda: pd.DataFrame([{"devices": 1, "bad_share": 0.6}]),
}


def good(table: str) -> pd.DataFrame:
    tables = {
        "files": files,
        "windows": lambda: windows({}, at(1, **QUIET)),
        "devices": lambda: devices({}, at(1, **QUIET), at(2)),
        "fleet": lambda: pd.DataFrame([{"devices": 1, "bad_share": 0.0}]),
    }
    return tables[table]()


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert [(table, rule.meta["name"]) for table, found in rules().items() for rule in found] == list(BROKEN)


@pytest.mark.parametrize("case", BROKEN, ids="-".join)
def test_a_rule_holds_for_good_data_and_not_for_bad(case: tuple[str, str], check_rule: Any) -> None:
    check_rule(rules()[case[0]], case[1], good(case[0]), BROKEN[case]())


def test_scores_of_another_model_are_not_compared() -> None:
    other = at(0, score_histogram=MOVED, model_version="1.3.0")
    assert pd.isna(score_drift(windows(at(-25), other)))
    assert score_drift(windows(*STEADY)) == 0


def send(root: Path, device: str, name: str, *lines: str) -> Path:
    path = root / "telemetry" / device / "2026-01-05" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_bad_file_is_moved_away_and_the_others_stand(tmp_path: Path) -> None:
    good_file = send(tmp_path, "pi-attic", "0700.jsonl", json.dumps(WINDOW), "")
    more = [json.dumps(WINDOW | at(hour)) for hour in (1, 2)]
    bad_file = send(tmp_path, "pi-attic", "0800.jsonl", *more, '{"device": "pi-attic"')
    liar = send(tmp_path, "pi-cellar", "0700.jsonl", json.dumps(WINDOW))
    result = validate("telemetry", Scope(str(tmp_path)))
    assert (result["success"], result["checked"]) == (True, 3)
    assert result["quarantined"] == ["pi-attic/2026-01-05/0800.jsonl", "pi-cellar/2026-01-05/0700.jsonl"]
    assert [path.exists() for path in (good_file, bad_file, liar)] == [True, False, False]
    moved = tmp_path / "quarantine" / "telemetry" / "pi-attic" / "2026-01-05" / "0800.jsonl"
    assert len(moved.read_text().splitlines()) == 3
    reason = json.loads(moved.with_name("0800.jsonl.reason.json").read_text())["reason"]
    assert "line 3: line: Invalid JSON" in reason
    again = validate("telemetry", Scope(str(tmp_path)))
    assert (again["checked"], again["quarantined"], again["failed"]) == (1, [], [])


def test_mostly_bad_lines_stop(tmp_path: Path) -> None:
    send(tmp_path, "pi-attic", "0700.jsonl", "no", "telemetry", json.dumps(WINDOW))
    with pytest.raises(ValidationFailed, match="mostly_readable"):
        validate("telemetry", Scope(str(tmp_path)))


def test_devices_and_days_are_chosen(tmp_path: Path) -> None:
    send(tmp_path, "pi-attic", "0700.jsonl", json.dumps(WINDOW))
    send(tmp_path, "pi-cellar", "0700.jsonl", json.dumps(WINDOW | {"device": "pi-cellar"}))
    assert validate("telemetry", Scope(str(tmp_path), devices=["pi-cellar"]))["checked"] == 1
    assert validate("telemetry", Scope(str(tmp_path), from_date="2026-01-05", to_date="2026-01-05"))["checked"] == 2
    with pytest.raises(DataError, match=r"no telemetry in .* for these devices and days"):
        validate("telemetry", Scope(str(tmp_path), from_date="2026-01-06"))
