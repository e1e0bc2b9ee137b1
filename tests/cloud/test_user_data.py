"""A machine's user data, run by a real bash: the deadline first, nothing unchecked, a shutdown on every path."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ml_training.cloud import storage, user_data
from ml_training.cloud.jobs import Attempt, Job, JobSpec
from ml_training.cloud.packaging import upload
from ml_training.cloud.user_data import LARGEST_BYTES, render
from ml_training.utils.errors import CloudMisconfigured
from ml_training.utils.hashing import sha256_bytes

WAIT_SECONDS = 30
SUPERVISOR = """
import json, os, pathlib, signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
pathlib.Path("pid").write_text(str(os.getpid()))
pathlib.Path("arguments.json").write_text(json.dumps(sys.argv[1:]))
pathlib.Path("environment.json").write_text(json.dumps(dict(os.environ)))
time.sleep(float(os.environ["SUPERVISOR_SECONDS"]))
raise SystemExit(int(os.environ["SUPERVISOR_CODE"]))
"""


class Machine:
    """A folder in which user data runs as on a machine, with a ``shutdown`` that writes down what it is asked."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        shutdown = folder / "bin" / "shutdown"
        shutdown.write_text(f'#!/bin/sh\necho "$(date +%s) $*" >>{folder}/shutdown.log\n')
        shutdown.chmod(0o755)
        self.environment = {
            "PATH": f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "ADBREAK_HOME": str(folder / "home"),
            "SUPERVISOR_SECONDS": "0",
            "SUPERVISOR_CODE": "0",
            **environment,
        }

    def start(self, script: str) -> "subprocess.Popen[bytes]":
        (self.folder / "user-data").write_text(script)
        return subprocess.Popen(
            ["/bin/bash", str(self.folder / "user-data")],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def shutdowns(self) -> list[str]:
        """Return what ``shutdown`` was asked so far."""
        path = self.folder / "shutdown.log"
        return [line.partition(" ")[2] for line in path.read_text().splitlines()] if path.exists() else []

    def ready(self, spec: JobSpec) -> None:
        """Let the environment of the lock file be there, as on a prepared image."""
        venv = self.folder / "home" / f"venv-{spec.lock.sha256[:12]}" / "bin"
        venv.mkdir(parents=True)
        (venv / "python").symlink_to(sys.executable)


@pytest.fixture
def machine(tmp_path, metadata_service):
    """Make a machine; whatever runs on it ends with the test."""
    made = Machine(tmp_path / "machine", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata_service.url})
    started = []
    start = made.start
    made.start = lambda script: started.append(start(script)) or started[-1]
    yield made
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def repository(tmp_path):
    """A repository whose supervisor only says how it was called."""
    package = tmp_path / "repository" / "include" / "ml_training"
    (package / "cloud").mkdir(parents=True)
    for name, text in {"__init__.py": "", "cloud/__init__.py": "", "cloud/supervisor.py": SUPERVISOR}.items():
        (package / name).write_text(text)
    (tmp_path / "repository" / "include" / "configs").mkdir()
    (tmp_path / "repository" / "requirements-ml.txt").write_text("numpy==2\n")
    return tmp_path / "repository"


def make_job(root: str, repository: Path, **values) -> tuple[Job, Attempt, JobSpec]:
    code, lock = upload(root, repository)
    spec = JobSpec(
        module="m", options={}, code=code, lock=lock, **{"deadline_seconds": 3600, "budget_usd": 1, "gpus": 0, **values}
    )
    now = datetime.now(UTC)
    attempt = Attempt(
        number=1, client_token="t", created_at=now, deadline_at=now + timedelta(seconds=spec.deadline_seconds)
    )
    job = Job(f"{root}/training/jobs/it's one")
    job.create(spec)
    job.claim(attempt)
    return job, attempt, spec


