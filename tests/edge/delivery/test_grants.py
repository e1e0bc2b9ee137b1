"""A grant lets a device write below its prefix, and nowhere else. The bucket is moto's, which checks no policy:
what the policy says is read from it, and that a form with it arrives is tried."""

import base64
import json
import stat
import urllib.request
import uuid

import boto3
import pytest
from ml_training.edge.delivery import grants
from ml_training.edge.delivery.grants import upload_grants
from ml_training.utils.errors import UsageError


def send(grant, key, data):
    """Send a form as a device does."""
    boundary = uuid.uuid4().hex
    fields = {**grant["fields"], "key": key}
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n')
    body = "".join(parts).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return urllib.request.urlopen(urllib.request.Request(grant["url"], body, kind)).status


def test_a_policy_names_the_prefix_and_the_largest_size(s3_server):
    boto3.client("s3").create_bucket(Bucket="grants")
    document = upload_grants("s3://grants", "pi5", 168)
    assert document["telemetry"]["prefix"] == "telemetry/pi5/"
    assert document["hard_examples"]["prefix"] == "hard_examples/pi5/"
    policy = json.loads(base64.b64decode(document["telemetry"]["fields"]["policy"]))
    assert ["starts-with", "$key", "telemetry/pi5/"] in policy["conditions"]
    assert ["content-length-range", 0, document["telemetry"]["largest_bytes"]] in policy["conditions"]
    assert {"bucket": "grants"} in policy["conditions"]
    assert document["expires_at"][:16] == policy["expiration"][:16]
    assert send(document["telemetry"], "telemetry/pi5/2026-01-05/a.jsonl", b"{}") in (200, 201, 204)
    stored = boto3.client("s3").get_object(Bucket="grants", Key="telemetry/pi5/2026-01-05/a.jsonl")
    assert stored["Body"].read() == b"{}"


def test_the_command_writes_a_file_that_only_its_owner_reads_and_prints_no_secret(s3_server, tmp_path, capsys):
    path = tmp_path / "uploads.json"
    called = ["--device", "pi5", "--hours", "2", "--data-dir", "s3://grants", "--output", str(path), "--json"]
    assert grants.main(called) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    printed = capsys.readouterr().out
    assert json.loads(printed)["prefixes"] == ["telemetry/pi5/", "hard_examples/pi5/"]
    assert json.loads(path.read_text())["telemetry"]["fields"]["policy"] not in printed


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
