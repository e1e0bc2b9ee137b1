"""The environment, read in one place.

    settings = read_settings()
    settings.data_dir        # 's3://adbreak', or a folder with the same layout

| variable | meaning | default |
| --- | --- | --- |
| ADBREAK_DATA_DIR | bucket (``s3://name``) or folder that holds recordings, frames, datasets, models | ``data`` |
| ADBREAK_WORK_DIR | folder for downloads, caches and half-done work; may be deleted | ``~/.cache/adbreak`` |
| ADBREAK_CONFIG_DIR | folder with the YAML configs | ``include/configs`` |
| AWS_ENDPOINT_URL | another S3 API than Amazon's | none |
| MLFLOW_TRACKING_URI | the MLflow server | none: nothing is tracked |
| ADBREAK_ALERTS_FILE | file that alerts are appended to, as JSON lines | none: only logged |
| ADBREAK_DELIVERY_KEYS | folder with the keys that sign what devices get | none: nothing is published |
| ADBREAK_COMPUTE | where the night trains: ``local``, or ``ec2-spot`` | ``local`` |
| ADBREAK_JOB, ADBREAK_ATTEMPT | the job and the attempt that this process works for, on a machine of the cloud | none |
| ADBREAK_GPUS | GPUs that the machine was taken for: a training that sees none there fails | 0 |
| ADBREAK_STORAGE_ATTEMPTS | times that a request to the bucket is made before it fails | 5 |
| AWS_EC2_METADATA_SERVICE_ENDPOINT | address of the instance metadata service | ``http://169.254.169.254`` |
| ADBREAK_CLOUD_CONFIG | the cloud's config, by its name in ``configs/cloud`` or its path | ``ec2_spot`` |
| ADBREAK_AIRFLOW_URL | Airflow's API, which the reaper asks whether a run still lives | none: it is not asked |
| ADBREAK_AIRFLOW_TOKEN | a token of that API; or ADBREAK_AIRFLOW_USER and ADBREAK_AIRFLOW_PASSWORD | none |
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """What the environment says; see the table above."""

    model_config = ConfigDict(frozen=True)

    data_dir: str = "data"
    work_dir: Path = Path.home() / ".cache" / "adbreak"
    config_dir: Path = Path(__file__).resolve().parents[2] / "configs"
    aws_endpoint_url: str | None = None
    mlflow_tracking_uri: str | None = None
    alerts_file: Path | None = None
    delivery_keys: Path | None = None
    compute: str = "local"
    cloud_config: str = "ec2_spot"
    airflow_url: str | None = None
    airflow_token: str | None = None
    airflow_user: str | None = None
    airflow_password: str | None = None
    job: str | None = None
    attempt: int | None = None
    gpus: int = 0
    storage_attempts: int = 5
    metadata_endpoint: str = "http://169.254.169.254"


VARIABLES = {
    "data_dir": "ADBREAK_DATA_DIR",
    "work_dir": "ADBREAK_WORK_DIR",
    "config_dir": "ADBREAK_CONFIG_DIR",
    "aws_endpoint_url": "AWS_ENDPOINT_URL",
    "mlflow_tracking_uri": "MLFLOW_TRACKING_URI",
    "alerts_file": "ADBREAK_ALERTS_FILE",
    "delivery_keys": "ADBREAK_DELIVERY_KEYS",
    "compute": "ADBREAK_COMPUTE",
    "cloud_config": "ADBREAK_CLOUD_CONFIG",
    "airflow_url": "ADBREAK_AIRFLOW_URL",
    "airflow_token": "ADBREAK_AIRFLOW_TOKEN",
    "airflow_user": "ADBREAK_AIRFLOW_USER",
    "airflow_password": "ADBREAK_AIRFLOW_PASSWORD",
    "job": "ADBREAK_JOB",
    "attempt": "ADBREAK_ATTEMPT",
    "gpus": "ADBREAK_GPUS",
    "storage_attempts": "ADBREAK_STORAGE_ATTEMPTS",
    "metadata_endpoint": "AWS_EC2_METADATA_SERVICE_ENDPOINT",
}


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that ``environment`` (default: the process's) gives; empty variables count as absent."""
    source = os.environ if environment is None else environment
    return Settings(**{name: source[key] for name, key in VARIABLES.items() if source.get(key)})


def device_credentials(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the JSON that describes device ``name`` (``ADBREAK_DEVICE_<NAME>``), as Airflow's connection gives it."""
    source = os.environ if environment is None else environment
    return source.get("ADBREAK_DEVICE_" + name.upper().replace("-", "_"))
