"""The scripts call the package's commands, hand results from one to the next, and say what is missing.

A stand-in for Python answers in place of the commands, which have tests of their own.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "include" / "scripts"
STAND_IN = """#!{python}
import json, os, sys
if sys.argv[1] == "-c":
    if "storage" in sys.argv[2]:
        sys.exit(0 if "reachable" in sys.argv[3] else 1)
    os.execv("{python}", ["{python}", *sys.argv[1:]])
with open(os.environ["CALLS"], "a") as file:
    file.write(" ".join(sys.argv[2:]) + "\\n")
if os.environ.get("FAILS") == sys.argv[2]:
    sys.exit(1)
print(json.dumps({{
    "model_uri": "out/int8/model.tflite" if "to_tflite" in sys.argv[2] else "out/run/float/model.keras",
    "report_uri": "out/run/int8/report.json", "verdicts_uri": "out/run/int8/verdicts.json",
    "benchmark_uri": "out/run/int8/benchmarks/pi.json", "summary": "REFUSED: size",
    "accepted": os.environ.get("ACCEPTED") == "1", "dataset_id": "d1", "cost": {{"usd": 0.31, "simulated": True}},
}}))
"""


@pytest.fixture
def run(tmp_path):
    """Run a script with the stand-in; return the finished process and the calls that it made."""
    python = tmp_path / "python"
    python.write_text(STAND_IN.format(python=sys.executable))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    calls = tmp_path / "calls"

    def call(script, *arguments, **variables):
        calls.write_text("")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = {**kept, "PYTHON": str(python), "CALLS": str(calls), **variables}
        words = [str(SCRIPTS / script), *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=60)
        return done, calls.read_text().splitlines()

    return call


def test_the_base_model_is_trained_and_judged(run):
    done, calls = run("train_base_model.sh", "s3://bucket", "--", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert calls == [
        "ml_training.training.train --json --config base_model --data-dir s3://bucket "
        "--output-dir s3://bucket/training --seed 3",
        "ml_training.training.evaluate --model out/run/float/model.keras --data-dir s3://bucket",
    ]
    assert done.stdout.splitlines()[-1] == "out/run/float/model.keras"


def test_the_sports_model_is_the_same_with_its_own_config(run):
    done, calls = run("train_sports_model.sh", "data", "runs")
    assert done.returncode == 0, done.stderr
    assert calls[0] == "ml_training.training.train --json --config sports_model --data-dir data --output-dir runs"


def test_a_training_that_fails_ends_the_script(run):
    done, calls = run("train_base_model.sh", "data", FAILS="ml_training.training.train")
    assert done.returncode != 0
    assert len(calls) == 1


def test_a_refused_file_is_not_hidden(run):
    done, calls = run("convert_and_deploy.sh", "s3://bucket/training/run/float/model.keras", "s3://bucket")
    assert done.returncode == 3
    assert "REFUSED: size" in done.stdout
    assert "--output s3://bucket/training/run/int8 " in calls[0]
    assert [call.split()[0].removeprefix("ml_training.") for call in calls] == [
        "conversion.to_tflite", "conversion.test_tflite", "registry.gates",
    ]  # fmt: skip
    assert "DEVICE is not set" in done.stderr
    assert "is not registered" in done.stderr


def test_an_accepted_file_is_measured_and_registered(run):
    done, calls = run(
        "convert_and_deploy.sh", "out/run/float/model.keras", "data",
        ACCEPTED="1", DEVICE="pi", MLFLOW_TRACKING_URI="http://127.0.0.1:1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--benchmarks out/run/int8/benchmarks/pi.json" in calls[3]
    assert calls[4].startswith("ml_training.registry.client upload --model out/int8/model.tflite --verdicts")


def test_recordings_become_a_model(run, tmp_path):
    done, calls = run("run_training.sh", "local", tmp_path)
    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in calls] == [
        "ml_training.data.collectors", "ml_training.training.train", "ml_training.training.evaluate",
    ]  # fmt: skip


def test_recordings_in_a_bucket_become_a_model_on_a_spot_machine(run):
    done, calls = run("run_training.sh", "aws", "reachable-bucket", CONFIG="temporal")
    assert done.returncode == 0, done.stderr
    assert calls == [
        "ml_training.cloud.prices --config temporal",
        "ml_training.data.collectors extract --video-source s3://reachable-bucket/recordings "
        "--output-dir s3://reachable-bucket/frames",
        "ml_training.data.dataset build --json --config temporal --data-dir s3://reachable-bucket",
        "ml_training.cloud.spot run --json --data-dir s3://reachable-bucket "
        '--options {"config": "temporal", "dataset": "d1"}',
        "ml_training.training.evaluate --model out/run/float/model.keras --data-dir s3://reachable-bucket",
    ]
    assert done.stdout.splitlines()[-1] == "out/run/float/model.keras"
    assert "cost: {'usd': 0.31, 'simulated': True}" in done.stderr


def test_a_machine_has_only_the_configs_of_the_project(run):
    done, calls = run("run_training.sh", "aws", "reachable-bucket", CONFIG="my/own.yaml")
    assert (done.returncode, calls) == (2, [])
    assert "not my/own.yaml" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "usage"),
        (("moon",), 2, "usage"),
        (("aws",), 2, "usage"),
        (("aws", "closed"), 1, "s3://closed cannot be read"),
        (("local", "/nowhere/at/all"), 1, "there is no folder"),
    ],
)
def test_what_is_missing_is_said(run, arguments, code, said):
    done, calls = run("run_training.sh", *arguments)
    assert (done.returncode, calls) == (code, [])
    assert said in done.stderr


def test_a_missing_environment_is_told(run):
    done, _ = run("train_base_model.sh", PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert "make setup-ml" in done.stderr
