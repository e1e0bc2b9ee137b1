"""A training on a machine, between the task that prepares it and the one that ends it, for every way that it may go.

The commands answer at once here (``stand_in_commands``).
"""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.airflow

DAG = """
from datetime import timedelta
from airflow.sdk import Param, dag, task_group
from operators.ml_command import MlCommandOperator
from workflow.machines import train_on_a_machine
from workflow.shared import TASK_DEFAULTS

@task_group(prefix_group_id=False)
def retrain(config):
    machine, training = train_on_a_machine(
        spec={"config": config, "output_dir": "runs", "epochs": None}, skip_if="{{ params.dry_run }}", map_label=config,
        map_index_template="{{ task.map_label }}",
    )
    evaluate = {"module": "ml_training.training.evaluate", "spec": {"model": training.output["model_uri"]}}
    training >> MlCommandOperator(task_id="evaluation", **evaluate)

@dag(schedule=None, params={"dry_run": Param(False)}, default_args=TASK_DEFAULTS)
def one_training():
    retrain.expand(config=["base_model"])

one_training()
"""


@pytest.fixture
def night(run_dag: Any, calls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a DAG of one family, whose training is on a machine."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "one_training.py").write_text(DAG)
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(folder))
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "ec2-spot")
    return lambda **conf: run_dag("one_training", folder=folder, **conf)


def commands(calls: Any) -> list[str]:
    return [call.get("command", call["module"]) for call in calls()]


def states(run: Any) -> list[str]:
    return [run.state_of(name)[0] for name in ("training_machine", "training", "evaluation", "training_machine_ended")]


def test_the_result_has_the_fields_of_a_local_training_and_the_cost(night: Any, calls: Any) -> None:
    run = night()
    assert run.state == "success"
    assert states(run) == ["success"] * 4
    *training, next_one, another = commands(calls)
    assert training == ["prepare", "watch", "cost"]
    assert {next_one, another} == {"training.evaluate", "end"}, "neither waits for the other"
    result = run.result_of("training", 0)
    assert result["model_uri"] == "runs/run-base_model/float/model.keras"
    assert result["cost"] == {"usd": 0.12, "machines": 2, "simulated": True}
    labels = calls()[0]["labels"]
    assert (labels["dag"], labels["task"], labels["map_index"]) == ("one_training", "training", "0")


def test_its_own_error_fails_it_once_with_the_end_of_its_log(
    night: Any, calls: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "cloud.spot:watch")
    run = night()
    assert run.state == "failed"
    assert states(run) == ["success", "failed", "upstream_failed", "success"]
    assert commands(calls) == ["prepare", "watch", "status", "end"]
    assert "cloud.spot fails as asked" in alerts()[0]["facts"]["reason"]


def test_a_machine_that_cannot_be_ended_fails_the_run(
    night: Any, calls: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "cloud.spot:has ended")
    run = night()
    assert run.state == "failed"
    assert states(run) == ["success", "success", "success", "failed"]
    assert commands(calls).count("end") == 4
    assert [alert["facts"]["task_id"] for alert in alerts()] == ["training_machine_ended"]


def test_without_a_job_nothing_is_asked_for(night: Any, calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "cloud.spot:labels")
    run = night()
    assert states(run) == ["failed", "upstream_failed", "upstream_failed", "upstream_failed"]
    assert set(commands(calls)) == {"prepare"}


def test_a_dry_run_and_a_local_training_need_no_machine(
    night: Any, calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = night(dry_run=True)
    assert states(run) == ["success", "skipped", "skipped", "success"]
    assert commands(calls) == ["end"]  # of nothing
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "local")
    assert states(night()) == ["success"] * 4
    assert commands(calls) == ["end", "training.train", "training.evaluate"]


def test_a_place_that_is_not_known_is_refused(night: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "moon")
    assert night().state == "failed"
    assert "local, ec2-spot, is 'moon'" in alerts()[0]["facts"]["reason"]
