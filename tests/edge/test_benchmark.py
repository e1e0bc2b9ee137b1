"""The benchmark over a real SSH server: what it measures, what it leaves, and how it says what is wrong."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_training.edge.benchmark import benchmark, main
from ml_training.edge.benchmark_records import RunnerSettings
from ml_training.utils.errors import ConfigError, DeviceError, ModelError, UsageError

from .conftest import QUICK, measure


def left_behind(device: dict[str, Any]) -> list[Path]:
    """What a benchmark leaves beside its lock."""
    return [path for path in Path(device["work_dir"]).iterdir() if path.name != "benchmark.lock"]


def test_measures_latency_memory_and_parity(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    result = measure(model_uri, device, tmp_path / "out")
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p95"] <= result["latency_ms"]["p99"]
    assert result["golden_exact"] is True
    assert result["golden_inputs"] == 4
    assert result["peak_memory_bytes"] > 10_000_000
    assert result["load_ms"] > 0
    assert result["first_inference_ms"] > 0
    assert json.loads((tmp_path / "out" / "pi.json").read_text())["board"] == result["board"]
    assert left_behind(device) == []


def test_the_device_of_the_local_stack(model_uri: str, stack_server: dict[str, Any], tmp_path: Path) -> None:
    result = measure(model_uri, stack_server, tmp_path)
    assert (result["golden_exact"], result["simulated"]) == (True, True)
    with pytest.raises(DeviceError, match="apt install python3"):
        measure(model_uri, {**stack_server, "python": "python9"}, tmp_path, again=True)


def test_a_board_that_is_not_the_gates_is_simulated(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    claimed = {**device, "board": "Raspberry Pi 5"}
    result = measure(model_uri, claimed, tmp_path)
    assert result["simulated"] is True  # what the owner says does not count
    assert result["described_board"] == "Raspberry Pi 5"
    real = measure(model_uri, device, tmp_path, gate_board=result["board"][:12].upper())
    assert real["simulated"] is False


def test_a_result_is_reused_until_something_changes(
    model_uri: str, device: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(model_uri, device, tmp_path)
    unreachable = {**device, "port": free_port()}
    assert measure(model_uri, unreachable, tmp_path)["reused"] is True
    assert measure(model_uri, unreachable, tmp_path)["measured_at"] == first["measured_at"]
    with pytest.raises(DeviceError):
        measure(model_uri, unreachable, tmp_path, again=True)
    with pytest.raises(DeviceError):
        measure(model_uri, unreachable, tmp_path, settings=QUICK.model_copy(update={"runs": 21}))
    monkeypatch.setattr("ml_training.edge.benchmark.runner_version", lambda: "another")
    with pytest.raises(DeviceError):
        measure(model_uri, unreachable, tmp_path)


def test_several_thread_counts(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    settings = RunnerSettings(threads=(1, 2, 4), runs=5, warmup=1, seconds=1.0, sustained_seconds=0)
    result = measure(model_uri, device, tmp_path, settings=settings)
    assert list(result["threads"]) == [str(count) for count in (1, 2, 4) if count <= (os.cpu_count() or 1)]
    assert result["latency_ms"]["p95"] == result["threads"]["1"]["p95"]


def test_other_outputs_than_golden_are_said(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    copy = copy_of(model_uri, tmp_path)
    with np.load(copy.with_name("golden.npz")) as golden:
        inputs, outputs = golden["inputs"], golden["outputs"]
    outputs[2, 0] += 3
    np.savez(copy.with_name("golden.npz"), inputs=inputs, outputs=outputs)
    result = measure(str(copy), device, tmp_path)
    assert result["golden_exact"] is False
    assert result["golden_max_difference"] == 3.0


def test_wrong_host_key(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    other = new_key(tmp_path / "other")
    wrong = {**device, "host_key": other.with_suffix(".pub").read_text()}
    with pytest.raises(DeviceError, match="another host key than its description"):
        measure(model_uri, wrong, tmp_path)
    rsa = new_key(tmp_path / "rsa", "rsa")
    with pytest.raises(DeviceError, match="another host key than its description"):
        measure(model_uri, {**device, "host_key": rsa.with_suffix(".pub").read_text()}, tmp_path)
    with pytest.raises(DeviceError, match=r"host_key of .* (cannot be read|not known)"):
        measure(model_uri, {**device, "host_key": "ssh-ed25519 AAAA"}, tmp_path)


def test_wrong_login(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="refuses the login"):
        measure(model_uri, {**device, "key_file": str(new_key(tmp_path / "other"))}, tmp_path)
    with pytest.raises(DeviceError, match=r"key_file .* cannot be read"):
        measure(model_uri, {**device, "key_file": str(tmp_path / "none")}, tmp_path)
    with_text = {**device, "private_key": Path(device["key_file"]).read_text()}
    del with_text["key_file"]
    assert measure(model_uri, with_text, tmp_path)["golden_exact"] is True


def test_refused_and_silent_connections(
    model_uri: str, device: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeviceError, match="refuses the connection"):
        measure(model_uri, {**device, "port": free_port()}, tmp_path)
    monkeypatch.setattr("ml_training.edge.benchmark_job.CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(DeviceError):
            measure(model_uri, {**device, "port": silent.getsockname()[1]}, tmp_path)
        assert time.monotonic() - start < 10
    with pytest.raises(DeviceError, match="cannot be resolved"):
        measure(model_uri, {**device, "host": "no-such-host.invalid"}, tmp_path)


def test_missing_python_and_missing_runtime(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="apt install python3"):
        measure(model_uri, {**device, "python": "python9"}, tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    with pytest.raises(DeviceError, match=r"pip install numpy ai-edge-litert==2\.3\.0"):
        measure(model_uri, {**device, "python": str(tmp_path / "bare" / "bin" / "python")}, tmp_path, install="never")
    assert left_behind(device) == []


def test_a_model_that_the_runtime_refuses(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    copy = copy_of(model_uri, tmp_path)
    copy.write_bytes(copy.read_bytes()[:500])
    with pytest.raises(ModelError, match=r"manifest .* of another file"):
        measure(str(copy), device, tmp_path)
    broken = b"no model at all" * 10
    write_manifest(copy, broken)
    with pytest.raises(ModelError, match=r"refuses model\.tflite"):
        measure(str(copy), device, tmp_path)


def test_golden_inputs_of_another_shape(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    copy = copy_of(model_uri, tmp_path)
    np.savez(copy.with_name("golden.npz"), inputs=np.zeros((2, 9, 9, 3), np.int8), outputs=np.zeros((2, 1), np.int8))
    with pytest.raises(ModelError, match=r"takes \(8, 8, 3\) of int8"):
        measure(str(copy), device, tmp_path)


def test_a_run_past_its_deadline_is_ended(
    model_uri: str, device: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INSTALL_SECONDS", "COOLING_SECONDS", "OVERHEAD_SECONDS"):
        monkeypatch.setattr(f"ml_training.edge.benchmark.{name}", 0.0)
    slow = {**device, "python": str(slow_python(tmp_path))}
    short = RunnerSettings(seconds=2.5, sustained_seconds=0)
    with pytest.raises(DeviceError, match="no result within 5 s"):
        measure(model_uri, slow, tmp_path, settings=short, queue_seconds=0)
    wait_until_gone(int((tmp_path / "pid").read_text()))
    assert left_behind(device) == []


def test_terminating_the_command_ends_the_remote_run(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    spec = json.dumps({**device, "python": str(slow_python(tmp_path))})
    arguments = ["--model", model_uri, "--device", "pi", "--device-spec", spec, "--output", str(tmp_path)]
    command = subprocess.Popen([sys.executable, "-m", "ml_training.edge.benchmark", *arguments])
    end = time.monotonic() + 120
    while not (tmp_path / "pid").exists() and time.monotonic() < end:
        time.sleep(0.1)
    command.send_signal(signal.SIGTERM)
    assert command.wait(60) == 143
    wait_until_gone(int((tmp_path / "pid").read_text()))
    assert left_behind(device) == []


def test_the_command(
    model_uri: str,
    device: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ADBREAK_DEVICE_PI_FOUR", json.dumps(device))
    options = ["--json", "--model", model_uri, "--data-dir", str(tmp_path), "--runs", "5", "--seconds", "1"]
    options += ["--sustained-seconds", "0", "--threads", "1"]
    assert main([*options, "--device", "pi-four"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["benchmark_uri"] == f"{tmp_path}/benchmarks/{result['model_sha256'][:16]}/pi-four.json"
    assert main([*options, "--device", "Pi 4; reboot"]) == 2
    assert "device name" in capsys.readouterr().err


def test_descriptions_that_are_wrong(model_uri: str, device: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ADBREAK_DEVICE_NOBODY"):
        benchmark(model_uri=model_uri, device_name="nobody", data_dir=str(tmp_path))
    for change in ({"work_dir": "a b"}, {"work_dir": "../up"}, {"python": "python3; reboot"}, {"port": 0}):
        with pytest.raises(ConfigError, match=next(iter(change))):
            measure(model_uri, {**device, **change}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        measure(model_uri, {**device, "private_key": "SECRET"}, tmp_path)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(UsageError):
        benchmark(model_uri=model_uri, device_name="../up", data_dir=str(tmp_path))


def copy_of(model_uri: str, folder: Path) -> Path:
    return Path(shutil.copytree(Path(model_uri).parent, folder / "copy")) / "model.tflite"


def write_manifest(model: Path, content: bytes) -> None:
    import hashlib

    model.write_bytes(content)
    path = model.with_name("manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": hashlib.sha256(content).hexdigest()}))


def slow_python(folder: Path) -> Path:
    """A device's Python that says that it has begun, and never ends."""
    path = folder / "slow_python"
    path.write_text(f"#!/bin/sh\necho $$ > {folder}/pid\nsleep 300\n")
    path.chmod(0o755)
    return path


def new_key(path: Path, kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_gone(process: int) -> None:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"process {process} is still there")
