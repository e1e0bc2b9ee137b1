"""Moto's EC2 in this process: the instances of one account, and the lock that every look and change takes.

    backend = Backend("us-east-2")
    with backend.lock:
        for instance in backend.instances(): ...

Moto lets an instance run at once and end at once; here its state follows the machine behind it.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models.instances import Instance, StateReason
from moto.ec2.models.tags import TagBackend

STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
GONE = ("shutting-down", "terminated")
WILDCARDS = frozenset("*?[")


class Backend:
    """The state of one region of the simulated account; a new one begins empty."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.lock = threading.RLock()
        self.visibility_seconds = 0.0  # a new instance is not seen by those who look for it
        self._seen: dict[str, float] = {}
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # a thousand images that nobody asks for
        for service in ("ec2", "iam", "ssm"):
            get_backend(service)[DEFAULT_ACCOUNT_ID].reset()
        self.ec2: Any = get_backend("ec2")[DEFAULT_ACCOUNT_ID][region]
        self.ec2.describe_tags = self._describe_tags

    def instances(self) -> list[Instance]:
        """Return all instances, also those that are gone."""
        with self.lock:
            return [found for reservation in self.ec2.reservations.values() for found in reservation.instances]

    def instance(self, instance_id: str) -> Instance | None:
        """Return one instance, None when there is none of this id."""
        return next((found for found in self.instances() if found.id == instance_id), None)

    def age(self, instance: Instance) -> float:
        """Return the seconds since an instance was first seen here."""
        return time.monotonic() - self._seen.setdefault(instance.id, time.monotonic())

    @contextmanager
    def as_seen_by_callers(self) -> Iterator[None]:
        """Hold the lock, without the instances that are too new to be seen."""
        with self.lock:
            everything: OrderedDict[str, Any] = self.ec2.reservations
            young = {
                key
                for key, reservation in everything.items()
                if any(self.age(instance) < self.visibility_seconds for instance in reservation.instances)
            }
            seen = OrderedDict((key, value) for key, value in everything.items() if key not in young)
            self.ec2.reservations = seen
            try:
                yield
            finally:
                self.ec2.reservations = everything
                everything.update(seen)  # what was launched meanwhile

    def set_state(self, instance: Instance, state: str, code: str = "", message: str = "") -> None:
        """Let an instance be in a state, and say why in the words of EC2."""
        with self.lock:
            if state == "terminated" and instance.state != "terminated":
                reason = (instance._reason, instance.state_reason)
                instance.terminate()  # also removes its volumes and its network interface
                instance._reason, instance.state_reason = reason
            instance._state.name, instance._state.code = state, STATES[state]
            if code:
                instance._reason = f"{code} ({time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())})"
                instance.state_reason = StateReason(f"{code}: {message}", code)

    def _describe_tags(self, filters: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
        """Answer as moto does, from the resources that are named: moto asks for one at a time and looks at all."""
        named = (filters or {}).get("resource-id", [])
        looked_at = TagBackend()
        if named and not any(WILDCARDS.intersection(name) for name in named):
            looked_at.tags = {name: self.ec2.tags[name] for name in named if name in self.ec2.tags}
        else:
            looked_at.tags = self.ec2.tags
        return looked_at.describe_tags(filters)
