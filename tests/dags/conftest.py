"""A fresh Airflow for the tests: its own home, a SQLite database, our DAGs; set before any airflow import."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.setdefault("ADBREAK_TEST_AIRFLOW_HOME", tempfile.mkdtemp(prefix="adbreak-airflow-")))
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


@pytest.fixture(scope="session")
def dag_bag(airflow_database: None) -> Any:
    """All our DAGs, parsed once."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=REPOSITORY / "dags", bundle_path=REPOSITORY / "dags", bundle_name="dags-folder")
