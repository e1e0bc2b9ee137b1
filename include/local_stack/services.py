"""What runs in the stack: each service's command, environment and sign of being ready.

services = Services(place, ports, settings, compute="ec2-spot")
supervisor.start(services.s3())
"""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property, partial

from local_stack.airflow_api import AirflowApi, ApiError
from local_stack.bucket import CREDENTIALS
from local_stack.delivery import keys_folder
from local_stack.device_server import BOARD, USER, make_keys
from local_stack.ports import HOST
from local_stack.settings_file import AirflowSettings
from local_stack.supervisor import Service
from local_stack.workplace import Workplace, write_json

BUCKET = "adbreak"
LOCAL, EC2_SPOT = COMPUTES = ("local", "ec2-spot")  # where trainings run
MLFLOW_BUCKET = "mlflow"
ADMIN = "admin"
TASKS_AT_ONCE = 4
FOREIGN = ("AIRFLOW", "AWS_", "MLFLOW_", "ADBREAK_", "PYTHON", "VIRTUAL_ENV", "GIT_", "MAKE", "RECORDINGS", "LABELS")
NO_TELEMETRY = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "SCARF_ANALYTICS": "false",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
AIRFLOW_PARTS = {  # name in the health report: command
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag_processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


@dataclass(frozen=True)
class Services:
    """The services of one stack, on its ports."""

    place: Workplace
    ports: dict[str, int]
    settings: AirflowSettings
    compute: str = LOCAL

    def url(self, service: str) -> str:
        """Return a service's address."""
        return f"http://{HOST}:{self.ports[service]}"

    @cached_property
    def base_environment(self) -> dict[str, str]:
        """The caller's environment without what would lead the services elsewhere (other clouds, other Airflows)."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        hosts = f"{HOST},localhost"
        no_proxy = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), hosts]))
        mac = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"} if sys.platform == "darwin" else {}
        return {**kept, **NO_TELEMETRY, **mac, "NO_PROXY": no_proxy, "no_proxy": no_proxy, "PYTHONUNBUFFERED": "1"}

    @property
    def storage_environment(self) -> dict[str, str]:
        """What a program needs to find the bucket and the MLflow server of this stack."""
        return {
            "AWS_ENDPOINT_URL": self.url("s3"),
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
            "AWS_DEFAULT_REGION": CREDENTIALS["region_name"],
            "MLFLOW_S3_ENDPOINT_URL": self.url("s3"),
        }

    @property
    def cloud_environment(self) -> dict[str, str]:
        """What a program needs to find the simulated EC2; nothing where trainings are local."""
        if self.compute == LOCAL:
            return {}
        return {f"AWS_ENDPOINT_URL_{name}": self.url("ec2") for name in ("EC2", "IAM", "SSM", "STS")}

    @property
    def cloud_config(self) -> str:
        """The cloud's config, with the simulated account in it; empty where trainings are local."""
        return "" if self.compute == LOCAL else str(self.place.state / "ec2" / "cloud.yaml")

    @property
    def command_environment(self) -> dict[str, str]:
        """The environment of a command of ``ml_training`` that the launcher itself runs."""
        return {
            **self.base_environment,
            **self.storage_environment,
            **self.cloud_environment,
            "ADBREAK_COMPUTE": self.compute,
            "ADBREAK_CLOUD_CONFIG": self.cloud_config,
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "ADBREAK_DATA_DIR": f"s3://{BUCKET}",
            "ADBREAK_WORK_DIR": str(self.place.state / "work"),
            "ADBREAK_DELIVERY_KEYS": str(keys_folder(self.place)),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }

    def s3(self) -> Service:
        """The S3 server; keeps its objects in ``s3/``."""
        folder = self.place.state / "s3"
        environment = {
            **self.base_environment,
            "GATEWAY_PORT": str(self.ports["s3"]),
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "SERVICES": "s3",
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "objects"),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        command = [str(self.place.python("stack")), "-m", "ministack"]
        return Service(
            "s3", command, environment, lambda: answers(f"{self.url('s3')}/_ministack/health"), stops_last=True
        )

    def mlflow(self) -> Service:
        """The tracking server and registry, on SQLite, with its artifacts in the bucket ``mlflow``."""
        command = [
            *(str(self.place.python("ml")), "-m", "mlflow", "server", "--workers", "1"),
            *("--host", HOST, "--port", str(self.ports["mlflow"])),
            *("--backend-store-uri", f"sqlite:///{self.place.state / 'mlflow' / 'mlflow.db'}"),
            *("--artifacts-destination", f"s3://{MLFLOW_BUCKET}/"),
        ]
        environment = {
            **self.base_environment,
            **self.storage_environment,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 8 processes and 500 MB less
        }
        return Service("mlflow", command, environment, lambda: answers(f"{self.url('mlflow')}/health"), stops_last=True)

    def device(self) -> Service:
        """The simulated Raspberry Pi."""
        command = [
            *(str(self.place.python("stack")), "-m", "local_stack.device_server"),
            *("--folder", str(self.place.state / "device"), "--port", str(self.ports["device"])),
        ]
        environment = {**self.base_environment, "PYTHONPATH": str(self.place.root / "include")}
        return Service("device", command, environment, lambda: listens(self.ports["device"]))

    def ec2(self) -> Service:
        """The simulated EC2, whose machines train in processes here and find bucket and MLflow of this stack."""
        found_there = {"MLFLOW_TRACKING_URI": self.url("mlflow"), "MLFLOW_S3_ENDPOINT_URL": self.url("s3")}
        command = [
            *(str(self.place.python("stack")), "-m", "local_stack.ec2", "--folder", str(self.place.state / "ec2")),
            *("--port", str(self.ports["ec2"]), "--s3-url", self.url("s3")),
            *("--settings", json.dumps({"environment": found_there}), "--remove-disks"),
        ]
        environment = {**self.base_environment, "PYTHONPATH": str(self.place.root / "include")}
        return Service("ec2", command, environment, lambda: answers(f"{self.url('ec2')}/_machines"))

    def airflow_migrate_command(self) -> list[str]:
        """The command that makes or updates Airflow's database."""
        return self.airflow_command("db", "migrate")

    def airflow_server(self) -> Service:
        """Airflow's API server and UI."""
        command = self.airflow_command(
            "api-server", "--host", HOST, "--port", str(self.ports["airflow"]), "--workers", "1"
        )
        return Service(
            "airflow-api-server",
            command,
            self.airflow_environment,
            lambda: answers(f"{self.url('airflow')}/api/v2/version"),
        )

    def airflow_parts(self) -> list[Service]:
        """The scheduler, the DAG processor and the triggerer; each is ready when the API server says so."""
        return [
            Service(
                f"airflow-{arguments[0]}",
                self.airflow_command(*arguments),
                self.airflow_environment,
                partial(self._healthy, part),
            )
            for part, arguments in AIRFLOW_PARTS.items()
        ]

    def api(self) -> AirflowApi:
        """A client of Airflow's REST API."""
        return AirflowApi(self.url("airflow"), ADMIN, self.place.credentials()["password"])

    def airflow_command(self, *arguments: str) -> list[str]:
        """A command of Airflow's command line."""
        return [str(self.place.python("airflow")), "-m", "airflow", *arguments]

    def _healthy(self, part: str) -> bool:
        try:
            return self.api().health().get(part, {}).get("status") == "healthy"
        except ApiError:
            return False

    @cached_property
    def airflow_environment(self) -> dict[str, str]:
        """Airflow's settings, with the connections and variables of ``airflow_settings.yaml``."""
        home = self.place.state / "airflow"
        keys = self.place.credentials()
        passwords = home / "passwords.json"
        write_json(passwords, {ADMIN: keys["password"]}, mode=0o600)
        return {
            **self.base_environment,
            **self.cloud_environment,
            **self._reaper_environment(),
            **self.settings.environment(self._connections(), self._variables()),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__BASE_URL": self.url("airflow"),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.ports["airflow"]),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": keys["jwt"],
            "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.place.root / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url('airflow')}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.place.root / "plugins"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "ADBREAK_ML_PYTHON": str(self.place.python("ml")),
            "SPT_NOENV": "1",  # Airflow renames its processes; without this that erases the mark in their environment
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }

    def _reaper_environment(self) -> dict[str, str]:
        """Where the reaper may ask whether the run of a machine still lives."""
        if self.compute == LOCAL:
            return {}
        password = self.place.credentials()["password"]
        return {
            "ADBREAK_AIRFLOW_URL": self.url("airflow"),
            "ADBREAK_AIRFLOW_USER": ADMIN,
            "ADBREAK_AIRFLOW_PASSWORD": password,
        }

    def _connections(self) -> dict[str, dict[str, object]]:
        device = self.place.state / "device"
        return {
            "aws_default": {
                "login": CREDENTIALS["aws_access_key_id"],
                "password": CREDENTIALS["aws_secret_access_key"],
                "extra": {
                    "endpoint_url": self.url("s3"),
                    "region_name": CREDENTIALS["region_name"],
                    "config_kwargs": {"s3": {"addressing_style": "path"}},
                },
            },
            "mlflow_default": {"host": HOST, "schema": "http", "port": self.ports["mlflow"]},
            "device_pi_local": {
                "conn_type": "ssh",
                "host": HOST,
                "port": self.ports["device"],
                "login": USER,
                "extra": {
                    "host_key": make_keys(device),
                    "key_file": str(device / "login_key"),
                    "board": BOARD,
                    "work_dir": BUCKET,
                    "simulated": True,
                },
            },
        }

    def _variables(self) -> dict[str, str]:
        return {
            "adbreak_bucket": BUCKET,
            "adbreak_compute": self.compute,
            "adbreak_cloud_config": self.cloud_config,
            "adbreak_work_dir": str(self.place.state / "work"),
            "adbreak_alerts_file": str(self.place.state / "alerts.jsonl"),
            "adbreak_delivery_keys": str(keys_folder(self.place)),
            "adbreak_devices": "pi_local",
            "adbreak_gate_policy": "local",
            "adbreak_promotion_approval": "automatic",
            "adbreak_data_docs_url": self.url("docs"),
        }


def answers(url: str) -> bool:
    """Tell whether a server answers with success."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def listens(port: int) -> bool:
    """Tell whether something accepts connections on ``port``."""
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
