"""Makes the instances of the simulated EC2 real: looks at their states again and again, and does what they say.

    with Machines(backend, folder, environment=..., timing=Timing(boot_seconds=5)) as machines:
        machines.notice(instance_id)             # a spot notice: two minutes, or Timing.notice_seconds
        machines.kill(instance_id, "trainer")
        machines.facts()                         # every machine there was, with what it ran and when it ended

A pending instance comes to run, and its user data with it; a shutting-down one loses its processes, and is terminated
when none is left; one whose programs have all ended runs on, as a real one would, until somebody ends it.
"""

import logging
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models.instances import Instance

from local_stack.ec2.backend import Backend
from local_stack.ec2.machine import Machine
from local_stack.ec2.metadata import MetadataService

LOOK_SECONDS = 0.1
END_SECONDS = 20.0  # SIGKILL takes effect at once, unless the disk hangs
INTERRUPTED = ("Server.SpotInstanceTermination", "Spot instance termination")
SHUT_ITSELF_DOWN = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
CREDENTIALS_HOURS = 6

logger = logging.getLogger(__name__)


@dataclass
class Timing:
    """How long things take; a real machine boots in a minute or two and is told of its end two minutes before."""

    pending_seconds: float = 0.2
    boot_seconds: float = 0.2  # from running to the first line of the user data
    notice_seconds: float = 120.0
    shutdown_seconds: float = 0.2  # from shutting-down to terminated, at least
    minute_seconds: float = 60.0  # what `shutdown +1` waits


@dataclass
class Behind:
    """What stands behind one instance, and when what happened to it."""

    machine: Machine
    service: MetadataService
    times: dict[str, datetime] = field(default_factory=dict)
    interrupted_at: float | None = None
    ending_since: float | None = None

    def at(self, event: str) -> None:
        """Note that something has happened now, the first time."""
        self.times.setdefault(event, datetime.now(UTC))


