"""The commands as people and Airflow use them, with machines that run: asked for, watched, ended, and never left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_stack.ec2.remote import RemoteEc2
from ml_training.cloud.jobs import Job
from ml_training.cloud.spot import main

REHEARSAL = "ml_training.cloud.rehearsal"
WAIT_SECONDS = 90.0


@pytest.fixture
def cloud(simulated: RemoteEc2) -> Iterator[RemoteEc2]:
    """Machines that come to their user data."""
    simulated.timing(boot_seconds=0.1)
    yield simulated
    simulated.timing(boot_seconds=3600)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "data" / "training" / "jobs" / tmp_path.name)


def arguments(uri: str, command: str, *, module: str = REHEARSAL, **options: Any) -> list[str]:
    data_dir = uri.partition("/training/")[0]
    chosen = {"output": data_dir + "/out", "step_seconds": 0.01, **options}
    return [
        command,
        "--json",
        "--data-dir",
        data_dir,
        "--job",
        uri,
        "--module",
        module,
        "--options",
        json.dumps(chosen),
    ]


def machines(cloud: RemoteEc2, uri: str) -> list[dict[str, Any]]:
    return [one for one in cloud.machines() if one["tags"].get("adbreak:job-uri") == uri]


def started(cloud: RemoteEc2, uri: str) -> dict[str, Any]:
    """Wait for the machine of a job."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := [one for one in machines(cloud, uri) if one["state"] == "running"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found[0]


def test_run_returns_what_the_machine_found_and_what_it_cost(cloud, uri, capsys):
    assert main(arguments(uri, "run", steps=5)) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert (result["steps"], len(result["digest"])) == (5, 64)
    assert result["cost"]["usd"] > 0
    assert (result["cost"]["machines"], result["cost"]["simulated"]) == (1, True)
    assert "rehearsal: 5 of 5 steps" in said.err, "the machine's log comes along"
    assert [one["state"] for one in machines(cloud, uri)] == ["terminated"]
    assert main(arguments(uri, "run", steps=5)) == 0, "the same again is found"
    assert json.loads(capsys.readouterr().out) == result
    assert len(machines(cloud, uri)) == 1


def test_a_training_that_fails_says_why_and_leaves_no_machine(cloud, uri, capsys):
    assert main(arguments(uri, "run", steps=0)) == 1
    said = capsys.readouterr().err
    assert "expected --steps and --checkpoint-steps of 1 or more" in said
    assert "the end of its log" in said
    assert [one["state"] for one in machines(cloud, uri)] == ["terminated"]


def test_whoever_ends_the_launcher_ends_the_machine(simulated, uri):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "ml_training.cloud.spot", *arguments(uri, "run", steps=5)]
    launcher = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started(simulated, uri)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(WAIT_SECONDS) == 143
    assert [one["state"] for one in machines(simulated, uri)] == ["terminated"]
    assert Job(uri).ending(1).cause == "cancelled"


def test_launch_watch_status_and_end(simulated, uri, capsys):
    assert main(arguments(uri, "launch", steps=5)) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "booting"
    assert main(["watch", "--json", "--job", uri, "--seconds", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["attempt"] == 1
    assert main(["end", "--json", "--job", uri, "--reason", "enough"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "cancelled"
    assert main(["status", "--json", "--job", uri]) == 0
    assert json.loads(capsys.readouterr().out)["message"] == "enough"
    assert main(["watch", "--json", "--job", uri]) == 1
    assert "cancelled: enough" in capsys.readouterr().err
    assert [one["state"] for one in machines(simulated, uri)] == ["terminated"]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--options", "seed=1"], 2, "expected JSON"),
        (["--options", "[1]"], 2, "expected a JSON object"),
        (["--gpus", "64"], 2, "no candidate of the cloud's config has 64 GPUs"),
        (["--cloud-config", "ec2_spot"], 2, "says nothing of subnets"),
        (["--cloud-config", "none"], 2, "there is no config 'none'"),
        (["--data-dir", "s3://nobody-has-made-it"], 1, "nobody-has-made-it"),
    ],
)
def test_called_wrongly_it_says_what_to_do_and_asks_for_no_machine(simulated, uri, capsys, more, code, said):
    assert main([*arguments(uri, "launch", steps=5), *more]) == code
    assert said in capsys.readouterr().err
    assert machines(simulated, uri) == []
