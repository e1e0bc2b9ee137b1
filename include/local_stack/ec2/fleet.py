"""CreateFleet of type instant, and what moto does not look at when it launches: does what was asked for exist?

    answer = launch(backend, market, params)     # {"fleetId": ..., "fleetInstanceSet": [...], "errorSet": [...]}

The machine comes from the cheapest override that has capacity (``price-capacity-optimized``, as far as a simulation
knows). What is wrong with a launch template stands in ``errorSet``, one entry for each override, as in EC2's answer.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.types import Base64EncodedString
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.utils import convert_tag_spec

from local_stack.ec2.backend import Backend
from local_stack.ec2.market import Market
from local_stack.ec2.query import Refused

SSM_PREFIX = "resolve:ssm:"
MOST_USER_DATA_BYTES = 16384


@dataclass(frozen=True)
class Override:
    """One machine that would do: a type in a subnet."""

    instance_type: str
    zone: str
    subnet_id: str | None
    most_usd_per_hour: float | None
    content: dict[str, Any]


def launch(backend: Backend, market: Market, params: dict[str, Any]) -> dict[str, Any]:
    """Launch one machine, or say why there is none. Raises Refused for what EC2 refuses as a whole."""
    if params.get("Type") != "instant":
        raise Refused("InvalidParameterValue", "this simulation launches fleets of the type instant")
    capacity = params.get("TargetCapacitySpecification", {})
    if int(capacity.get("TotalTargetCapacity", 0)) < 1:
        raise Refused("InvalidParameterValue", "TotalTargetCapacity must be 1 or more")
    wanted = capacity.get("DefaultTargetCapacityType", "on-demand")
    answer: dict[str, Any] = {"fleetId": f"fleet-{secrets.token_hex(16)}", "errorSet": [], "fleetInstanceSet": []}
    for config in params.get("LaunchTemplateConfigs", []):
        named = config.get("LaunchTemplateSpecification", {})
        template = _template(backend, named)
        overrides = [_override(backend, item, template.data) for item in config.get("Overrides") or [{}]]
        for override in sorted(overrides, key=lambda one: _price(market, one, wanted)):
            where = {"launchTemplateSpecification": _named(template), "overrides": _shown(override)}
            entry = {"launchTemplateAndOverrides": where, "lifecycle": wanted}
            problem = _problem(backend, template.data) or _no_offer(market, override, wanted)
            if problem is not None:
                answer["errorSet"].append({**entry, "errorCode": problem[0], "errorMessage": problem[1]})
                continue
            for _ in range(int(capacity["TotalTargetCapacity"])):
                instance = _run(backend, template, override, wanted, params, str(answer["fleetId"]))
                ids = {"instanceIds": [instance.id], "instanceType": override.instance_type}
                answer["fleetInstanceSet"].append({**entry, **ids})
            return answer
    return answer


def _template(backend: Backend, named: dict[str, Any]) -> Any:
    """Return the version of a launch template that a request names. Raises moto's errors where there is none."""
    if "LaunchTemplateId" in named:
        found = backend.ec2.get_launch_template(named["LaunchTemplateId"])
    else:
        found = backend.ec2.get_launch_template_by_name(named.get("LaunchTemplateName"))
    return found.get_version(named.get("Version", "$Default"))


def _override(backend: Backend, item: dict[str, Any], template: dict[str, Any]) -> Override:
    instance_type = item.get("InstanceType") or template.get("InstanceType") or ""
    if instance_type not in INSTANCE_TYPES:
        raise Refused("InvalidParameterValue", f"The following supplied instance types do not exist: [{instance_type}]")
    subnet_id = item.get("SubnetId") or template.get("SubnetId")
    zone = item.get("AvailabilityZone") or f"{backend.region}a"
    if subnet_id:  # the empty zone of an unknown subnet becomes an error of this override
        zone = next((name for name, subnets in backend.ec2.subnets.items() if subnet_id in subnets), "")
    most = item.get("MaxPrice")
    return Override(instance_type, zone, subnet_id, float(most) if most else None, item)


def _price(market: Market, override: Override, wanted: str) -> float:
    if wanted == "spot":
        return market.spot_price(override.instance_type, override.zone)
    return market.on_demand_price(override.instance_type)


