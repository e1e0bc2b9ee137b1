"""The door to EC2: machines that are asked for once, found again by their tags, and ended.

    ec2 = Ec2(load_cloud_config())
    machine = ec2.launch(request)                     # the same request again gives the same machine
    ec2.find({"adbreak:job": "3f9c2d1a7b60"})         # in every state, until EC2 forgets them
    ec2.terminate([machine.instance_id])              # again is no error

Every call retries what is throttled or does not answer, and then raises CloudUnreachable: nothing is known. Another
address than Amazon's comes from ``AWS_ENDPOINT_URL_EC2``, as boto3 reads it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from ml_training.cloud import launching
from ml_training.cloud.ec2_errors import GONE, ec2_errors, worst
from ml_training.cloud.jobs import Market
from ml_training.cloud.launching import LONGEST_TAG, PROJECT, LaunchRequest
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import CloudError, CloudMisconfigured, CloudUnreachable

VISIBLE_SECONDS = 20.0  # so long a new machine may be missing in what EC2 lists
FIRST_PAUSE_SECONDS = 0.5
PAGE_SIZE = 200  # the most launch templates that EC2 lists at once
LIVING = {"pending", "running", "stopping", "stopped", "shutting-down"}  # all but terminated: a disk bills too
IDENTITY = ("adbreak:job", "adbreak:job-uri", "adbreak:attempt")  # the tags by which one request's machine is found
SAME_TOKEN_OTHER_REQUEST = "IdempotentParameterMismatch"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instance:
    """A machine, as EC2 describes it. ``state_reason`` is EC2's code, such as ``Server.SpotInstanceTermination``."""

    instance_id: str
    state: str
    instance_type: str
    zone: str
    market: Market
    launched_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    state_reason: str = ""

    @property
    def is_living(self) -> bool:
        """Tell whether it is not terminated: it may still run, write, or bill."""
        return self.state in LIVING


@dataclass(frozen=True)
class SpotPrice:
    """What a type costs in a zone now."""

    instance_type: str
    zone: str
    usd_per_hour: float
    at: datetime


@dataclass(frozen=True)
class Resource:
    """Something that a machine may leave behind: a ``volume``, ``launch-template``, ``fleet`` or ``spot-request``."""

    kind: str
    resource_id: str
    state: str
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    instance_id: str = ""  # of the machine that a spot request got


