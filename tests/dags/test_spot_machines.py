"""The three tasks with all that is behind them: real commands, a simulated EC2, machines that run their user data.

What is trained is ``cloud.rehearsal``, whose last digest tells whether anything was lost on the way.
"""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from local_stack.ec2.remote import PYTHON, RemoteEc2, simulated_ec2

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

STEPS = 60
DAG = """
from airflow.sdk import Param, dag
from operators.spot_training import SpotTrainingOperator, TrainingMachineEndedOperator, TrainingMachineOperator
from workflow.shared import TASK_DEFAULTS

@dag(schedule=None, params={"steps": Param(1)}, default_args=TASK_DEFAULTS)
def rehearsal():
    spec = {"output": "s3://adbreak/rehearsals/{{ run_id }}", "steps": "{{ params.steps }}", "step_seconds": 0.2,
            "checkpoint_steps": 20}
    shared = {"module": "ml_training.cloud.rehearsal", "spec": spec}
    machine = TrainingMachineOperator(task_id="training_machine", training="training", **shared)
    training = SpotTrainingOperator(task_id="training", machine="training_machine", **shared)
    ended = TrainingMachineEndedOperator(
        task_id="training_machine_ended", training="training", machine="training_machine"
    )
    machine >> training >> ended.as_teardown(setups=machine, on_failure_fail_dagrun=True)

rehearsal()
"""


@pytest.fixture
def ec2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteEc2]:
    """A simulated EC2 with a bucket, which every command finds by its environment."""
    if not PYTHON.exists():
        pytest.skip("the environment of the local stack is missing: make setup-stack")
    with simulated_ec2(tmp_path / "ec2", settings={"heartbeat_seconds": 0.5}) as simulation:
        for name, value in simulation.environment.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="adbreak")
        yield simulation


@pytest.fixture
def rehearse(run_dag: Any, ec2: RemoteEc2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the three tasks."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "rehearsal.py").write_text(DAG)
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(folder))
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_BUCKET", "adbreak")
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "ec2-spot")
    return lambda steps: run_dag("rehearsal", folder=folder, steps=steps)


def test_a_training_whose_machine_is_taken_away_ends_as_if_nothing_had_happened(rehearse: Any, ec2: RemoteEc2) -> None:
    with ThreadPoolExecutor() as aside:
        taken = aside.submit(take_the_first_away, ec2)
        run = rehearse(STEPS)
        assert taken.result(10), "the first machine was to be taken away"
    assert run.state == "success"
    result = run.result_of("training")
    assert result["digest"] == digest(STEPS)
    assert (result["cost"]["machines"], result["cost"]["interruptions"]) == (2, 1)
    assert result["cost"]["usd"] > 0
    assert result["cost"]["simulated"] is True
    first, second = ec2.machines()
    assert first["times"]["terminated"] <= second["times"]["launched"]
    assert second["state"] == "terminated"
    assert first["tags"]["adbreak:dag"] == "rehearsal"


def test_its_own_error_fails_the_task_with_its_words_and_leaves_no_machine(
    rehearse: Any, ec2: RemoteEc2, alerts: Any
) -> None:
    run = rehearse(0)
    assert (run.state_of("training"), run.state_of("training_machine_ended")) == ("failed", "success")
    reason = alerts()[0]["facts"]["reason"]
    assert reason.startswith("error: s3://adbreak/training/jobs/")
    assert "expected --steps and --checkpoint-steps of 1 or more" in reason.splitlines()[-1]
    assert [machine["state"] for machine in ec2.machines()] == ["terminated"]


def take_the_first_away(ec2: RemoteEc2) -> bool:
    """Give a spot notice as soon as the trainer is at work; tells whether it ever was."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for machine in ec2.machines():
            if any("rehearsal" in str(process) for process in ec2.processes(machine["instance_id"])):
                ec2.notice(machine["instance_id"], seconds=20)
                return True
        time.sleep(0.2)
    return False


def digest(steps: int) -> str:
    """Return what an undisturbed rehearsal ends with."""
    state = ""
    for step in range(steps):
        state = hashlib.sha256(f"{state}:{step}".encode()).hexdigest()
    return state
