"""What a training on a machine cost stands with its run in MLflow, once it is over."""

from pathlib import Path

import mlflow
import pytest
from ml_training.training.tracking import log_cost, main, tracked_run

COST = {"usd": 0.31, "seconds": 2400, "machines": 2, "interruptions": 1, "job": "s3://adbreak/training/jobs/1"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of MLflow of the test's own."""
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.chdir(tmp_path)
    return address


def test_the_cost_joins_the_run_of_its_training(server: str) -> None:
    with tracked_run("base-general", "4be1", {}) as tracker:
        pass
    for _ in range(2):  # a task that is retried says it again
        assert log_cost("4be1", COST | {"simulated": True}) == tracker.mlflow_run_id
    data = mlflow.MlflowClient(server).get_run(tracker.mlflow_run_id).data
    assert (data.metrics["cost/usd"], data.metrics["cost/machines"]) == (0.31, 2)
    assert (data.tags["cost"], data.tags["adbreak.job"]) == ("simulated", COST["job"])
    assert log_cost("4be1", COST)
    assert mlflow.MlflowClient(server).get_run(tracker.mlflow_run_id).data.tags["cost"] == "estimate"


def test_a_run_that_is_not_there_costs_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_cost("nobody", COST) is None
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert log_cost("4be1", COST) is None


def test_a_cost_that_is_no_object_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--run-id", "4be1", "--cost", "0.31"]) == 2
    assert "expected a JSON object, received '0.31'" in capsys.readouterr().err