class Ec2:
    """EC2 in the region of a cloud's config."""

    def __init__(self, config: CloudConfig, *, visible_seconds: float = VISIBLE_SECONDS) -> None:
        self.config = config
        self._visible_seconds = visible_seconds

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5})
        with ec2_errors("opening a session"):
            return boto3.client("ec2", region_name=self.config.region, config=config)

    def launch(self, request: LaunchRequest, still_wanted: Callable[[], None] = lambda: None) -> Instance:
        """Ask for a machine; the same request again, by whomever, gives the same machine.

        ``still_wanted`` is called when the template is there and raises when nobody wants the machine any more. Since
        the template is deleted before another attempt begins, a request that was held up for long then finds none.
        Raises NoCapacity, CloudMisconfigured, CloudUnreachable.
        """
        self.config.require_account()
        self._require_groups(together=request.together)
        self._make_template(request)
        still_wanted()
        try:
            return self._create_fleet(request)
        except CloudError as error:
            lost = isinstance(error, CloudUnreachable) or error.code == SAME_TOKEN_OTHER_REQUEST
            found = self._wait_until_visible(request) if lost else None
            if found is not None:
                return found
            if not isinstance(error, CloudUnreachable):
                raise
            logger.warning("no answer to the request %s: asking again with the same token", request.token)
        still_wanted()
        return self._create_fleet(request)

    def find(self, tags: Mapping[str, str] | None = None) -> list[Instance]:
        """Return our machines that have these tags, oldest first, terminated ones too while EC2 remembers them."""
        wanted = {**PROJECT, **(tags or {})}
        filters = [{"Name": f"tag:{key}", "Values": [value[:LONGEST_TAG]]} for key, value in wanted.items()]
        with ec2_errors("listing machines"):
            pages = self._client.get_paginator("describe_instances").paginate(Filters=filters)
            found = [_instance(item) for page in pages for group in page["Reservations"] for item in group["Instances"]]
        return sorted(found, key=lambda instance: (instance.launched_at, instance.instance_id))

    def describe(self, instance_id: str) -> Instance | None:
        """Return one machine; None when EC2 does not know it (yet, or any more)."""
        try:
            with ec2_errors(f"describing {instance_id}"):
                answer = self._client.describe_instances(InstanceIds=[instance_id])
        except CloudError as error:
            if error.code in GONE:
                return None
            raise
        return next((_instance(item) for group in answer["Reservations"] for item in group["Instances"]), None)

    def terminate(self, instance_ids: Iterable[str]) -> None:
        """End machines; one that is gone already is no error."""
        for instance_id in instance_ids:
            try:
                with ec2_errors(f"terminating {instance_id}"):
                    self._client.terminate_instances(InstanceIds=[instance_id])
                logger.info("asked EC2 to terminate %s", instance_id)
            except CloudError as error:
                if error.code not in GONE:
                    raise

    def spot_prices(self, instance_types: Sequence[str]) -> list[SpotPrice]:
        """Return the price of each type in each zone of the region where it is sold as spot."""
        newest: dict[tuple[str, str], SpotPrice] = {}
        with ec2_errors("reading spot prices"):
            pages = self._client.get_paginator("describe_spot_price_history").paginate(
                InstanceTypes=list(instance_types),
                ProductDescriptions=["Linux/UNIX"],
                StartTime=datetime.now(UTC),
            )
            for item in (item for page in pages for item in page["SpotPriceHistory"]):
                price = _spot_price(item)
                known = newest.get((price.instance_type, price.zone))
                if known is None or known.at < price.at:
                    newest[price.instance_type, price.zone] = price
        return [newest[key] for key in sorted(newest)]

    def volumes(self) -> list[Resource]:
        """Return our disks, those of living machines too; state ``available`` is one that belongs to none."""
        return self._resources("describe_volumes", "Volumes", "volume", "VolumeId", "CreateTime")

    def templates(self) -> list[Resource]:
        """Return our launch templates; their id is their name."""
        return self._resources(
            "describe_launch_templates", "LaunchTemplates", "launch-template", "LaunchTemplateName", "CreateTime"
        )

    def fleets(self) -> list[Resource]:
        """Return our fleets that EC2 has not deleted."""
        found = self._resources("describe_fleets", "Fleets", "fleet", "FleetId", "CreateTime")
        return [fleet for fleet in found if not fleet.state.startswith("deleted")]

    def requests(self) -> list[Resource]:
        """Return our spot requests that may still get a machine, or have one."""
        found = self._resources(
            "describe_spot_instance_requests",
            "SpotInstanceRequests",
            "spot-request",
            "SpotInstanceRequestId",
            "CreateTime",
        )
        return [request for request in found if request.state in ("open", "active")]

    def delete(self, resource: Resource) -> None:
        """Delete what a machine left behind; what is gone already is no error. A fleet's machines end with it."""
        calls: dict[str, tuple[str, dict[str, Any]]] = {
            "volume": ("delete_volume", {"VolumeId": resource.resource_id}),
            "launch-template": ("delete_launch_template", {"LaunchTemplateName": resource.resource_id}),
            "fleet": ("delete_fleets", {"FleetIds": [resource.resource_id], "TerminateInstances": True}),
            "spot-request": ("cancel_spot_instance_requests", {"SpotInstanceRequestIds": [resource.resource_id]}),
        }
        name, arguments = calls[resource.kind]
        try:
            with ec2_errors(f"deleting {resource.resource_id}"):
                getattr(self._client, name)(**arguments)
        except CloudError as error:
            if error.code not in GONE:
                raise

    def delete_template(self, name: str) -> None:
        """Delete a launch template by its name: no machine comes of it any more."""
        self.delete(Resource("launch-template", name, "", datetime.now(UTC)))

    def _make_template(self, request: LaunchRequest) -> None:
        try:
            with ec2_errors(f"making the launch template {request.template}"):
                self._client.create_launch_template(**launching.template(request, self.config))
        except CloudError as error:
            if error.code != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise

    def _create_fleet(self, request: LaunchRequest) -> Instance:
        places = ", ".join(sorted({offer.instance_type for offer in request.offers}))
        doing = f"a {request.market} machine ({places})"
        with ec2_errors(doing):
            answer = self._client.create_fleet(**launching.fleet(request))
        for item in answer.get("Instances", []):
            for instance_id in item["InstanceIds"]:
                logger.info("EC2 gave %s, %s, for %s", instance_id, item.get("InstanceType"), request.token)
                return _launched(instance_id, item, request)
        raise worst(answer.get("Errors", []), doing=doing)

    def _wait_until_visible(self, request: LaunchRequest) -> Instance | None:
        """Look for the machine of a request whose answer was lost, for as long as it may be invisible."""
        tags = {key: value for key, value in request.tags.items() if key in IDENTITY}
        deadline, pause = time.monotonic() + self._visible_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                found = [machine for machine in self.find(tags) if machine.is_living]
            except CloudUnreachable:
                found = []
            if found:
                return found[0]
            if time.monotonic() + pause > deadline:
                return None
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _require_groups(self, *, together: bool) -> None:
        """Raise CloudMisconfigured where something comes in from outside, or machines cannot reach one another."""
        groups = self.config.security_groups
        with ec2_errors("reading the security groups"):
            answer = self._client.describe_security_groups(GroupIds=groups)
        rules = [(group["GroupId"], rule) for group in answer["SecurityGroups"] for rule in group["IpPermissions"]]
        for group_id, rule in rules:
            if not _is_among(groups, rule):
                raise CloudMisconfigured(
                    f"the security group {group_id} lets something in: nothing from outside talks to a training "
                    "machine; remove its inbound rules but those from the group itself, or name another one "
                    "(docs/aws.md)",
                    code="OpenSecurityGroup",
                )
        if together and not rules:
            raise CloudMisconfigured(
                f"the machines of one job cannot reach one another: let the security group {groups[0]} take in TCP "
                "from itself (docs/aws.md), or take one machine",
                code="ClosedSecurityGroup",
            )

    def _resources(self, call: str, items: str, kind: str, id_name: str, created: str) -> list[Resource]:
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in PROJECT.items()]
        arguments = {} if kind == "fleet" else {"Filters": filters}  # DescribeFleets knows no filter by tag
        with ec2_errors(f"listing what is ours: {items}"):
            pages = self._client.get_paginator(call).paginate(**arguments, PaginationConfig={"PageSize": PAGE_SIZE})
            found = [item for page in pages for item in page[items]]
        resources = [
            Resource(
                kind,
                item[id_name],
                item.get("State") or item.get("FleetState", ""),
                item[created],
                _tags(item),
                item.get("InstanceId", ""),
            )
            for item in found
        ]
        return [resource for resource in resources if PROJECT.items() <= dict(resource.tags).items()]


