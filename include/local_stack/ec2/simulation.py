"""A whole simulated EC2 on loopback: the API, its faults, its market, and real machines behind its instances.

    with SimulatedEc2(Path("/tmp/ec2")) as ec2:
        os.environ.update(ec2.environment)              # AWS_ENDPOINT_URL_EC2, ADBREAK_CLOUD_CONFIG, credentials ...
        ec2.faults.lose_next_answer("CreateFleet")
        ec2.market.no_capacity(instance_type="g6.xlarge")
        ec2.machines.notice(instance_id, seconds=2)
        ec2.gates["machines"].cut(60)                   # they reach no bucket for a minute

It needs the environment `stack`; ``local_stack.ec2.remote`` starts it from any other. Without ``s3_url`` the same
server is the S3 too, in memory. Nothing of it stays when the context ends, or when this process is killed.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import yaml
from botocore.config import Config

from local_stack.bucket import CREDENTIALS
from local_stack.ec2.api import Api
from local_stack.ec2.backend import Backend
from local_stack.ec2.controls import controls
from local_stack.ec2.faults import Faults
from local_stack.ec2.gate import Gate
from local_stack.ec2.machines import Machines, Timing
from local_stack.ec2.market import Market
from local_stack.ports import HOST
from local_stack.processes import TAG_VARIABLE, dismiss_watchdog, end_all, start_watchdog
from local_stack.workplace import ROOT

CLOUD_CONFIG = ROOT / "include" / "configs" / "cloud" / "ec2_spot.yaml"
LOCK = ROOT / "requirements-ml.txt"
ML_ENVIRONMENT = ROOT / ".venv" / "ml"
ZONES = 3
ROLE = "adbreak-trainer"


class SimulatedEc2:
    """Runs until the context ends; see the module."""

    gates: dict[str, Gate]  # the ways to the bucket: of machines, and of launchers
    faults: Faults
    market: Market
    machines: Machines
    backend: Backend

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        s3_url: str | None = None,
        timing: Timing | None = None,
        settings: dict[str, Any] | None = None,
        machine_environment: dict[str, str] | None = None,
        keep_disks: bool = True,
    ) -> None:
        """``settings`` overrides keys of the cloud's config, ``machine_environment`` is added on each machine.

        With ``keep_disks`` a machine's files stay for a look; else they go with it.
        """
        self._keep_disks = keep_disks
        self.folder = folder.absolute()
        self.config_path = self.folder / "cloud.yaml"
        self._given = settings or {}
        self._settings = {**yaml.safe_load(CLOUD_CONFIG.read_text()), "simulated": True, **self._given}
        self._port, self._s3_url, self._timing = port, s3_url, timing or Timing()
        self._machine_environment = machine_environment or {}
        self._exits = ExitStack()

    def __enter__(self) -> "SimulatedEc2":
        self.folder.mkdir(parents=True, exist_ok=True)
        region = str(self._settings["region"])
        prices = {one["instance_type"]: float(one["on_demand_usd_per_hour"]) for one in self._settings["candidates"]}
        with ExitStack() as exits:
            tag = exits.enter_context(_mark(self.folder))
            self.backend = Backend(region)
            self.faults = Faults()
            self.market = Market(prices, [f"{region}{letter}" for letter in "abcdef"[:ZONES]])
            api = exits.enter_context(Api(self.backend, self.market, self.faults, port=self._port))
            self.url = api.url
            self.gates = {who: exits.enter_context(Gate(self._s3_url or api.url)) for who in ("machines", "launchers")}
            environment = {**self._on_machines(region), TAG_VARIABLE: tag}
            self.machines = Machines(
                self.backend,
                self.folder / "machines",
                environment=environment,
                image={f"venv-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}": ML_ENVIRONMENT},
                timing=self._timing,
                keep_disks=self._keep_disks,
            )
            exits.enter_context(self.machines)
            self._make_account(region)
            api.controls.update(controls(self.backend, self.faults, self.market, self.machines, self.gates))
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a launcher's environment needs to work with this EC2 instead of Amazon's."""
        return {
            "ADBREAK_COMPUTE": "ec2-spot",
            "ADBREAK_CLOUD_CONFIG": str(self.config_path),
            "AWS_ENDPOINT_URL": self.gates["launchers"].url,
            **{f"AWS_ENDPOINT_URL_{name}": self.url for name in ("EC2", "IAM", "SSM", "STS")},
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
            "AWS_DEFAULT_REGION": CREDENTIALS["region_name"],
            "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost",
        }

    def facts(self) -> dict[str, Any]:
        """Return the addresses, for another process."""
        return {"url": self.url, "folder": str(self.folder), "environment": self.environment}

    def _on_machines(self, region: str) -> dict[str, str]:
        """Return the environment of what runs on a machine; its credentials come from its metadata service."""
        return {
            "AWS_ENDPOINT_URL": self.gates["machines"].url,
            "AWS_DEFAULT_REGION": CREDENTIALS["region_name"],
            "LANG": "C.UTF-8",
            "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **self._machine_environment,
        }

    def _make_account(self, region: str) -> None:
        """Make what a launch needs (role, image, network), and write the config that names it."""
        clients = {
            name: boto3.client(
                name, endpoint_url=self.url, config=Config(proxies={}), **{**CREDENTIALS, "region_name": region}
            )
            for name in ("ec2", "iam")
        }
        clients["iam"].create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
        clients["iam"].create_instance_profile(InstanceProfileName=ROLE)
        clients["iam"].add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
        ec2 = clients["ec2"]
        image = ec2.register_image(Name="simulated", Architecture="x86_64", RootDeviceName="/dev/sda1")["ImageId"]
        network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = ec2.create_security_group(GroupName="adbreak", Description="from itself only", VpcId=network)
        itself = [{"GroupId": group["GroupId"]}]
        among = {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "UserIdGroupPairs": itself}
        ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[among])
        subnets = {found["AvailabilityZone"]: found["SubnetId"] for found in ec2.describe_subnets()["Subnets"]}
        config = {
            **self._settings,
            "candidates": [{**one, "gpus": 0} for one in self._settings["candidates"]],  # nothing here has one
            "image": image,
            "instance_profile": ROLE,
            "security_groups": [group["GroupId"]],
            "subnets": {zone: subnets[zone] for zone in self.market.zones},
        }
        self.config_path.write_text(yaml.safe_dump({**config, **self._given}, sort_keys=False))


@contextmanager
def _mark(folder: Path) -> Iterator[str]:
    """Give the mark that every process on a machine carries, and somebody who ends them when this one is killed."""
    if of_a_stack := os.environ.get(TAG_VARIABLE):
        yield of_a_stack
        return
    tag = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    end_all(tag, grace_seconds=0)  # what a killed simulation and a killed watchdog left
    watchdog = start_watchdog(tag, ROOT)
    try:
        yield tag
    finally:
        end_all(tag, grace_seconds=0)
        dismiss_watchdog(watchdog)