def wait_for(condition, seconds=WAIT_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_from_the_first_second_to_the_last(machine, repository, tmp_path):
    job, attempt, spec = make_job(
        str(tmp_path / "a bucket"), repository, deadline_seconds=3590, environment={"MLFLOW_TRACKING_URI": "http://x"}
    )
    machine.ready(spec)
    process = machine.start(render(job.uri, attempt, spec, usd_per_hour=0.39))
    assert process.wait(WAIT_SECONDS) == 0
    assert machine.shutdowns() == ["-h +60", "-h now"], "the system's own alarm is a little later than ours"
    folder = machine.folder / "home" / "attempts" / "it's one-1"
    arguments = storage.read_json(str(folder / "arguments.json"))
    assert arguments[:4] == ["--job", job.uri, "--attempt", "1"]
    assert arguments[-3:] == ["--usd-per-hour", "0.39", "--shut-down"]
    environment = storage.read_json(str(folder / "environment.json"))
    assert environment["MLFLOW_TRACKING_URI"] == "http://x"
    assert environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["ADBREAK_WORK_DIR"] == str(machine.folder / "home" / "work")
    assert job.ending(1) is None, "that is the supervisor's to say"


def test_it_fetches_from_a_bucket_with_the_role_s_keys(machine, repository, s3_server, monkeypatch):
    storage._client().create_bucket(Bucket="machines")
    job, attempt, spec = make_job("s3://machines", repository)
    machine.environment["AWS_ENDPOINT_URL"] = s3_server
    machine.ready(spec)
    assert machine.start(render(job.uri, attempt, spec)).wait(WAIT_SECONDS) == 0
    assert (machine.folder / "home" / "attempts" / "it's one-1" / "arguments.json").exists()


def test_a_failed_set_up_says_why_in_the_bucket(machine, repository, s3_server):
    storage._client().create_bucket(Bucket="machines2")
    job, attempt, spec = make_job("s3://machines2", repository)
    storage.write_bytes(spec.code.uri, b"something else")
    machine.environment["AWS_ENDPOINT_URL"] = s3_server
    machine.ready(spec)
    assert machine.start(render(job.uri, attempt, spec)).wait(WAIT_SECONDS) == 1
    assert machine.shutdowns()[-1] == "-h now"
    ending = job.ending(1)
    assert (ending.cause, ending.instance_id) == ("lost", "i-0123456789abcdef0")
    assert "could not be set up" in ending.message
    assert f"expected {spec.code.sha256}: it was replaced or cut" in ending.message
    assert b"error: the code could not be fetched" in job.read_log(1)[0]


@pytest.mark.parametrize("how", ["it fails", "it is killed", "the user data is terminated"])
def test_it_shuts_down_whatever_happens_to_the_supervisor(machine, repository, tmp_path, how):
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository)
    machine.ready(spec)
    machine.environment |= {"SUPERVISOR_SECONDS": "0" if how == "it fails" else "60", "SUPERVISOR_CODE": "5"}
    process = machine.start(render(job.uri, attempt, spec))
    if how != "it fails":
        folder = machine.folder / "home" / "attempts" / "it's one-1"
        wait_for((folder / "environment.json").exists)
        if how == "it is killed":
            os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
        else:
            process.terminate()
    code = process.wait(WAIT_SECONDS)
    assert code == {"it fails": 5, "it is killed": 137, "the user data is terminated": 3}[how]
    assert machine.shutdowns()[-1] == "-h now"
    assert f"(exit code {code})" in job.ending(1).message


def test_the_supervisor_s_own_word_is_kept(machine, repository, tmp_path):
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository)
    machine.ready(spec)
    machine.environment["SUPERVISOR_CODE"] = "1"
    said = {"attempt": 1, "instance_id": "i-1", "cause": "budget", "ended_at": "2026-01-05T02:00:00Z", "seconds": 5}
    storage.write_json(job.at("ended", "0001.json"), said)
    assert machine.start(render(job.uri, attempt, spec)).wait(WAIT_SECONDS) == 1
    assert job.ending(1).cause == "budget"


def test_the_deadline_holds_while_nothing_answers(machine, repository, tmp_path):
    """The supervisor hangs; a clock that is far behind does not help it."""
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository, deadline_seconds=2)
    machine.ready(spec)
    machine.environment["SUPERVISOR_SECONDS"] = "60"
    late = attempt.model_copy(update={"deadline_at": attempt.deadline_at + timedelta(days=365)})
    started = time.monotonic()
    machine.start(render(job.uri, late, spec))
    wait_for(lambda: machine.shutdowns() == ["-h +1", "-h now"])
    assert 1 < time.monotonic() - started < 10


UV = """#!/bin/sh
# Stands for uv: its words are written down, and `venv` makes a folder with a Python in it.
echo "$*" >>"$HOME/uv.log"
[ "$1" = venv ] || exit 0
for folder; do :; done
mkdir -p "$folder/bin" && ln -s PYTHON "$folder/bin/python"
"""


