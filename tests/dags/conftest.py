"""A fresh Airflow for the tests: its own home, a SQLite database, our DAGs; set before any airflow import."""

import atexit
import json
import os
import shutil
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="adbreak-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(REPOSITORY / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    AIRFLOW__API_AUTH__JWT_SECRET="only-for-tests-" * 6,
    ADBREAK_ML_PYTHON=str(REPOSITORY / ".venv" / "ml" / "bin" / "python"),
)
if str(REPOSITORY / "plugins") not in sys.path:
    sys.path.insert(0, str(REPOSITORY / "plugins"))


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """The metadata database, made once a session."""
    from airflow.utils.db import initdb

    initdb()


def parse_dag(dag_id: str, folder: Path = REPOSITORY / "dags") -> Any:
    """Parse a DAG anew (a run leaves its parameters in the object) and let its retries follow at once."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=folder / f"{dag_id}.py", bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors
    dag = bag.dags[dag_id]
    for task in dag.task_dict.values():
        if task.is_mapped:
            task.partial_kwargs["retry_delay"] = timedelta(0)
        else:
            task.retry_delay = timedelta(0)
    return dag


@pytest.fixture(scope="session")
def parse(airflow_database: None) -> Any:
    """Give a DAG by its name."""
    return parse_dag


class Run:
    """A finished run of a DAG: its state, the states of its tasks, what they returned and announced."""

    def __init__(self, dag_run: Any) -> None:
        from airflow.utils.session import create_session

        self.state = str(dag_run.state.value)
        with create_session() as session:
            instances = dag_run.get_task_instances(session=session)
            self._states = {(ti.task_id, ti.map_index): str(ti.state) for ti in instances}
        self._dag_run = dag_run
        self.run_type = str(dag_run.run_type)

    def states(self) -> dict[str, str]:
        """The states of all tasks; of a mapped one, of its last instance."""
        return {name: state for (name, _), state in self._states.items()}

    def state_of(self, task_id: str) -> str | list[str]:
        """The state of a task, or the states of a mapped task's instances in order."""
        states = {index: state for (name, index), state in self._states.items() if name == task_id}
        return states[-1] if set(states) == {-1} else [states[index] for index in sorted(states)]

    def link_of(self, task_id: str) -> str:
        """The link to the data docs that stands on a task."""
        return str(self.result_of(task_id, key="_link_DataDocsLink"))

    def result_of(self, task_id: str, map_index: int = -1, key: str = "return_value") -> Any:
        """What a task returned."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            query = XComModel.get_many(
                run_id=self._dag_run.run_id,
                key=key,
                task_ids=task_id,
                dag_ids=self._dag_run.dag_id,
                map_indexes=map_index,
            )
            return XComModel.deserialize_value(session.scalars(query).first())

    def announced(self, asset: str) -> list[dict[str, Any]]:
        """The extras of the events of an asset that this run made."""
        from airflow.models.asset import AssetEvent, AssetModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            query = select(AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            query = query.where(AssetModel.name == asset, AssetEvent.source_run_id == self._dag_run.run_id)
            return list(session.scalars(query))


@pytest.fixture
def run_dag(airflow_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a DAG to its end in this process, on a data root, work folder and alerts file of the test's own."""
    for name in ("bucket", "work_dir", "alerts_file"):
        monkeypatch.setenv(f"AIRFLOW_VAR_ADBREAK_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_DEVICES", "")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", '{"conn_type": "aws"}')
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "http"}')

    sleep = time.sleep  # dag.test() waits a second whenever it has only skipped something
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.05)))

    def run(dag_id: str, folder: Path = REPOSITORY / "dags", **conf: Any) -> Run:
        return Run(parse_dag(dag_id, folder).test(run_conf=conf))

    return run


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the commands answer at once (``stand_in_commands``); return what was called, in order."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("stand_in_commands.py")}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("ADBREAK_ML_PYTHON", str(python))
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("STAND_IN_CALLS", str(tmp_path / "calls"))
    return lambda: [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


@pytest.fixture
def alerts(tmp_path: Path) -> Any:
    """The alerts of the test, oldest first."""
    from ml_training.monitoring.alerts import read_alerts

    return lambda: read_alerts(tmp_path / "alerts_file")
