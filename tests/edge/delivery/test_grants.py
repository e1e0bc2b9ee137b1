"""A grant lets a device write below its prefix and nowhere else: tried on the S3 server of the local stack."""

import base64
import json
import os
import stat
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from ml_training.cloud import storage
from ml_training.edge.delivery import grants
from ml_training.edge.delivery.grants import upload_grants
from ml_training.edge.devices import DeviceDescription, read_device
from ml_training.edge.ssh import Deadline, connect
from ml_training.utils.errors import DeviceUnreachable, UsageError

from .conftest import REPOSITORY, free_port

STACK_PYTHON = REPOSITORY / ".venv" / "stack" / "bin" / "python"


@pytest.fixture(scope="module")
def ministack(tmp_path_factory):
    """The S3 server of the local stack, which checks policies; moto's does not."""
    if not STACK_PYTHON.exists():
        pytest.skip("the environment of the local stack is missing: make setup-stack")
    folder, port = tmp_path_factory.mktemp("ministack"), free_port()
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "SERVICES": "s3"}
    settings |= {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "STATE_DIR": str(folder)}
    with (folder / "log").open("w") as log:
        command = [STACK_PYTHON, "-m", "ministack"]
        server = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/_ministack/health"):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "the S3 server does not answer"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def bucket(ministack, monkeypatch):
    """A bucket on it."""
    names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {"AWS_ENDPOINT_URL": ministack, **names}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    storage._client.cache_clear()
    boto3.client("s3").create_bucket(Bucket="grants")
    yield "s3://grants"
    storage._client.cache_clear()


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


def send(grant, key, data):
    """Send a form as a device does; returns the status of the answer."""
    boundary = uuid.uuid4().hex
    fields = {**grant["fields"], "key": key}
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n')
    body = "".join(parts).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    try:
        return urllib.request.urlopen(urllib.request.Request(grant["url"], body, kind)).status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_device_writes_below_its_prefix_and_up_to_a_size(bucket):
    document = upload_grants(bucket, "pi5", 168)
    assert document["telemetry"]["prefix"] == "telemetry/pi5/"
    assert document["hard_examples"]["prefix"] == "hard_examples/pi5/"
    policy = json.loads(base64.b64decode(document["telemetry"]["fields"]["policy"]))
    assert ["starts-with", "$key", "telemetry/pi5/"] in policy["conditions"]
    assert ["content-length-range", 0, document["telemetry"]["largest_bytes"]] in policy["conditions"]
    assert {"bucket": "grants"} in policy["conditions"]
    assert document["expires_at"][:16] == policy["expiration"][:16]
    grant = document["telemetry"]
    assert send(grant, "telemetry/pi5/2026-01-05/a.jsonl", b"{}") == 204
    assert send(grant, "telemetry/other/a.jsonl", b"{}") == 403
    assert send(grant, "hard_examples/pi5/a.npz", b"{}") == 403
    assert send(grant, "telemetry/pi5/b.jsonl", bytes(grant["largest_bytes"] + 1)) == 400
    stored = boto3.client("s3").get_object(Bucket="grants", Key="telemetry/pi5/2026-01-05/a.jsonl")
    assert stored["Body"].read() == b"{}"


def test_the_command_writes_a_file_that_only_its_owner_reads_and_prints_no_secret(bucket, tmp_path, capsys):
    path = tmp_path / "uploads.json"
    path.touch(mode=0o644)
    called = ["--device", "pi5", "--hours", "2", "--data-dir", "s3://grants", "--output", str(path), "--json"]
    assert grants.main(called) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    printed = capsys.readouterr().out
    assert json.loads(printed)["prefixes"] == ["telemetry/pi5/", "hard_examples/pi5/"]
    assert json.loads(path.read_text())["telemetry"]["fields"]["policy"] not in printed


@pytest.fixture(params=["ssh_server", "stack_server"])
def server(request):
    """A device that OpenSSH plays, and the one of the local stack."""
    return request.getfixturevalue(request.param)


def test_a_grant_is_pushed_to_the_device_and_a_newer_one_takes_its_place(bucket, server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ADBREAK_DEVICE_PI5", json.dumps(server))
    home = "." if server["user"] == "pi" else str(tmp_path)  # the stack's device has a root of its own
    called = ["--device", "pi5", "--data-dir", bucket, "--push", "--json", "--home"]
    for hours in ("168", "24"):
        assert grants.main([*called, home, "--hours", hours]) == 0
    with connect(read_device("pi5"), Deadline(20)) as connection:
        shown = connection.run(f"cat {home}/uploads.json; stat -c %a {home}/uploads.json >&2", Deadline(20))
    pushed = json.loads(shown.stdout)
    assert pushed["telemetry"]["prefix"] == "telemetry/pi5/"
    assert datetime.fromisoformat(pushed["expires_at"]) < datetime.now(UTC) + timedelta(hours=25)
    assert shown.stderr.strip() == "600"
    capsys.readouterr()
    assert grants.main([*called, "nowhere/at-all"]) == 1
    assert "uploads.json" in capsys.readouterr().err
    assert grants.main([*called, "$(reboot)"]) == 2


def test_a_secret_is_its_owners_before_its_content_arrives(ssh_server, tmp_path):
    place = tmp_path / "secret"
    device = DeviceDescription.model_validate(ssh_server)
    with connect(device, Deadline(20)) as connection, pytest.raises(DeviceUnreachable, match="took too long"):
        connection.upload(b"secret", str(place), Deadline(0), mode=0o600)
    assert not place.exists()
    (part,) = tmp_path.iterdir()
    assert stat.S_IMODE(part.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("root", "device", "hours", "message"),
    [
        ("data", "pi5", 1, "expected a bucket"),
        ("s3://x", "../pi5", 1, "device name"),
        ("s3://x", "pi5", 169, "expected 0 to 168 hours"),
    ],
)
def test_wrong_calls_are_told(root, device, hours, message):
    with pytest.raises(UsageError, match=message):
        upload_grants(root, device, hours)


def test_a_grant_needs_a_place(capsys):
    assert grants.main(["--device", "pi5", "--data-dir", "s3://x"]) == 2
    assert "--push" in capsys.readouterr().err
