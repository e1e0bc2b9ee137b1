"""How fast the versions of a model are on each device, as curves in MLflow.

    python -m ml_training.edge.benchmark_trend --names base-general sports-nfl

Reads the kept measurements, finds the registered version of each, and adds to one run for each device and model what it
does not have yet. Where a version was measured several times, the last time counts.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.edge.benchmark_records import HISTORY, BenchmarkResult
from ml_training.registry.server import RegistryServer
from ml_training.registry.trends import Point, record_points
from ml_training.utils.command_line import command_parser, run_command

EXPERIMENT = "device-benchmarks"
MEGABYTE = 1_000_000


def read_history(data_dir: str) -> list[BenchmarkResult]:
    """Return every kept measurement, the oldest first; those of an older form are left out."""
    found = []
    for item in storage.list_objects(storage.join(data_dir, HISTORY) + "/"):
        try:
            found.append(BenchmarkResult.model_validate(storage.read_json(item.uri)))
        except ValidationError:
            continue
    return sorted(found, key=lambda result: result.measured_at)


def metrics_of(result: BenchmarkResult) -> dict[str, float]:
    """Return what is drawn; names start with ``simulated_`` where the device is not the gate's board."""
    values: dict[str, float | None] = {
        "p50_ms": result.latency_ms["p50"],
        "p95_ms": result.latency_ms["p95"],
        "sustained_per_second": result.sustained.frames_per_second if result.sustained else None,
        "peak_memory_mb": result.peak_memory_bytes / MEGABYTE,
        "highest_celsius": result.temperature_celsius.get("highest"),
    }
    prefix = "simulated_" if result.simulated else ""
    return {f"{prefix}{name}": value for name, value in values.items() if value is not None}


def points_of(results: Sequence[BenchmarkResult], versions: Mapping[str, int]) -> dict[str, list[Point]]:
    """Return the points of each device; ``versions`` are MLflow's numbers by the SHA-256 of the model file."""
    by_device: dict[str, dict[int, Point]] = defaultdict(dict)
    for result in results:
        step = versions.get(result.model_sha256)
        if step is not None:
            by_device[result.device][step] = Point(step=step, at=result.measured_at, metrics=metrics_of(result))
    return {device: [points[step] for step in sorted(points)] for device, points in sorted(by_device.items())}


def record(names: Sequence[str], data_dir: str) -> dict[str, Any]:
    """Bring the curves of these models (none: all) up to date; returns how many points each got."""
    if read_settings().mlflow_tracking_uri is None:
        return {"written": {}, "note": "MLFLOW_TRACKING_URI is not set: nothing is drawn"}
    server, history = RegistryServer.from_settings(), read_history(data_dir)
    written = {}
    for name in names or server.names():
        versions = {item.sha256: int(item.version) for item in server.versions(name) if item.sha256}
        for device, points in points_of(history, versions).items():
            run_name = f"{name} on {device}"
            written[run_name] = record_points(server, experiment=EXPERIMENT, run_name=run_name, points=points)
    return {"experiment": EXPERIMENT, "written": written}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.edge.benchmark_trend", __doc__)
    parser.add_argument("--names", nargs="*", default=[], help="registered models; default: all")
    parser.add_argument("--data-dir", default=read_settings().data_dir)
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    return record(args.names, args.data_dir)


if __name__ == "__main__":
    raise SystemExit(main())
