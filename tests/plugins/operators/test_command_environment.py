"""Connections and variables become the environment of a command."""

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from operators.command_environment import (
    aws_environment,
    data_root,
    device_environment,
    mlflow_environment,
    variables_environment,
)

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_variables")]


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


def test_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint_url": "http://127.0.0.1:4566", "region_name": "us-east-1", "config_kwargs": {}}
    connect(monkeypatch, "aws_default", conn_type="aws", login="key", password="secret", extra=extra)
    assert aws_environment() == {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    }


def test_a_role_to_assume_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "aws_default", conn_type="aws", extra={"role_arn": "arn:aws:iam::1:role/x"})
    with pytest.raises(AirflowFailException, match="role_arn"):
        aws_environment()


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"host": "mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"host": "mlflow.example", "schema": "https"}, "https://mlflow.example"),
        ({"host": "http://127.0.0.1", "port": 5050, "schema": "http"}, "http://127.0.0.1:5050"),
        ({"host": "http://127.0.0.1:5050", "port": 5000}, "http://127.0.0.1:5050"),
        ({"extra": {"tracking_uri": "sqlite:////tmp/mlflow.db"}}, "sqlite:////tmp/mlflow.db"),
    ],
)
def test_mlflow(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], address: str) -> None:
    connect(monkeypatch, "mlflow_default", conn_type="http", **fields)
    assert mlflow_environment("http://s3") == {"MLFLOW_TRACKING_URI": address, "MLFLOW_S3_ENDPOINT_URL": "http://s3"}


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"host_key": "ssh-ed25519 AAAA", "key_file": "/key", "board": "Raspberry Pi 5", "no_host_key_check": False}
    connect(monkeypatch, "device_pi_local", conn_type="ssh", host="127.0.0.1", port=2222, login="pi", extra=extra)
    environment = device_environment("pi_local")
    assert json.loads(environment["ADBREAK_DEVICE_PI_LOCAL"]) == {
        "host": "127.0.0.1",
        "port": 2222,
        "user": "pi",
        "host_key": "ssh-ed25519 AAAA",
        "key_file": "/key",
        "board": "Raspberry Pi 5",
    }


def test_unknown_device_is_named() -> None:
    with pytest.raises(AirflowFailException, match="device_pi_attic of type ssh"):
        device_environment("pi_attic")


@pytest.mark.parametrize(
    ("value", "root"), [("adbreak", "s3://adbreak"), ("s3://other/", "s3://other"), ("/a/folder", "/a/folder")]
)
def test_data_root(monkeypatch: pytest.MonkeyPatch, value: str, root: str) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_BUCKET", value)
    assert data_root() == root
    assert variables_environment()["ADBREAK_DATA_DIR"] == root
    assert "ADBREAK_ALERTS_FILE" not in variables_environment()


def test_where_trainings_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ADBREAK_COMPUTE" not in variables_environment()
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "ec2-spot")
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_CLOUD_CONFIG", "/etc/adbreak/account.yaml")
    environment = variables_environment()
    assert environment["ADBREAK_COMPUTE"] == "ec2-spot"
    assert environment["ADBREAK_CLOUD_CONFIG"] == "/etc/adbreak/account.yaml"
