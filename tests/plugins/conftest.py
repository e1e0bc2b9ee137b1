"""What the tests of the plugins share: Airflow's settings from the environment alone, and a command to run."""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="adbreak-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
if str(REPOSITORY / "plugins") not in sys.path:
    sys.path.insert(0, str(REPOSITORY / "plugins"))


@pytest.fixture
def airflow_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables and connections that every command needs, and no others."""
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_BUCKET", "adbreak")
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_ALERTS_FILE", "")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", '{"conn_type": "aws"}')
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "http"}')


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a command module whose ``run(args)`` has the given body; return its name."""

    def write(body: str, options: str = "") -> str:
        source = f"""
import os, signal, subprocess, sys, time
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import AdbreakError, ConfigError

def run(args):
{dedent(body).strip().replace(chr(10), chr(10) + "    ").join(["    ", ""])}

parser = command_parser("probe", None)
parser.add_argument("--text")
parser.add_argument("--many", nargs="*")
parser.add_argument("--device")
parser.set_defaults(run=run)
sys.exit(run_command(parser))
"""
        (tmp_path / "probe.py").write_text(source)
        return "probe"

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write