class Machines:
    """Runs the machines until the context ends; then none is left."""

    def __init__(
        self,
        backend: Backend,
        folder: Path,
        *,
        environment: dict[str, str],
        image: Mapping[str, Path] | None = None,
        timing: Timing | None = None,
        keep_disks: bool = True,
    ) -> None:
        """``image`` is what a new machine's disk has; a disk that is not kept goes with its machine, as in EC2."""
        self.timing = timing or Timing()
        self._image, self._keep_disks = image or {}, keep_disks
        self._backend, self._folder, self._environment = backend, folder, environment
        self._behind: dict[str, Behind] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again, daemon=True)

    def __enter__(self) -> "Machines":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        left = [behind for behind in self._behind.values() if "terminated" not in behind.times]
        deadline = time.monotonic() + END_SECONDS
        while [behind for behind in left if not behind.machine.end()] and time.monotonic() < deadline:
            time.sleep(0.02)
        for behind in left:
            behind.service.close()
            if not self._keep_disks:
                behind.machine.remove_disk()

    def notice(self, instance_id: str, seconds: float | None = None) -> None:
        """Tell a spot machine that it will be taken away, and take it away so many seconds later."""
        behind = self._of(instance_id)
        wait = self.timing.notice_seconds if seconds is None else seconds
        when = (datetime.now(UTC) + timedelta(seconds=wait)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if wait > 0:
            behind.service.put("spot/instance-action", {"action": "terminate", "time": when})
            behind.service.put("spot/termination-time", when)
        behind.at("notice")
        behind.interrupted_at = time.monotonic() + wait

    def recommend_rebalance(self, instance_id: str) -> None:
        """Tell a machine that it is more likely than before to be taken away."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._of(instance_id).service.put("events/recommendations/rebalance", {"noticeTime": now})

    def kill(self, instance_id: str, who: str) -> list[int]:
        """Kill the ``trainer``, the ``supervisor`` or ``all``; the instance runs on."""
        return self._of(instance_id).machine.kill(who)

    def freeze(self, instance_id: str, who: str = "all") -> list[int]:
        """Stop processes without ending them: a machine that hangs."""
        return self._of(instance_id).machine.kill(who, signal.SIGSTOP)

    def facts(self) -> list[dict[str, Any]]:
        """Return every machine there was, oldest first."""
        found = []
        for instance in self._backend.instances():
            behind = self._behind.get(instance.id)
            times = {"launched": instance.launch_time.replace(tzinfo=UTC), **(behind.times if behind else {})}
            found.append(
                {
                    "instance_id": instance.id,
                    "state": instance.state,
                    "reason": instance.state_reason.code,
                    "instance_type": instance.instance_type,
                    "zone": instance.availability_zone,
                    "market": instance.lifecycle or "on-demand",
                    "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
                    "times": {name: when.isoformat() for name, when in times.items()},
                    **(behind.machine.facts() if behind else {}),
                }
            )
        return found

    def processes(self, instance_id: str) -> list[dict[str, Any]]:
        """Return what runs on a machine; nothing as long as EC2 has only just promised it."""
        if instance_id not in self._behind and self._backend.instance(instance_id) is not None:
            return []
        return self._of(instance_id).machine.running()

    def _of(self, instance_id: str) -> Behind:
        if instance_id not in self._behind:
            raise LookupError(f"there is no machine behind {instance_id!r}")
        return self._behind[instance_id]

    def _look_again_and_again(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for instance in self._backend.instances():
                try:
                    self._look_at(instance)
                except Exception:  # one machine that cannot be started must not keep the others from their end
                    logger.exception("%s", instance.id)

    def _look_at(self, instance: Instance) -> None:
        if instance.id not in self._behind:
            self._behind[instance.id] = self._begin(instance)
        self._step(instance, self._behind[instance.id])

    def _begin(self, instance: Instance) -> Behind:
        folder = self._folder / instance.id
        folder.mkdir(parents=True, exist_ok=True)
        required = instance.metadata_options.http_tokens == "required"
        service = MetadataService(self._metadata(instance), tokens_required=required)
        service.start()
        machine = Machine(instance.id, folder, image=self._image, minute_seconds=self.timing.minute_seconds)
        behind = Behind(machine, service)
        if instance.state == "running":  # moto's own launch, by RunInstances
            self._backend.set_state(instance, "pending")
        return behind

    def _step(self, instance: Instance, behind: Behind) -> None:
        """Do what an instance's state says, and change it where its time has come."""
        age = self._backend.age(instance)
        if instance.state == "pending" and age >= self.timing.pending_seconds:
            self._backend.set_state(instance, "running")
            behind.at("running")
        elif instance.state == "running":
            self._while_running(instance, behind, age)
        elif instance.state == "shutting-down":
            behind.at("ending")
            behind.ending_since = behind.ending_since or time.monotonic()
            long_enough = time.monotonic() - behind.ending_since >= self.timing.shutdown_seconds
            if behind.machine.end() and long_enough:
                behind.service.close()
                if not self._keep_disks:
                    behind.machine.remove_disk()
                behind.at("terminated")
                self._backend.set_state(instance, "terminated")

    def _while_running(self, instance: Instance, behind: Behind, age: float) -> None:
        if "booted" not in behind.times and age >= self.timing.pending_seconds + self.timing.boot_seconds:
            behind.at("booted")
            environment = {**self._environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT": behind.service.endpoint}
            user_data = Base64EncodedString(str(instance.user_data)).decode() if instance.user_data else ""
            behind.machine.boot(user_data, environment)
        if behind.interrupted_at is not None and time.monotonic() >= behind.interrupted_at:
            self._backend.set_state(instance, "shutting-down", *INTERRUPTED)
        elif behind.machine.wanted_shutdown():
            behind.at("shut itself down")
            self._backend.set_state(instance, "shutting-down", *SHUT_ITSELF_DOWN)

    def _metadata(self, instance: Instance) -> dict[str, Any]:
        """Return what the metadata service of an instance says from the beginning."""
        tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
        shown = tags if instance.metadata_options.instance_metadata_tags == "enabled" else {}
        role = "adbreak-trainer"
        expires = datetime.now(UTC) + timedelta(hours=CREDENTIALS_HOURS)
        credentials = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": "test",
            "SecretAccessKey": "test",
            "Token": "simulated",
            "LastUpdated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return {
            "ami-id": instance.image_id,
            "instance-id": instance.id,
            "instance-life-cycle": instance.lifecycle or "on-demand",
            "instance-type": instance.instance_type,
            "local-ipv4": "127.0.0.1",
            "local-hostname": "localhost",
            "placement/availability-zone": instance.availability_zone,
            "placement/region": self._backend.region,
            "iam/security-credentials/": role,
            f"iam/security-credentials/{role}": credentials,
            **{f"tags/instance/{name}": value for name, value in shown.items()},
        }
