"""A job on a device: it outlives a dropped connection, is joined again, waits its turn, installs what is missing."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ml_training.edge import benchmark_job
from ml_training.edge.benchmark import content_of, read_answer, read_model_files
from ml_training.edge.benchmark_records import RunnerSettings
from ml_training.edge.device_runner import install
from ml_training.edge.devices import DeviceDescription
from ml_training.edge.on_device.runtime import RunnerError
from ml_training.utils.errors import DeviceError, DeviceUnreachable

from . import conftest

SHORT = RunnerSettings(threads=(1,), runs=5, warmup=1, seconds=0.5, sustained_seconds=0.2)
measure = partial(conftest.measure, settings=SHORT)


class Cable:
    """A way to the device that can be pulled out: a forwarder on loopback."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = []
        self.pulled = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                self._open += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def pull(self) -> None:
        """Cut every connection that is open now."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()
        self.pulled += 1

    def close(self) -> None:
        self.pull()
        self._server.close()


@pytest.fixture
def cable(ssh_server: dict[str, Any]) -> Iterator[Cable]:
    made = Cable(ssh_server["port"])
    yield made
    made.close()


def test_a_dropped_connection_is_made_again(
    model_uri: str, device: dict[str, Any], cable: Cable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark_job, "RECONNECT_SECONDS", 0.1)
    work_dir = Path(device["work_dir"])

    def pull_when_it_runs() -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end and not list(work_dir.glob("benchmark-*/group")):
            time.sleep(0.02)
        cable.pull()

    puller = threading.Thread(target=pull_when_it_runs)
    puller.start()
    result = measure(model_uri, {**device, "port": cable.port}, tmp_path / "out")
    puller.join()
    assert (cable.pulled, result["golden_exact"], result["reused"]) == (1, True, False)
    assert [path.name for path in work_dir.iterdir()] == ["benchmark.lock"]


def test_a_job_is_left_at_work_and_joined(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    go, python = tmp_path / "go", tmp_path / "python"
    python.write_text(f'#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.05; done\nexec {device["python"]} "$@"\n')
    python.chmod(0o755)
    device = {**device, "python": str(python)}
    first = measure(model_uri, device, tmp_path / "out", wait_seconds=0)
    assert (first["state"], first["device"]) == ("running", "pi")
    assert first["look_again_in_seconds"] > 0
    (job,) = Path(device["work_dir"]).glob("benchmark-*")
    begun = (job / "group").read_text()
    go.touch()
    wait_for(job / "result.json")
    assert (job / "group").read_text() == begun
    an_hour_ago = time.time() - 3600
    os.utime(job / "result.json", (an_hour_ago, an_hour_ago))
    result = measure(model_uri, device, tmp_path / "out", wait_seconds=0, again=True)
    assert (result["state"], result["golden_exact"]) == ("done", True)
    assert datetime.fromisoformat(result["measured_at"]).timestamp() == pytest.approx(an_hour_ago, abs=60)
    assert not job.exists()


def test_a_result_that_nobody_fetched_for_a_day_is_forgotten(
    model_uri: str, device: dict[str, Any], tmp_path: Path
) -> None:
    name = benchmark_job.job_name(f"{content_of(read_model_files(model_uri), SHORT)} when-missing")
    job = Path(device["work_dir"]) / name
    job.mkdir(parents=True)
    (job / "result.json").write_text('{"error": "busy", "message": "of the day before"}')
    two_days_ago = time.time() - 2 * 86_400
    os.utime(job, (two_days_ago, two_days_ago))
    assert measure(model_uri, device, tmp_path / "out")["golden_exact"] is True


def test_a_process_that_got_the_runners_number_is_left_alone(tmp_path: Path) -> None:
    job = tmp_path / "benchmark-1"
    job.mkdir()
    (job / "log").write_text("measuring\n")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        (job / "group").write_text(f"{stranger.pid}\n")
        assert shell(benchmark_job.LOOK, job, tmp_path / "lock", "1440").split() == ["ended", "measuring"]
        shell(benchmark_job.END, job)
        assert stranger.poll() is None
        stranger.kill()
    assert not job.exists()


def test_it_says_what_the_device_does(device: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    job = benchmark_job.Job("benchmark-1", {}, [], 1.0, 1.0)
    watch = benchmark_job._Watch(DeviceDescription.model_validate(device), job, 0.0, None)
    for state, lines in (("busy", []), ("running", ["0"]), ("running", ["3", "loading"]), ("running", ["3", "{}"])):
        watch._say(state, lines)
    said = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert said == ["waiting for another benchmark", "starting", "loading"]


def test_one_benchmark_at_a_time(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    work_dir = Path(device["work_dir"])
    work_dir.mkdir()
    with (work_dir / "benchmark.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert measure(model_uri, device, tmp_path / "out", wait_seconds=0)["state"] == "running"
        assert [path.name for path in work_dir.iterdir()] == ["benchmark.lock"]  # nothing was copied beside the other
    assert measure(model_uri, device, tmp_path / "out")["state"] == "done"


def test_a_runner_that_dies_is_said(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho out of memory >&2\nkill -9 $$\n")
    dying.chmod(0o755)
    with pytest.raises(DeviceError, match=r"ended without a result: .*out of memory"):
        measure(model_uri, {**device, "python": str(dying)}, tmp_path / "out")


def test_a_device_that_was_never_there_is_not_waited_for(
    model_uri: str, device: dict[str, Any], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(DeviceUnreachable, match="refuses the connection"):
        measure(model_uri, {**device, "port": port}, tmp_path / "out")


def test_what_is_missing_is_installed_in_a_private_folder(
    model_uri: str, device: dict[str, Any], tmp_path: Path
) -> None:
    """The wheels stand in for those of the real packages: they lead to the ones that are installed here."""
    import ai_edge_litert

    site = Path(ai_edge_litert.__file__).parents[1]
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "numpy", "2.0.0", site)
    make_wheel(wheels, "ai_edge_litert", "2.3.0", site)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    bare = {**device, "python": str(tmp_path / "bare" / "bin" / "python"), "wheels": str(wheels)}
    result = measure(model_uri, bare, tmp_path / "out")
    assert (result["golden_exact"], result["runtime_version"]) == (True, "ai-edge-litert 2.3.0")
    environment = Path(device["work_dir"]) / "environment-2.3.0"
    made = (environment / "complete").stat().st_mtime_ns
    measure(model_uri, bare, tmp_path / "out", again=True)
    assert (environment / "complete").stat().st_mtime_ns == made


def test_an_installation_that_fails_is_said(device: dict[str, Any]) -> None:
    command = [sys.executable, "-c", "print('ensurepip is not available'); raise SystemExit(1)"]
    with pytest.raises(RunnerError, match="could not install the runtime: ensurepip is not available") as caught:
        install(command)
    answer = {"error": caught.value.kind, "message": str(caught.value)}
    with pytest.raises(DeviceError, match=r"ensurepip .* by hand, .* pip install numpy ai-edge-litert==2\.3\.0"):
        read_answer(answer, DeviceDescription.model_validate(device), "ai-edge-litert 2.3.0")


def shell(script: str, *arguments: object) -> str:
    command = ["sh", "-c", script, "look", *(str(argument) for argument in arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_wheel(folder: Path, name: str, version: str, leads_to: Path) -> None:
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        info = f"{name}-{version}.dist-info"
        wheel.writestr(f"{name}_here.pth", f"{leads_to}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def test_the_packed_runner_is_always_the_same_file() -> None:
    assert benchmark_job.pack_runner() == benchmark_job.pack_runner()


def wait_for(path: Path) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.05)
