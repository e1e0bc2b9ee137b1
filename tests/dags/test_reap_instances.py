"""The reaper as a DAG, against a real EC2 API: what it ends raises an alert, what it cannot see turns the run red."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.airflow

ROOT = Path(__file__).resolve().parents[2]
STACK_PYTHON = ROOT / ".venv" / "stack" / "bin" / "python"
START_SECONDS = 120


@pytest.fixture(scope="module")
def ec2_address() -> Iterator[str]:
    """A server of moto, from the environment of the local stack."""
    if not STACK_PYTHON.exists():
        pytest.skip("the environment of the local stack is missing: make setup-stack")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [STACK_PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                assert server.poll() is None, "the server ended at its start"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Machines are used here, with a budget that the first cost passes."""
    from ml_training.config.cloud import load_cloud_config

    config = load_cloud_config().model_copy(update={"month_budget_usd": 0.5, "simulated": True})
    (tmp_path / "cloud.yaml").write_text(config.model_dump_json(exclude_none=True))
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "ec2-spot")
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_CLOUD_CONFIG", str(tmp_path / "cloud.yaml"))
    monkeypatch.setenv("ADBREAK_CLOUD_CONFIG", str(tmp_path / "cloud.yaml"))
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": config.region}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return config


def start_machine(address: str, region: str, deadline: datetime) -> str:
    import boto3

    tags = {"adbreak:project": "adbreak", "adbreak:deadline": deadline.isoformat()}
    answer = boto3.client("ec2", region_name=region, endpoint_url=address).run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )
    return str(answer["Instances"][0]["InstanceId"])


def state_of(address: str, region: str, instance_id: str) -> str:
    import boto3

    client = boto3.client("ec2", region_name=region, endpoint_url=address)
    found = client.describe_instances(InstanceIds=[instance_id])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


def spend(root: Path, usd: float) -> None:
    """Put a cost of this moment into the ledger."""
    from ml_training.cloud.costs import Cost

    now = datetime.now(UTC)
    facts = {"job_id": "one", "job_uri": "x", "attempt": 1, "cause": "done", "seconds": 60, "simulated": True}
    folder = root / "ledger" / "costs" / f"{now:%Y-%m}"
    folder.mkdir(parents=True)
    (folder / "one-0001.json").write_text(Cost(ended_at=now, usd=usd, **facts).model_dump_json())


def test_without_machines_nothing_is_asked(run_dag: Any) -> None:
    run = run_dag("reap_instances")
    assert run.state == "success"
    assert set(run.states().values()) == {"skipped"}


def test_an_overdue_machine_is_ended_and_told_of(
    run_dag: Any, machines: Any, ec2_address: str, alerts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", ec2_address)
    late = start_machine(ec2_address, machines.region, datetime.now(UTC) - timedelta(minutes=1))
    early = start_machine(ec2_address, machines.region, datetime.now(UTC) + timedelta(hours=1))
    spend(tmp_path / "bucket", 0.75)
    dry = run_dag("reap_instances", dry_run=True)
    assert (dry.state, state_of(ec2_address, machines.region, late)) == ("success", "running")
    run = run_dag("reap_instances")
    assert run.state == "success"
    states = [state_of(ec2_address, machines.region, machine) for machine in (late, early)]
    assert states == ["terminated", "running"]
    said = [(alert["kind"], alert["severity"]) for alert in alerts()]
    assert said == [("month_budget_passed", "error"), ("machine_reaped", "error")], "the budget once, by the dry run"
    assert alerts()[0]["facts"]["simulated"] is True
    assert late in alerts()[1]["summary"]
    assert json.loads(json.dumps(run.result_of("reap")))["simulated"] is True


def test_an_ec2_that_does_not_answer_turns_the_run_red(
    run_dag: Any, machines: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    run = run_dag("reap_instances")
    assert run.state == "failed"
    assert run.states() == {"reap": "failed", "month_so_far": "success", "alerts": "failed"}
    assert "does not answer" in alerts()[0]["summary"]


def test_airflows_own_api_is_what_the_reaper_asks() -> None:
    """The field names of Airflow's answer are those that ``cloud.airflow_runs`` reads."""
    module = "airflow.api_fastapi.core_api.datamodels.dag_run"
    code = f"from {module} import DAGRunResponse; print(*DAGRunResponse.model_fields)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert {"dag_run_id", "state", "end_date"} <= set(done.stdout.split())
