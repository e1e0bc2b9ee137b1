"""The suite ``telemetry``: what devices send about themselves, before anybody watches or judges them by it.

found = tables(Scope("s3://adbreak", devices=["pi-attic"], from_date="2026-01-01"))
found["files"], found["windows"], found["devices"], found["fleet"]

A file with lines that are none of ours, or that contradict themselves, is set aside; the other files stand.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ml_training.cloud import storage
from ml_training.data.recordings import DATE_PATTERN
from ml_training.data.validation.rules import Rules, between, matches, once_together, zero
from ml_training.data.validation.scope import Scope, Tables, in_parallel
from ml_training.data.validation.stability import stability_index
from ml_training.utils.errors import DataError
from ml_training.utils.records import TelemetryWindow

LATENCY_BOUND_MS = 50.0  # the gate of the design, on the device that it names
HOT_CELSIUS = 80.0  # a Raspberry Pi slows itself down from here on
LOW_STORE_BYTES = 100_000_000
CLOCK_AHEAD_SECONDS = 3600.0
FEWEST_FRAMES = 1000  # before the scores of two stretches of time are compared
WINDOW_COLUMNS = ["file", "folder_device", "folder_date", *(name for name in TelemetryWindow.model_fields)]


class TelemetryFile(NamedTuple):
    """One stored file; ``uri`` says device and day."""

    uri: str
    device: str
    date: str

    @property
    def name(self) -> str:
        """The address below ``telemetry/``."""
        return "/".join(self.uri.split("/")[-3:])


def tables(scope: Scope) -> Tables:
    """Return ``files``, ``windows``, ``devices`` and ``fleet``. Raises DataError when nothing was sent."""
    files = telemetry_files(scope)
    if not files:
        asked = " for these devices and days" if scope.devices or scope.from_date or scope.to_date else ""
        raise DataError(f"there is no telemetry in {scope.data_dir}{asked} to validate: devices have sent nothing yet")
    read = in_parallel(files, read_file)
    windows = describe_windows(pd.DataFrame([row for rows, _ in read for row in rows], columns=WINDOW_COLUMNS))
    described = pd.DataFrame(
        [
            {
                "file": file.name,
                "device": file.device,
                "lines": len(rows) + len(bad),
                "bad_lines": len(bad),
                "mistake": bad[0] if bad else None,
            }
            for file, (rows, bad) in zip(files, read, strict=True)
        ]
    )
    bad_share = described["bad_lines"].sum() / max(described["lines"].sum(), 1)
    fleet = pd.DataFrame([{"devices": described["device"].nunique(), "bad_share": bad_share}])
    return {"files": described, "windows": windows, "devices": summarise_devices(windows), "fleet": fleet}


def telemetry_files(scope: Scope) -> list[TelemetryFile]:
    """Return the files of the devices and days that are asked for."""
    root = storage.join(scope.data_dir, "telemetry")
    roots = [storage.join(root, device) for device in scope.devices] if scope.devices else [root]
    files = []
    for item in (item for folder in roots for item in storage.list_objects(folder + "/")):
        parts = item.uri.split("/")
        asked = (scope.from_date or "") <= parts[-2] <= (scope.to_date or "9999")
        if asked and item.uri.endswith(".jsonl") and DATE_PATTERN.fullmatch(parts[-2]):
            files.append(TelemetryFile(item.uri, parts[-3], parts[-2]))
    return files


def read_file(file: TelemetryFile) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the windows of a file as rows, and for each line that is none what is wrong with it."""
    rows, bad = [], []
    for number, line in enumerate(storage.read_bytes(file.uri).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            window = TelemetryWindow.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            bad.append(f"line {number}: {'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}")
            continue
        names = {"file": file.name, "folder_device": file.device, "folder_date": file.date}
        rows.append(names | window.model_dump())
    return rows, bad


def describe_windows(windows: pd.DataFrame, *, now: datetime | None = None) -> pd.DataFrame:
    """Add to each window what the rules look at: times against the clock and the folder, counts against each other."""
    started = pd.to_datetime(windows["started_at"], utc=True)
    folder = pd.to_datetime(windows["folder_date"], utc=True)
    counted = windows["score_histogram"].map(sum).astype(float)
    numbers = {
        name: pd.to_numeric(windows[name])
        for name in ("ad_share", "latency_p50_ms", "latency_p95_ms", "temperature_celsius", "free_store_bytes")
    }
    return windows.assign(
        **numbers,
        started_at=started,
        other_device=(windows["device"] != windows["folder_device"]).astype(int),
        ahead_seconds=(started - pd.Timestamp(now or datetime.now(UTC))).dt.total_seconds(),
        days_apart=(started.dt.floor("D") - folder).dt.days.abs(),
        uncounted_frames=(counted - windows["frames"].astype(float)).abs(),
        fewest_in_bin=windows["score_histogram"].map(min),
        latency_spread_ms=numbers["latency_p95_ms"] - numbers["latency_p50_ms"],
    )


def summarise_devices(windows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each device: its silences, windows that overlap, and how its scores moved on the last day."""
    columns = ["device", "frames", "longest_silence_hours", "overlaps", "score_drift"]
    rows = [_summarise_device(str(device), part) for device, part in windows.groupby("folder_device")]
    return pd.DataFrame(rows, columns=columns)


def _summarise_device(device: str, windows: pd.DataFrame) -> dict[str, Any]:
    ordered = windows.sort_values("started_at")
    ends = ordered["started_at"] + pd.to_timedelta(ordered["window_seconds"].astype(float), unit="s")
    silence = (ordered["started_at"] - ends.shift()).dt.total_seconds()
    return {
        "device": device,
        "frames": int(ordered["frames"].sum()),
        "longest_silence_hours": max(float(silence.max()), 0.0) / 3600 if len(ordered) > 1 else 0.0,
        "overlaps": int((silence < -1.0).sum()),
        "score_drift": score_drift(ordered),
    }


def score_drift(windows: pd.DataFrame) -> float:
    """Return the stability index of the last day's scores against those of the days before, by the same model."""
    last = windows.iloc[-1]
    same = windows[(windows["model_name"] == last["model_name"]) & (windows["model_version"] == last["model_version"])]
    is_last = same["started_at"] > last["started_at"] - timedelta(days=1)
    now, before = (
        np.sum(np.array(part["score_histogram"].tolist(), np.int64).reshape(-1, 10), axis=0)
        for part in (same[is_last], same[~is_last])
    )
    return stability_index(now, before) if min(now.sum(), before.sum()) >= FEWEST_FRAMES else np.nan


def rules() -> Rules:
    """Return the rules of the suite, by table."""
    return {
        "files": [zero("bad_lines", "lines_readable", "quarantine", "each line is a window of telemetry")],
        "windows": [*_identity(), *_counts(), *_state()],
        "devices": _devices(),
        "fleet": [between("bad_share", "mostly_readable", "stop", "at most half of all lines are bad", max_value=0.5)],
    }


def _identity() -> list[Any]:
    return [
        zero("other_device", "device_as_folder", "quarantine", "a device sends only its own telemetry"),
        between(
            "ahead_seconds",
            "not_ahead",
            "quarantine",
            "no window lies more than an hour in the future",
            max_value=CLOCK_AHEAD_SECONDS,
        ),
        between("days_apart", "day_as_folder", "warn", "a window is of its folder's day, or the next", max_value=1),
        once_together(["device", "started_at", "model_version"], "window_once", "warn", "each window was sent once"),
        matches("model_version", "version_form", "warn", "a model has a version as 1.2.0", r"^\d+\.\d+\.\d+$"),
    ]


def _counts() -> list[Any]:
    share = {"min_value": 0, "max_value": 1}
    return [
        zero("uncounted_frames", "frames_counted", "quarantine", "the histogram counts each frame once"),
        between("fewest_in_bin", "counts_not_negative", "quarantine", "no bin of it is negative", min_value=0),
        between("ad_share", "ad_share_range", "quarantine", "the share of ads is within 0..1", **share),
        between(
            "latency_p50_ms", "latency_positive", "quarantine", "a latency is positive", min_value=0, strict_min=True
        ),
        between(
            "latency_spread_ms",
            "latency_order",
            "quarantine",
            "the 95th percentile is not below the median",
            min_value=0,
        ),
        between(
            "latency_p95_ms",
            "latency_bound",
            "warn",
            "the 95th percentile of latency is below 50 ms",
            max_value=LATENCY_BOUND_MS,
            strict_max=True,
        ),
    ]


def _state() -> list[Any]:
    return [
        between(
            "temperature_celsius",
            "temperature_range",
            "quarantine",
            "a temperature is within -40..125 degrees",
            min_value=-40,
            max_value=125,
        ),
        between("temperature_celsius", "not_hot", "warn", "a device stays below 80 degrees", max_value=HOT_CELSIUS),
        between("free_store_bytes", "store_not_negative", "quarantine", "free store is not negative", min_value=0),
        between("free_store_bytes", "store_not_full", "warn", "100 MB of store are free", min_value=LOW_STORE_BYTES),
    ]


def _devices() -> list[Any]:
    return [
        between("frames", "device_sees", "warn", "a device saw frames", min_value=1),
        between("longest_silence_hours", "device_speaks", "warn", "no device is silent for a day", max_value=24),
        zero("overlaps", "windows_follow", "warn", "windows of a device follow one another"),
        between("score_drift", "scores_steady", "warn", "the scores of the last day are as before", max_value=0.25),
    ]
