"""What every DAG has: documentation, an owner, deadlines, retries; and files that are light to parse."""

import os
import statistics
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pendulum
import pytest

pytestmark = pytest.mark.airflow

DAGS = Path(__file__).resolve().parents[2] / "dags"
NAMES = sorted(path.stem for path in DAGS.glob("*.py"))
HEAVY = {"tensorflow", "tf_keras", "mlflow", "great_expectations", "cv2", "pandas", "numpy", "boto3"}
MEASURE = """
import importlib.util, os, sys, time
from airflow.sdk import DAG, BaseOperator, Param, Variable, task
from airflow.providers.standard.operators.hitl import ApprovalOperator

def parse(path):
    before = set(sys.modules)
    started = time.process_time()
    spec = importlib.util.spec_from_file_location("dag_file", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    seconds = time.process_time() - started
    print(path, seconds, *sorted({name.split(".")[0] for name in set(sys.modules) - before}), flush=True)

for path in sys.argv[1:] * 3:
    child = os.fork()  # each time from a process that has imported Airflow and nothing of ours
    if child == 0:
        parse(path)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_the_dags_are_there() -> None:
    of_data, of_models = ["ingest_recordings", "validate_dataset"], ["nightly_retraining", "promote_model"]
    assert sorted([*of_data, *of_models, "reap_instances", "refresh_delivery"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_file_is_a_picture(name: str) -> None:
    lines = (DAGS / f"{name}.py").read_text().splitlines()
    assert len(lines) < 150
    assert not [line for line in lines if line.lstrip().startswith(("if ", "while ", "try:"))]


@pytest.mark.parametrize("name", NAMES)
def test_every_dag_is_documented_owned_and_bounded(parse: Any, name: str) -> None:
    dag = parse(name)
    assert dag.doc_md
    assert "adbreak" in dag.tags
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.dagrun_timeout is not None
    for key in dag.params:
        param = dag.params.get_param(key)
        assert param.schema["title"]
        assert param.description


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_owned_and_bounded_and_raises_an_alert(parse: Any, name: str) -> None:
    for task in parse(name).task_dict.values():
        assert task.owner == "adbreak", task.task_id
        assert task.retries >= (0 if task.task_id.startswith("validate_") else 1), task.task_id
        assert task.on_failure_callback, task.task_id
        deadline = task.execution_timeout or getattr(task, "response_timeout", None)
        assert deadline is not None, task.task_id


def test_the_night_reads_as_it_is_told(parse: Any) -> None:
    dag = parse("nightly_retraining")
    told = [
        "plan", "dataset_version", "validate_version", "training", "evaluation", "conversion", "parity_and_size",
        "benchmark_on_device", "gates", "registered", "challenger",
    ]  # fmt: skip
    for earlier, later in pairwise(told):
        assert later in {task.task_id for task in dag.get_task(earlier).get_flat_relatives()}, (earlier, later)


def test_schedules(parse: Any) -> None:
    from airflow.sdk import Asset

    assert parse("nightly_retraining").schedule.expression == "0 2 * * *"
    assert parse("validate_dataset").schedule == [Asset("frames")]
    assert parse("promote_model").schedule == [Asset("challenger")]


@pytest.mark.parametrize("dag_id", ["ingest_recordings", "nightly_retraining"])
@pytest.mark.parametrize("minutes_after", [0.5, 30, 601])
def test_the_first_run_is_never_the_one_just_missed(
    parse: Any, dag_id: str, minutes_after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who switches a DAG on, at whatever time, gets its next run, not a surprise."""
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction

    dag = DagSerialization.from_dict(DagSerialization.to_dict(parse(dag_id)))
    now = pendulum.datetime(2026, 3, 4, 2, 17 if dag_id == "ingest_recordings" else 0) + timedelta(
        minutes=minutes_after
    )
    monkeypatch.setattr(trigger, "utcnow", lambda: now)
    restriction = TimeRestriction(earliest=dag.start_date, latest=None, catchup=dag.catchup)
    first = dag.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert first is not None
    assert first.run_after > now


@pytest.mark.parametrize("task_id", ["training", "conversion", "benchmark_on_device"])
def test_scarce_things_are_taken_from_pools(parse: Any, task_id: str) -> None:
    import yaml

    pools = {entry["pool_name"] for entry in yaml.safe_load(_settings())["airflow"]["pools"]}
    assert parse("nightly_retraining").get_task(task_id).pool in pools


def test_settings_are_in_astros_form_and_hold_no_secret() -> None:
    import yaml

    settings = yaml.safe_load(_settings())["airflow"]
    fields = ("type", "host", "schema", "login", "password", "port", "extra")
    keys = ["conn_id", *(f"conn_{field}" for field in fields)]
    assert all(list(entry) == keys for entry in settings["connections"])
    assert all(list(entry) == ["pool_name", "pool_slot", "pool_description"] for entry in settings["pools"])
    assert all(list(entry) == ["variable_name", "variable_value"] for entry in settings["variables"])
    assert not any(entry["conn_password"] for entry in settings["connections"])


def test_parsing_takes_less_than_a_second_and_imports_nothing_heavy() -> None:
    files = [str(DAGS / f"{name}.py") for name in NAMES]
    environment = {**os.environ, "PYTHONPATH": str(DAGS.parent / "plugins")}
    command = [sys.executable, "-c", MEASURE, *files]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    runs = [line.split() for line in output.splitlines() if line.startswith(str(DAGS))]
    assert len(runs) == 3 * len(files)
    for file in files:
        assert statistics.median(float(seconds) for path, seconds, *_ in runs if path == file) < 1, file
    assert not {module for _, _, *modules in runs for module in modules} & HEAVY


def test_a_backfill_runs_nothing(run_dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.models import dagrun
    from airflow.utils.types import DagRunType

    original = dagrun.get_or_create_dagrun

    def as_a_backfill(*, session: Any, **options: Any) -> Any:
        run = original(session=session, **options)
        run.run_type = DagRunType.BACKFILL_JOB
        session.commit()
        return run

    monkeypatch.setattr(dagrun, "get_or_create_dagrun", as_a_backfill)
    run = run_dag("nightly_retraining")
    assert run.run_type == "backfill"
    assert run.state == "success"
    assert run.state_of("not_a_backfill") == "success"
    assert set(run.states().values()) - {"success"} == {"skipped"}
    assert [name for name, state in run.states().items() if state == "success"] == ["not_a_backfill"]


def _settings() -> str:
    return (DAGS.parent / "airflow_settings.yaml").read_text()
