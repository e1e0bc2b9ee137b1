"""A rehearsal that is cut off goes on where it was, and ends as if nothing had happened."""

import json
import signal
import subprocess
import sys
import time

import pytest
from ml_training.cloud.jobs import Attempt, Job
from ml_training.cloud.rehearsal import JOURNAL, main, next_state

STEPS = 40


def digest(steps):
    state = ""
    for step in range(steps):
        state = next_state(state, step)
    return state


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    return tmp_path


def steps_of(place):
    return [json.loads(line)["step"] for line in (place / "work" / JOURNAL).read_text().splitlines()]


def command(place, *more):
    return ["--output", str(place / "out"), "--steps", str(STEPS), "--checkpoint-steps", "7", "--json", *more]


def test_sigterm_loses_no_step(place, capsys):
    arguments = [sys.executable, "-m", "ml_training.cloud.rehearsal", *command(place, "--step-seconds", "0.1")]
    process = subprocess.Popen(arguments)
    while not (place / "work" / JOURNAL).exists() or len(steps_of(place)) < 3:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert main(command(place, "--step-seconds", "0")) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == digest(STEPS)
    assert steps_of(place) == list(range(1, STEPS + 1)), "nothing was done twice"


def test_a_machine_that_was_replaced_stores_nothing(place, monkeypatch, capsys):
    job = Job(str(place / "job"))
    for number in (1, 2):
        times = {"created_at": "2026-01-05T02:00:00Z", "deadline_at": "2026-01-05T03:00:00Z"}
        job.claim(Attempt(number=number, client_token=str(number), **times))
    monkeypatch.setenv("ADBREAK_JOB", job.uri)
    monkeypatch.setenv("ADBREAK_ATTEMPT", "1")
    assert main(command(place, "--step-seconds", "0")) == 1
    assert "was replaced by a later one" in capsys.readouterr().err
    assert not (place / "out" / "checkpoint.json").exists()


def test_nonsense_is_refused(place, capsys):
    assert main(command(place, "--checkpoint-steps", "0")) == 2
    assert "--checkpoint-steps of 1 or more" in capsys.readouterr().err
