"""The reaper as a function of its own: the package runs where nothing of ours is installed, against a real EC2 API."""

import json
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from ml_training.cloud import reaper_function
from ml_training.config.cloud import load_cloud_config

ROOT = Path(__file__).resolve().parents[2]
STACK_PYTHON = ROOT / ".venv" / "stack" / "bin" / "python"  # has boto3, as Lambda's runtime; nothing of ours
REGION = "af-south-1"
CALL = "import json; from ml_training.cloud.reaper_function import handler; print(json.dumps(handler({}, None)))"


@pytest.fixture
def account(tmp_path):
    """A config with an account's own entries."""
    changes = {"region": REGION, "subnets": {"a": "subnet-1"}, "security_groups": ["sg-1"], "month_budget_usd": 0.01}
    path = tmp_path / "account.yaml"
    path.write_text(load_cloud_config().model_copy(update=changes).model_dump_json(exclude_none=True))
    return path


def test_the_package_reaps_where_nothing_is_installed(account, tmp_path, s3_server):
    made = reaper_function.package(tmp_path / "reaper.zip", str(account))
    assert made["runtime"].startswith("python3.")
    assert made["size_bytes"] < 50_000_000, "Lambda takes no larger upload"
    folder = tmp_path / "function"
    zipfile.ZipFile(made["package"]).extractall(folder)
    deadline = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    tags = {"adbreak:project": "adbreak", "adbreak:deadline": deadline}
    labels = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2 = boto3.client("ec2", region_name=REGION)
    late = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": labels}],
    )["Instances"][0]["InstanceId"]
    environment = {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "ADBREAK_DATA_DIR": str(tmp_path / "adbreak"),
    }
    done = subprocess.run([STACK_PYTHON, "-c", CALL], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert [machine["instance_id"] for machine in report["terminated"]] == [late]
    assert [line for line in done.stdout.splitlines() if line.startswith("ALERT ") and late in line]
    state = ec2.describe_instances(InstanceIds=[late])["Reservations"][0]["Instances"][0]["State"]["Name"]
    assert state == "terminated"


def test_the_same_content_makes_the_same_package(account, tmp_path):
    one, two = (reaper_function.package(tmp_path / name, str(account)) for name in ("one.zip", "two.zip"))
    assert Path(one["package"]).read_bytes() == Path(two["package"]).read_bytes()


def test_a_config_without_an_account_is_refused(tmp_path, capsys):
    assert reaper_function.main(["--output", str(tmp_path / "reaper.zip")]) == 2
    assert "says nothing of subnets" in capsys.readouterr().err
    assert not (tmp_path / "reaper.zip").exists()