def _problem(backend: Backend, template: dict[str, Any]) -> tuple[str, str] | None:
    """Return code and message of what a launch template names and the account has not."""
    image = resolve_image(backend, str(template.get("ImageId", "")))
    if image is None or not any(found.id == image for found in backend.ec2.amis.values()):
        return "InvalidAMIID.NotFound", f"The image id '[{template.get('ImageId')}]' does not exist"
    for group in template.get("SecurityGroupIds", []):
        if backend.ec2.get_security_group_from_id(group) is None:
            return "InvalidGroup.NotFound", f"The security group '{group}' does not exist"
    profile = template.get("IamInstanceProfile") or {}
    profiles = get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"].instance_profiles.values()
    if profile and not any(profile.get("Name") == one.name or profile.get("Arn") == one.arn for one in profiles):
        name = profile.get("Name") or profile.get("Arn")
        return "InvalidParameterValue", (
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        )
    user_data = template.get("UserData")
    if user_data is not None and len(Base64EncodedString(str(user_data)).decode()) > MOST_USER_DATA_BYTES:
        return "InvalidUserData.Malformed", f"User data is limited to {MOST_USER_DATA_BYTES} bytes"
    return None


def _no_offer(market: Market, override: Override, wanted: str) -> tuple[str, str] | None:
    if not override.zone:
        return "InvalidSubnetID.NotFound", f"The subnet ID '{override.subnet_id}' does not exist"
    if refusal := market.refusal(override.instance_type, override.zone, wanted):
        return refusal
    price = market.spot_price(override.instance_type, override.zone)
    if wanted == "spot" and override.most_usd_per_hour is not None and price > override.most_usd_per_hour:
        return "SpotMaxPriceTooLow", (
            f"Your Spot request price of {override.most_usd_per_hour} is lower than the minimum required Spot request "
            f"fulfillment price of {price}."
        )
    return None


def resolve_image(backend: Backend, image: str) -> str | None:
    """Return the image that a launch template names, also by a parameter of Systems Manager."""
    if not image.startswith(SSM_PREFIX):
        return image or None
    parameter = get_backend("ssm")[DEFAULT_ACCOUNT_ID][backend.region].get_parameter(image.removeprefix(SSM_PREFIX))
    return str(parameter.value) if parameter else None


def _run(
    backend: Backend, template: Any, override: Override, wanted: str, params: dict[str, Any], fleet_id: str
) -> Any:
    data = template.data
    tags = convert_tag_spec(data.get("TagSpecifications", []))
    for resource, more in convert_tag_spec(params.get("TagSpecification", []), tag_key="Tag").items():
        tags[resource] = {**tags.get(resource, {}), **more}
    tags["instance"] = {**tags.get("instance", {}), "aws:ec2:fleet-id": fleet_id}
    user_data = data.get("UserData")
    reservation = backend.ec2.run_instances(
        resolve_image(backend, str(data["ImageId"])),
        1,
        Base64EncodedString(str(user_data)) if user_data else None,
        [],
        instance_type=override.instance_type,
        is_instance_type_default=False,
        region_name=backend.region,
        subnet_id=override.subnet_id,
        placement=None if override.subnet_id else override.zone,
        security_group_ids=list(data.get("SecurityGroupIds", [])),
        launch_template=_query(template),
        block_device_mappings=data.get("BlockDeviceMappings") or [],
        tags=tags,
        instance_market_options="spot" if wanted == "spot" else {},
        instance_initiated_shutdown_behavior=data.get("InstanceInitiatedShutdownBehavior"),
        metadata_options=data.get("MetadataOptions") or {},
        client_token=params.get("ClientToken"),
    )
    instance = reservation.instances[0]
    backend.set_state(instance, "pending")
    backend.age(instance)
    if name := (data.get("IamInstanceProfile") or {}).get("Name"):
        backend.ec2.associate_iam_instance_profile(instance_id=instance.id, iam_instance_profile_name=name)
    return instance


def _query(template: Any) -> dict[str, Any]:
    return {"LaunchTemplateId": template.template.id, "Version": str(template.number)}


def _named(template: Any) -> dict[str, Any]:
    return {"launchTemplateId": template.template.id, "version": template.number}


def _shown(override: Override) -> dict[str, Any]:
    return {
        "instanceType": override.instance_type,
        "subnetId": override.subnet_id,
        "availabilityZone": override.zone or None,
    }
