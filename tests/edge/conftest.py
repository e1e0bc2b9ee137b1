"""A device to test with: a real OpenSSH server on loopback, in which the device runner really runs."""

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ml_training.edge.benchmark import benchmark
from ml_training.edge.benchmark_records import RunnerSettings
from ml_training.utils.hashing import sha256_file

REPOSITORY = Path(__file__).resolve().parents[2]
TINY_MODEL = REPOSITORY / "tests" / "data_files" / "tiny_int8.tflite"
STACK_PYTHON = REPOSITORY / ".venv" / "stack" / "bin" / "python"
SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)

QUICK = RunnerSettings(threads=(1,), runs=20, warmup=2, seconds=1.0, sustained_seconds=0.2)


def measure(model_uri: str, device: dict[str, Any], output: Path, **options: Any) -> dict[str, Any]:
    """Measure a model on the device ``pi``; the result goes to ``output``."""
    return benchmark(
        model_uri=model_uri,
        device_name="pi",
        output_uri=str(output),
        data_dir=str(output / "data"),
        device_spec=json.dumps(device),
        **{"settings": QUICK, **options},
    )


@pytest.fixture(scope="session")
def model_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny int8 model with its manifest and golden inputs, as the conversion leaves them."""
    folder = tmp_path_factory.mktemp("int8")
    model = Path(shutil.copy(TINY_MODEL, folder / "model.tflite"))
    inputs = np.random.default_rng(1).integers(-128, 128, (4, 8, 8, 3)).astype(np.int8)
    np.savez(folder / "golden.npz", inputs=inputs, outputs=_outputs(model, inputs))
    manifest = {
        "version": 1,
        "sha256": sha256_file(model),
        "golden": {"inputs": "golden.npz", "n": 4},
        "runtime": "ai-edge-litert 2.3.0",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return str(model)


def _outputs(model: Path, inputs: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    outputs = []
    for frame in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(outputs)


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The description of a device that an OpenSSH server on loopback plays."""
    if SSHD is None:
        pytest.skip("no sshd here: install openssh-server to test the connection to devices")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host_key", "login_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/login_key.pub\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=log)
    try:
        _wait_for_port(port, server, folder / "log")
        yield {
            "host": "127.0.0.1",
            "port": port,
            "user": getpass.getuser(),
            "host_key": (folder / "host_key.pub").read_text().strip(),
            "key_file": str(folder / "login_key"),
            "python": sys.executable,
        }
    finally:
        server.terminate()
        server.wait(10)


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the SSH server did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def stack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The description of the local stack's device: another SSH server, whose SFTP shows its home as the root."""
    if not STACK_PYTHON.exists():
        pytest.skip("no .venv/stack here: make setup builds it, to test with the local stack's device")
    folder = tmp_path_factory.mktemp("stack-device")
    port = free_port()
    command = [STACK_PYTHON, "-m", "local_stack.device_server", "--folder", folder, "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "include")}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait_for_port(port, server, folder / "log")
        keygen = ["ssh-keygen", "-y", "-f", folder / "host_key"]
        host_key = subprocess.run(keygen, check=True, capture_output=True, text=True).stdout
        yield {
            "host": "127.0.0.1",
            "port": port,
            "user": "pi",
            "host_key": host_key,
            "key_file": str(folder / "login_key"),
        }
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def device(ssh_server: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """That description with a work folder of this test's own."""
    return {**ssh_server, "work_dir": str(tmp_path / "device")}
