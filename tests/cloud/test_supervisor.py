"""An attempt on a machine: real process groups, a real metadata service, a folder or a real S3 as the bucket."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ml_training.cloud import leaving, storage
from ml_training.cloud import supervisor as supervising
from ml_training.cloud.jobs import Archive, Attempt, Ending, Job, JobSpec, Offer
from ml_training.cloud.supervisor import Machine, supervise
from ml_training.utils.errors import CloudUnreachable

WAIT_SECONDS = 60
TRAINER = '''
"""Adds up numbers, one a step; its state is what it added, its result the sum."""
import json, os, pathlib, signal, subprocess, sys, time

spec = json.loads(os.environ["ADBREAK_SPEC"])
state = pathlib.Path(spec["state"])
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
say = lambda text, end="\\n": print(text, end=end, file=sys.stderr, flush=True)
step, total = json.loads(state.read_text()) if state.exists() else (0, 0)
say(f"begins at step {step} on attempt {os.environ['ADBREAK_ATTEMPT']}")
if spec.get("grandchild"):
    child = subprocess.Popen(["sleep", "300"])
    pathlib.Path(spec["grandchild"]).write_text(str(child.pid))
work = pathlib.Path(os.environ["ADBREAK_WORK_DIR"]) / "activations"
work.mkdir(parents=True, exist_ok=True)
if not (work / "one.npy").exists():
    say("computes one.npy")
    (work / "one.npy").write_text("activations")
    (work / ".part-1-two.npy").write_text("half")
mode = spec.get("mode")
while step < spec["steps"]:
    time.sleep(spec["step_seconds"])
    step, total = step + 1, total + step * step
    say(f"upper: {step} of {spec['steps']} images, 20 a second, 3 s left")
    if mode == "display":
        say(f"bar {step}", end="\\r")
    if mode == "hang" and step == 3:
        while not ended:
            time.sleep(0.05)
    if mode == "fail" and step == 3:
        raise SystemExit("error: the loss is nan in epoch 1: lower the learning rate")
    if mode == "killed" or (mode == "killed once" and step == 3):
        state.write_text(json.dumps([step, total]))
        spec["mode"] = mode = None if step > 3 else mode
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "bucket" and step == 3:
        state.write_text(json.dumps([step, total]))
        pathlib.Path(spec["off"]).touch()
        time.sleep(1)
        raise SystemExit("error: S3 cannot be used")
    if ended and mode != "deaf":
        state.write_text(json.dumps([step, total]))
        say("terminated")
        raise SystemExit(143)
print(json.dumps({"sum": total}))
'''
WHOLE = {"sum": sum(number * number for number in range(40))}


@pytest.fixture
def machine(tmp_path, monkeypatch, metadata_service, caplog):
    """What is on a machine: the trainer, a work folder, the metadata service; everything happens faster."""
    package = tmp_path / "code"
    package.mkdir()
    (package / "toy_trainer.py").write_text(TRAINER)
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("ADBREAK_STORAGE_ATTEMPTS", "2")
    caplog.set_level("INFO", "ml_training")  # as in a command
    monkeypatch.setattr(leaving, "NOTICE_SECONDS", 0.1)
    monkeypatch.setattr(supervising, "RETRY_SECONDS", 0.2)
    return metadata_service


def make_job(folder, number=1, *, options=None, state=None, **values):
    archive = Archive(uri=f"{folder}/code", sha256="0" * 64)
    spec = JobSpec(
        module="toy_trainer",
        options={"steps": 40, "step_seconds": 0.02, "state": state or f"{folder}/state.json", **(options or {})},
        code=archive,
        lock=archive,
        **{"deadline_seconds": 600, "budget_usd": 1, "heartbeat_seconds": 0.2, **values},
    )
    job = Job(f"{folder}/jobs/one")
    job.create(spec)
    claim(job, number, spec.deadline_seconds)
    return job


def claim(job, number, seconds=600.0):
    now = datetime.now(UTC)
    offer = Offer(instance_type="g5.xlarge", zone="us-east-1a", subnet="subnet-1", usd_per_hour=0.36)
    deadline = now + timedelta(seconds=seconds)
    job.claim(Attempt(number=number, client_token="t", created_at=now, deadline_at=deadline, offers=[offer]))


def run(job, number=1, **machine):
    return supervise(job.uri, number, Machine(booted_at=time.time() - 100, **machine))["cause"]


def wait_for(condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextlib.contextmanager
def meanwhile(work):
    """Do something while the supervisor runs in this thread; what fails there fails here."""
    failures = []

    def guarded():
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    yield
    thread.join(WAIT_SECONDS)
    assert not failures, failures


def is_training(job):
    def found():
        beat = job.heartbeat()
        return beat is not None and beat.state == "training" and beat.progress.get("done", 0) >= 3

    return found


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{process}/status").read_text()


def test_it_runs_to_the_end(machine, tmp_path):
    job = make_job(tmp_path, options={"grandchild": str(tmp_path / "grandchild"), "mode": "display"})
    (tmp_path / "boot.log").write_text("fetched the code\n")
    assert run(job, boot_log=tmp_path / "boot.log") == "done"
    assert (job.result().cause, job.result().output) == ("done", WHOLE)
    ending = job.ending(1)
    assert (ending.cause, ending.instance_id, ending.instance_type) == ("done", "i-0123456789abcdef0", "g5.xlarge")
    assert (ending.market, ending.zone) == ("spot", "us-east-1a")
    assert 100 <= ending.seconds < 160
    assert ending.usd == pytest.approx(ending.seconds * 0.36 / 3600)
    log, _ = job.read_log(1)
    assert log.startswith(b"fetched the code\n")
    assert b"begins at step 0 on attempt 1" in log
    assert log.count(b"bar ") <= 10, "of a display only what was there when a piece was stored"
    assert job.heartbeat().progress["of"] == 40
    assert not is_alive(int((tmp_path / "grandchild").read_text())), "nothing of the group is left"
    assert list(storage.list_objects(job.at("work"))) == [], "nobody needs it any more"


def test_after_a_notice_the_next_machine_goes_on(machine, tmp_path, monkeypatch):
    job = make_job(tmp_path, options={"steps": 40, "step_seconds": 0.1})

    def give_notice():
        wait_for(is_training(job))
        machine.give_notice((datetime.now(UTC) + timedelta(seconds=120)).isoformat())

    with meanwhile(give_notice):
        started = time.monotonic()
        assert run(job) == "interrupted"
    assert time.monotonic() - started < 30
    ending = job.ending(1)
    assert "EC2 takes the machine back at" in ending.message
    assert (job.result(), ending.instance_id) == (None, "i-0123456789abcdef0")
    assert b"the training ended" in job.read_log(1)[0]
    steps = json.loads((tmp_path / "state.json").read_text())[0]
    assert 3 <= steps < 40
    assert [item.uri.rsplit("/", 2)[1:] for item in storage.list_objects(job.at("work"))] == [
        ["activations", "one.npy"]
    ]

    machine.values.pop("spot/instance-action")
    shutil.rmtree(tmp_path / "work")  # another machine
    claim(job, 2)
    assert run(job, 2) == "done"
    assert job.result().output == WHOLE
    log = job.read_log(2)[0].decode()
    assert f"begins at step {steps} on attempt 2" in log
    assert "computes one.npy" not in log


def test_a_training_that_does_not_end_is_killed_before_the_machine_is_taken(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(leaving, "LAST_WORDS_SECONDS", 4.0)
    job = make_job(tmp_path, options={"mode": "deaf", "steps": 10_000})
    at = []

    def give_notice():
        wait_for(is_training(job))
        at.append(time.monotonic() + 8)
        machine.give_notice((datetime.now(UTC) + timedelta(seconds=8)).isoformat())

    with meanwhile(give_notice):
        assert run(job) == "interrupted"
    assert at[0] - 5 < time.monotonic() < at[0]
    assert job.ending(1).message.endswith("; the training ended with SIGKILL")


def test_its_own_error_is_told_with_the_end_of_the_log(machine, tmp_path):
    job = make_job(tmp_path, options={"mode": "fail"})
    assert run(job) == "failed"
    assert (job.result().cause, job.ending(1).cause) == ("failed", "failed")
    assert "exit code 1" in job.result().message
    assert job.result().message.endswith("error: the loss is nan in epoch 1: lower the learning rate")


def test_a_training_that_is_killed_goes_on_from_its_state(machine, tmp_path):
    job = make_job(tmp_path, options={"mode": "killed once"})
    assert run(job) == "done"
    assert job.result().output == WHOLE
    assert b"SIGKILL ended the training: it goes on" in job.read_log(1)[0]


def test_a_training_that_is_killed_again_and_again_fails(machine, tmp_path):
    job = make_job(tmp_path, options={"mode": "killed"})
    assert run(job) == "failed"
    assert "SIGKILL ended the training 3 times" in job.result().message


@pytest.mark.parametrize(
    ("cause", "options", "limits", "message"),
    [
        ("deadline", {}, {"deadline_seconds": 6}, "raise deadline_hours"),
        ("budget", {}, {"budget_usd": 0.0105}, "raise budget_usd"),  # the machine has cost 0.01 when it begins
        ("idle", {"mode": "hang"}, {"idle_seconds": 8}, "upper: 3 of 10000 images"),
    ],
)
def test_a_limit_ends_it_with_its_state_stored(machine, tmp_path, cause, options, limits, message):
    job = make_job(tmp_path, options={"steps": 10_000, **options}, **limits)
    assert run(job) == cause
    assert (job.result().cause, job.ending(1).cause) == (cause, cause)
    assert message in job.result().message
    if cause != "budget":  # which may be spent before the training has begun
        assert json.loads((tmp_path / "state.json").read_text())[0] >= 1


def test_what_earlier_machines_cost_counts(machine, tmp_path):
    job = make_job(tmp_path, number=2, options={"steps": 10_000}, budget_usd=0.5)
    claim(job, 1)
    job.end(Ending(attempt=1, instance_id="i-1", cause="lost", ended_at=datetime.now(UTC), seconds=9, usd=0.495))
    assert run(job, 2) == "budget"


def test_it_leaves_when_it_is_told_to(machine, tmp_path):
    job = make_job(tmp_path, options={"steps": 10_000})

    def cancel():
        wait_for(is_training(job))
        job.cancel(1, "the task was cleared", datetime.now(UTC))

    with meanwhile(cancel):
        assert run(job) == "cancelled"
    assert (job.result(), job.ending(1).message) == (None, "the task was cleared")
    assert job.heartbeat().state == "leaving"


def test_a_machine_that_was_replaced_writes_nothing(machine, tmp_path):
    job = make_job(tmp_path, options={"steps": 10_000})

    def replace():
        wait_for(is_training(job))
        claim(job, 2)

    with meanwhile(replace):
        assert run(job) == "superseded"
    assert (job.result(1), job.ending(1)) == (None, None)


def test_a_spec_that_cannot_be_run_fails_with_advice(machine, tmp_path):
    job = make_job(tmp_path)
    content = storage.read_json(job.at("spec.json"))
    storage.write_json(job.at("spec.json"), {**content, "version": 7})
    assert run(job) == "failed"
    assert "has version 7, this code reads version 1" in job.result().message
    other = make_job(tmp_path / "other", machines=2)
    assert run(other) == "failed"
    assert "names no local-ipv4: the other machines could not find this one" in other.result().message
    assert run(other, 3) == "failed"


def test_a_rebalance_recommendation_is_said_and_no_reason_to_leave(machine, tmp_path):
    job = make_job(tmp_path)
    machine.values["events/recommendations/rebalance"] = '{"noticeTime": "2026-01-05T01:50:00Z"}'
    assert run(job) == "done"
    assert job.heartbeat().progress["rebalance"] == "2026-01-05T01:50:00Z"
    assert b"may take the machine back soon" in job.read_log(1)[0]


def test_an_error_of_the_supervisor_is_told_and_leaves_nothing_running(machine, tmp_path, monkeypatch):
    job = make_job(tmp_path, options={"steps": 10_000, "grandchild": str(tmp_path / "grandchild")})
    done = supervising.Supervisor._leave

    def fail_later(supervisor):
        if is_training(job)():
            raise RuntimeError("a mistake of ours")
        return done(supervisor)

    monkeypatch.setattr(supervising.Supervisor, "_leave", fail_later)
    assert run(job) == "lost"
    assert "a mistake of ours" in job.ending(1).message
    assert job.result() is None
    assert not is_alive(int((tmp_path / "grandchild").read_text()))


def test_it_goes_on_when_the_bucket_answers_again(machine, tmp_path, wire):
    off = tmp_path / "off"
    job = make_job("s3://wire/a", state=str(tmp_path / "state.json"), options={"mode": "bucket", "off": str(off)})

    def cut_for_a_while():
        wait_for(off.exists)
        wire.cut.set()
        time.sleep(3)  # the length of the trouble, not a wait for something
        wire.cut.clear()

    with meanwhile(cut_for_a_while):
        assert run(job) == "done"
    assert job.result().output == WHOLE
    log = job.read_log(1)[0]
    assert b"failed while the bucket did not answer: it goes on" in log
    assert b"the bucket answers again" in log


def test_it_leaves_when_the_bucket_does_not_answer_for_long(machine, tmp_path, wire):
    job = make_job("s3://wire/b", state=str(tmp_path / "state.json"), options={"steps": 10_000}, unreachable_seconds=10)

    def cut():
        wait_for(is_training(job))
        wire.cut.set()

    with meanwhile(cut), pytest.raises(CloudUnreachable, match="could not be written"):
        run(job)
    assert json.loads((tmp_path / "state.json").read_text())[0] >= 3, "it was asked to store its state all the same"


@pytest.mark.parametrize("how", ["done", "terminated"])
def test_the_command_turns_the_machine_off(machine, tmp_path, how):
    job = make_job(tmp_path, options={"steps": 40 if how == "done" else 10_000})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "shutdown").write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/off\n')
    (tmp_path / "bin" / "shutdown").chmod(0o755)
    arguments = ["--json", "--job", job.uri, "--attempt", "1", "--shut-down"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ml_training.cloud.supervisor", *arguments],
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if how == "terminated":
        wait_for(is_training(job))
        process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0
    assert json.loads(output)["cause"] == ("done" if how == "done" else "interrupted")
    assert job.ending(1).cause == json.loads(output)["cause"]
    assert (tmp_path / "off").read_text() == "-h now\n"
