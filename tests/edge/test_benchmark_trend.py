"""The trend over versions: one curve for each device and model, in a real MLflow database."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ml_training.cloud import storage
from ml_training.edge.benchmark_records import HISTORY, BenchmarkResult, RunnerSettings
from ml_training.edge.benchmark_trend import EXPERIMENT, main
from ml_training.registry.server import RegistryServer

FIRST = datetime(2026, 11, 1, tzinfo=UTC)


def keep(root: Path, *, device: str, sha256: str, p95: float, day: int, simulated: bool = False) -> None:
    """Store a measurement as a benchmark does."""
    latency = {"p50": p95 / 2, "p90": p95, "p95": p95, "p99": p95}
    result = BenchmarkResult(
        board="Raspberry Pi 5", machine="aarch64", cpu_count=4, python_version="3.11", runtime_version="r",
        load_ms=1, first_inference_ms=1, threads={}, peak_memory_bytes=60_000_000, golden_exact=True,
        golden_max_difference=0, golden_inputs=8, device=device, model_name="base-general", model_uri="m",
        model_sha256=sha256, content="c", settings=RunnerSettings(), gate_board="Raspberry Pi 5", described_board=None,
        simulated=simulated, latency_ms=latency, parts={}, throughput_per_second=80,
        measured_at=FIRST + timedelta(days=day),
    )  # fmt: skip
    storage.write_json(str(root / HISTORY / device / f"{day}.json"), result.model_dump(mode="json"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegistryServer:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    made = RegistryServer(address)
    for sha256 in ("aaa", "bbb"):
        made.create("base-general", source="adbreak-folder:x", run_id=None, tags={"sha256": sha256})
    return made


def test_each_device_gets_a_curve_over_the_versions(
    server: RegistryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    root = tmp_path / "data"
    keep(root, device="pi5", sha256="aaa", p95=14.0, day=1)
    keep(root, device="pi5", sha256="aaa", p95=12.0, day=2)  # measured again: this one counts
    keep(root, device="pi5", sha256="bbb", p95=10.0, day=3)
    keep(root, device="laptop", sha256="bbb", p95=3.0, day=4, simulated=True)
    keep(root, device="pi5", sha256="never registered", p95=99.0, day=5)
    storage.write_json(str(root / HISTORY / "pi5" / "old.json"), {"version": 1})
    assert run(capsys, "--data-dir", str(root)) == {"base-general on laptop": 1, "base-general on pi5": 2}
    assert run(capsys, "--data-dir", str(root), "--names", "base-general") == {
        "base-general on laptop": 0, "base-general on pi5": 0,
    }  # fmt: skip
    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = {item.info.run_name: item for item in client.search_runs([experiment.experiment_id])}
    curve = client.get_metric_history(runs["base-general on pi5"].info.run_id, "p95_ms")
    assert [(point.step, point.value) for point in curve] == [(1, 12.0), (2, 10.0)]
    assert set(runs["base-general on laptop"].data.metrics) == {
        "simulated_p50_ms", "simulated_p95_ms", "simulated_peak_memory_mb",
    }  # fmt: skip


def noting(calls: list[str], name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``original`` so that each call leaves its name in ``calls``."""

    def note(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return original(*args, **kwargs)

    return note


def test_more_versions_take_no_more_requests(
    server: RegistryServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    root, asked = tmp_path / "data", list[str]()
    for day in range(1, 9):
        sha256 = f"night-{day}"
        server.create("base-general", source="adbreak-folder:x", run_id=None, tags={"sha256": sha256})
        keep(root, device="pi5", sha256=sha256, p95=14.0 - day, day=day)
    for method in ("get_metric_history", "log_batch", "log_metric"):
        monkeypatch.setattr(MlflowClient, method, noting(asked, method, getattr(MlflowClient, method)))
    assert run(capsys, "--data-dir", str(root)) == {"base-general on pi5": 8}
    assert sorted(asked) == ["get_metric_history"] * 3 + ["log_batch"]  # one curve each of p50, p95 and memory
    asked.clear()
    assert run(capsys, "--data-dir", str(root)) == {"base-general on pi5": 0}
    assert asked == ["get_metric_history"] * 3


def run(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    assert main(["--json", *options]) == 0
    return json.loads(capsys.readouterr().out)["written"]


def test_without_a_server_nothing_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert run(capsys, "--data-dir", str(tmp_path)) == {}