def _is_among(groups: Sequence[str], rule: Mapping[str, Any]) -> bool:
    """Tell whether an inbound rule lets in only what has one of these groups itself."""
    ranges = [rule.get(name) for name in ("IpRanges", "Ipv6Ranges", "PrefixListIds")]
    return not any(ranges) and {pair.get("GroupId") for pair in rule.get("UserIdGroupPairs", [])} <= set(groups)


def _instance(item: Mapping[str, Any]) -> Instance:
    return Instance(
        instance_id=item["InstanceId"],
        state=item["State"]["Name"],
        instance_type=item["InstanceType"],
        zone=item.get("Placement", {}).get("AvailabilityZone", ""),
        market="spot" if item.get("InstanceLifecycle") == "spot" else "on-demand",
        launched_at=item["LaunchTime"],
        tags=_tags(item),
        state_reason=item.get("StateReason", {}).get("Code", ""),
    )


def _launched(instance_id: str, item: Mapping[str, Any], request: LaunchRequest) -> Instance:
    """Describe a machine by what the fleet's answer says of it: it may not be visible yet."""
    override = item.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
    zones = {offer.subnet: offer.zone for offer in request.offers}
    return Instance(
        instance_id=instance_id,
        state="pending",
        instance_type=item.get("InstanceType") or override.get("InstanceType", ""),
        zone=override.get("AvailabilityZone") or zones.get(override.get("SubnetId", ""), ""),
        market="spot" if item.get("Lifecycle") == "spot" else "on-demand",
        launched_at=datetime.now(UTC),
        tags={**request.tags, **PROJECT},
    )


def _spot_price(item: Mapping[str, Any]) -> SpotPrice:
    return SpotPrice(item["InstanceType"], item["AvailabilityZone"], float(item["SpotPrice"]), item["Timestamp"])


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}
