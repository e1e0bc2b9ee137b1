"""What a command finds in its environment: the addresses and credentials of Airflow's connections and variables.

    command_environment({"device": "pi_local"})
    # {"AWS_ENDPOINT_URL": ..., "MLFLOW_TRACKING_URI": ..., "ADBREAK_DATA_DIR": "s3://adbreak", "ADBREAK_DEVICE_PI_LOCAL": ...}

Read while a task runs, never while a DAG file is parsed, and never put into a rendered field.

| from | becomes |
| --- | --- |
| connection ``aws_default`` (optional: else the worker's own role) | ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, ``AWS_PROFILE``, ``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL`` |
| connection ``mlflow_default`` (optional: else nothing is tracked) | ``MLFLOW_TRACKING_URI``, ``MLFLOW_TRACKING_USERNAME``, ``MLFLOW_TRACKING_PASSWORD``, ``MLFLOW_S3_ENDPOINT_URL`` |
| connection ``device_<name>`` of the device that the spec names | ``ADBREAK_DEVICE_<NAME>``, as JSON |
| variables ``adbreak_bucket``, ``adbreak_work_dir``, ``adbreak_alerts_file`` | ``ADBREAK_DATA_DIR``, ``ADBREAK_WORK_DIR``, ``ADBREAK_ALERTS_FILE`` |
| variable ``adbreak_delivery_keys``: the folder of the signing keys | ``ADBREAK_DELIVERY_KEYS`` |
| variables ``adbreak_compute``, ``adbreak_cloud_config``: where trainings run, and on which machines | ``ADBREAK_COMPUTE``, ``ADBREAK_CLOUD_CONFIG`` |
"""  # noqa: E501 (a table)

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

TELEMETRY_OFF = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "SCARF_ANALYTICS": "false",
}
DEVICE_FIELDS = ("host_key", "key_file", "private_key", "board", "work_dir", "python", "wheels")


def command_environment(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a command: the worker's own without Airflow's settings, and what the table says."""
    inherited = {name: value for name, value in os.environ.items() if not _belongs_to_airflow(name)}
    aws = aws_environment()
    mlflow = mlflow_environment(aws.get("AWS_ENDPOINT_URL") or inherited.get("AWS_ENDPOINT_URL"))
    device = device_environment(spec["device"]) if spec.get("device") else {}
    return {**inherited, **TELEMETRY_OFF, **variables_environment(), **aws, **mlflow, **device, "PYTHONUNBUFFERED": "1"}


def data_root() -> str:
    """Return the bucket's address (or a folder) that the variable ``adbreak_bucket`` names."""
    value = str(Variable.get("adbreak_bucket")).rstrip("/")
    return value if "://" in value or value.startswith("/") else f"s3://{value}"


def variables_environment() -> dict[str, str]:
    """Return what Airflow's variables say."""
    return _present(
        ADBREAK_DATA_DIR=data_root(),
        ADBREAK_WORK_DIR=Variable.get("adbreak_work_dir", default=None),
        ADBREAK_ALERTS_FILE=Variable.get("adbreak_alerts_file", default=None),
        ADBREAK_DELIVERY_KEYS=Variable.get("adbreak_delivery_keys", default=None),
        ADBREAK_COMPUTE=Variable.get("adbreak_compute", default=None),
        ADBREAK_CLOUD_CONFIG=Variable.get("adbreak_cloud_config", default=None),
    )


def aws_environment() -> dict[str, str]:
    """Return the bucket's credentials. Raises AirflowFailException for a role that would have to be assumed."""
    connection = _connection("aws_default")
    if connection is None:
        return {}
    extra = connection.extra_dejson
    if extra.get("role_arn"):
        raise AirflowFailException(
            "the connection aws_default names a role_arn, which the commands cannot assume: give the workers the role "
            "itself and leave the connection without it, or store an access key as login and password"
        )
    return _present(
        AWS_ACCESS_KEY_ID=connection.login,
        AWS_SECRET_ACCESS_KEY=connection.password,
        AWS_SESSION_TOKEN=extra.get("aws_session_token"),
        AWS_PROFILE=extra.get("profile_name"),
        AWS_DEFAULT_REGION=extra.get("region_name"),
        AWS_ENDPOINT_URL=extra.get("endpoint_url"),
    )


def mlflow_environment(s3_endpoint_url: str | None) -> dict[str, str]:
    """Return where models are tracked and registered."""
    connection = _connection("mlflow_default")
    if connection is None:
        return {}
    return _present(
        MLFLOW_TRACKING_URI=_tracking_uri(connection),
        MLFLOW_TRACKING_USERNAME=connection.login,
        MLFLOW_TRACKING_PASSWORD=connection.password,
        MLFLOW_S3_ENDPOINT_URL=s3_endpoint_url,
    )


def device_environment(name: str) -> dict[str, str]:
    """Return how device ``name`` is reached. Raises AirflowFailException when it has no connection."""
    connection = _connection(f"device_{name}")
    if connection is None:
        raise AirflowFailException(f"device {name!r} has no connection: add one named device_{name} of type ssh")
    extra = connection.extra_dejson
    description = {"host": connection.host, "port": connection.port or 22, "user": connection.login}
    description.update({field: extra[field] for field in DEVICE_FIELDS if extra.get(field)})
    return {"ADBREAK_DEVICE_" + name.upper().replace("-", "_"): json.dumps(description)}


def _tracking_uri(connection: Connection) -> str | None:
    if tracking_uri := connection.extra_dejson.get("tracking_uri"):
        return str(tracking_uri)
    if not connection.host:
        return None
    address = connection.host if "://" in connection.host else f"{connection.schema or 'http'}://{connection.host}"
    return address if urlsplit(address).port or not connection.port else f"{address}:{connection.port}"


def _connection(name: str) -> Connection | None:
    try:
        return Connection.get(name)
    except AirflowNotFoundException:
        return None


def _belongs_to_airflow(name: str) -> bool:
    return name.startswith(("AIRFLOW_", "_AIRFLOW_")) and not name.startswith("AIRFLOW_CTX_")


def _present(**values: Any) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value}
