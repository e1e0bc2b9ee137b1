"""Real servers on loopback, from the environment of the local stack: S3, and a simulated EC2."""

import contextlib
import json
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from local_stack.ec2.remote import RemoteEc2, simulated_ec2
from ml_training.cloud import storage
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.jobs import Archive, Job, JobSpec
from ml_training.config.cloud import CloudConfig, load_cloud_config

STACK_PYTHON = Path(__file__).parents[2] / ".venv" / "stack" / "bin" / "python"
START_SECONDS = 60


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Start the server once; skip where the environment of the local stack is missing."""
    if not STACK_PYTHON.exists():
        pytest.skip("the environment of the local stack is missing: make setup-stack")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [STACK_PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def s3_server(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let boto3 talk to the server."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    storage._client.cache_clear()
    yield s3_endpoint
    storage._client.cache_clear()


def _wait(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "the S3 server ended at its start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no S3 server on port {port} after {START_SECONDS} s")


class Wire:
    """The way to the S3 server, that a test can cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target, self.cut = target, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.cut.is_set():
                    client.close()
                    continue
                server = socket.create_connection(self.target)
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.cut.is_set():
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """A bucket behind a wire."""
    storage._client().create_bucket(Bucket="wire")
    made = Wire(("127.0.0.1", int(s3_server.rsplit(":", 1)[1])))
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    storage._client.cache_clear()
    yield made
    storage._client.cache_clear()
    made.listener.close()


class MetadataService:
    """The instance metadata service, version 2, on loopback: what a test puts into ``values`` is what it says."""

    def __init__(self) -> None:
        self.values = {
            "instance-id": "i-0123456789abcdef0",
            "instance-type": "g5.xlarge",
            "instance-life-cycle": "spot",
            "placement/availability-zone": "us-east-1a",
            "placement/region": "us-east-1",
            "iam/security-credentials/": "adbreak-trainer",
            "iam/security-credentials/adbreak-trainer": json.dumps(
                {"AccessKeyId": "test", "SecretAccessKey": "test", "Token": "role"}
            ),
        }
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self._answer(200, "a-token")

            def do_GET(self) -> None:
                if self.headers.get("X-aws-ec2-metadata-token") != "a-token":
                    return self._answer(401, "")
                value = service.values.get(self.path.removeprefix("/latest/meta-data/"))
                return self._answer(404, "") if value is None else self._answer(200, value)

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def give_notice(self, at: str, action: str = "terminate") -> None:
        """Announce that the machine is taken away."""
        self.values["spot/instance-action"] = json.dumps({"action": action, "time": at})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def metadata_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataService]:
    """Start a metadata service, and let everything ask it."""
    service = MetadataService()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
    yield service
    service.close()


@pytest.fixture(scope="session")
def shared_ec2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteEc2]:
    """A simulated EC2 whose machines never come to their user data: what launchers do with machines, and no more."""
    if not STACK_PYTHON.exists():
        pytest.skip("the environment of the local stack is missing: make setup-stack")
    timing = {"pending_seconds": 0.05, "boot_seconds": 3600.0, "shutdown_seconds": 0.05}
    settings = {"heartbeat_seconds": 0.1, "silent_minutes": 1.0, "boot_minutes": 5.0, "retry_seconds": 30.0}
    with simulated_ec2(tmp_path_factory.mktemp("ec2"), timing=timing, settings=settings) as ec2:
        yield ec2


@pytest.fixture
def simulated(shared_ec2: RemoteEc2, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteEc2]:
    """Let launchers of a test talk to it, and nothing go wrong but what the test orders."""
    for name, value in shared_ec2.environment.items():
        monkeypatch.setenv(name, value)
    storage._client.cache_clear()
    yield shared_ec2
    shared_ec2.no_faults()
    shared_ec2.timing(visibility_seconds=0, shutdown_seconds=0.05)
    storage._client.cache_clear()


@pytest.fixture
def config(simulated: RemoteEc2) -> CloudConfig:
    return load_cloud_config()


@pytest.fixture
def job(config: CloudConfig, tmp_path: Path) -> Iterator[Job]:
    """A job that nobody has begun; what it leaves on EC2 is ended."""
    archive = Archive(uri=str(tmp_path / "code"), sha256="0" * 64)
    spec = JobSpec(
        module="m",
        options={},
        code=archive,
        lock=archive,
        gpus=0,
        labels={"dag": "nightly", "dag_run": "r1", "task": "training"},
        deadline_seconds=3600,
        budget_usd=config.budget_usd,
        simulated=True,
    )
    made = Job(str(tmp_path / "data" / "training" / "jobs" / uuid.uuid4().hex[:12]))
    made.create(spec)
    yield made
    ec2 = Ec2(config)
    ec2.terminate(machine.instance_id for machine in ec2.find({"adbreak:job": made.job_id}) if machine.is_living)