class Index(BaseHTTPRequestHandler):
    """A package index with one file of one package."""

    wheel = b""

    def do_GET(self):
        file = {"url": "files/uv.whl", "hashes": {"sha256": sha256_bytes(self.wheel)}}
        listing = json.dumps({"files": [{"url": "other", "hashes": {}}, file]}).encode()
        body = {"/simple/uv/": listing, "/simple/uv/files/uv.whl": self.wheel}[self.path]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def index(monkeypatch):
    """Serve a package index; returns its address."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr("uv-0.1.data/scripts/uv", UV.replace("PYTHON", sys.executable))
    Index.wheel = buffer.getvalue()
    monkeypatch.setattr(user_data, "UV_SHA256", sha256_bytes(Index.wheel))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/simple"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("gpus", [0, 1])
def test_an_environment_that_is_missing_is_made(machine, repository, tmp_path, index, gpus):
    (repository / "include/ml_training/cloud/gpu_requirements.txt").write_text("nvidia-cublas-cu12\n")
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository, gpus=gpus)
    machine.environment["ADBREAK_PACKAGE_INDEX"] = index
    assert machine.start(render(job.uri, attempt, spec)).wait(WAIT_SECONDS) == 0
    folder = machine.folder / "home" / "attempts" / "it's one-1"
    assert (folder / "arguments.json").exists()
    made, installed = (machine.folder / "uv.log").read_text().splitlines()
    assert made.startswith("venv --quiet --relocatable --python 3.11 ")
    assert f"--requirement {folder}/requirements.txt" in installed
    assert ("gpu_requirements.txt" in installed) == (gpus > 0)


DOCKER = """#!/bin/sh
echo "$*" >>"$HOME/docker.log"
[ "$1" = run ] || exit 0
while [ "$1" != --env-file ]; do shift; done
cp "$2" "$HOME/docker.environment"
"""


def test_a_trainer_image_runs_the_supervisor(machine, repository, tmp_path):
    (machine.folder / "bin" / "docker").write_text(DOCKER)
    (machine.folder / "bin" / "docker").chmod(0o755)
    image, environment = "registry.example/adbreak-trainer:1", {"MLFLOW_TRACKING_URI": "http://x"}
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository, image=image, gpus=1, environment=environment)
    assert machine.start(render(job.uri, attempt, spec)).wait(WAIT_SECONDS) == 0
    pulled, ran = (machine.folder / "docker.log").read_text().splitlines()
    assert pulled == f"pull {image}"
    assert " --gpus all " in ran
    assert f" {image} python -m ml_training.cloud.supervisor --job {job.uri} --attempt 1 " in ran
    assert "--shut-down" not in ran, "a container cannot: the user data does"
    assert machine.shutdowns()[-1] == "-h now"
    handed_over = (machine.folder / "docker.environment").read_text().splitlines()
    assert "MLFLOW_TRACKING_URI=http://x" in handed_over
    assert "AWS_DEFAULT_REGION=us-east-1" in handed_over


def test_another_uv_is_refused(machine, repository, tmp_path, index, monkeypatch):
    monkeypatch.setattr(user_data, "UV_SHA256", "1" * 64)
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository)
    machine.environment["ADBREAK_PACKAGE_INDEX"] = index
    assert machine.start(render(job.uri, attempt, spec)).wait(WAIT_SECONDS) == 1
    assert "has no file of uv with sha256 1111" in job.ending(1).message
    assert machine.shutdowns()[-1] == "-h now"


def test_a_machine_that_begins_after_its_deadline_goes_at_once(machine, repository, tmp_path):
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository)
    machine.ready(spec)
    machine.environment["SUPERVISOR_SECONDS"] = "60"
    machine.start(render(job.uri, attempt.model_copy(update={"deadline_at": datetime(2020, 1, 1, tzinfo=UTC)}), spec))
    wait_for(lambda: machine.shutdowns() == ["-h +1", "-h now"])


def test_it_fits_and_holds_no_secret(repository, tmp_path):
    job, attempt, spec = make_job(str(tmp_path / "bucket"), repository)
    script = render(job.uri, attempt, spec)
    assert len(script.encode()) < LARGEST_BYTES - 2048, "room for the environment of a spec"
    for environment, match in (
        ({"MLFLOW_TRACKING_PASSWORD": "x"}, "looks like a secret"),
        ({"MLFLOW_TRACKING_URI": "http://me:hidden@host"}, "looks like a secret"),
        ({"A B": "x"}, "no name of an environment variable"),
        ({"LONG": "x" * LARGEST_BYTES}, "EC2 takes 16384"),
    ):
        with pytest.raises(CloudMisconfigured, match=match):
            render(job.uri, attempt, spec.model_copy(update={"environment": environment}))
