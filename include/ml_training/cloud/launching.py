"""What a request for one machine says: the launch template and the fleet, as EC2's API wants them.

    request = LaunchRequest(token="3f9c-1", template="adbreak-3f9c-0001", user_data=script, tags=tags, offers=offers)
    template(request, config)       # what the machine is: image, disk, role, network, user data
    fleet(request)                  # where it may come from: one machine, from any of the offers, or none

The machine demands IMDSv2, has an encrypted disk that goes with it, and ends when it shuts itself down.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_training.cloud.jobs import Market, Offer
from ml_training.config.cloud import CloudConfig

PROJECT = {"adbreak:project": "adbreak"}
LONGEST_TAG = 256
METADATA = {
    "HttpEndpoint": "enabled",
    "HttpTokens": "required",
    "HttpPutResponseHopLimit": 2,  # a container on the machine may ask too
    "InstanceMetadataTags": "enabled",
}


@dataclass(frozen=True)
class LaunchRequest:
    """One machine to ask for. The same ``token`` must always come with the same of everything else."""

    token: str
    template: str
    user_data: str
    tags: Mapping[str, str]
    offers: tuple[Offer, ...]
    market: Market = "spot"
    together: bool = False  # with other machines of its job, which it has to reach


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as EC2 takes them, the project's among them."""
    return [{"Key": key, "Value": value[:LONGEST_TAG]} for key, value in {**tags, **PROJECT}.items() if value]


def template(request: LaunchRequest, config: CloudConfig) -> dict[str, Any]:
    """Return the arguments of CreateLaunchTemplate."""
    tags = tag_list(request.tags)
    disk = {"VolumeSize": config.disk_gb, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    return {
        "LaunchTemplateName": request.template,
        "LaunchTemplateData": {
            "ImageId": config.image,
            "IamInstanceProfile": {"Name": config.instance_profile},
            "SecurityGroupIds": config.security_groups,
            "BlockDeviceMappings": [{"DeviceName": config.root_device, "Ebs": disk}],
            "MetadataOptions": METADATA,
            "InstanceInitiatedShutdownBehavior": "terminate",
            "UserData": base64.b64encode(request.user_data.encode()).decode(),
            "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        },
        "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tags}],
    }


def fleet(request: LaunchRequest) -> dict[str, Any]:
    """Return the arguments of CreateFleet: one machine at once, or none."""
    wanted = {
        "TotalTargetCapacity": 1,
        "DefaultTargetCapacityType": request.market,
        f"{'Spot' if request.market == 'spot' else 'OnDemand'}TargetCapacity": 1,
    }
    strategy: dict[str, Any] = (
        {"SpotOptions": {"AllocationStrategy": "price-capacity-optimized"}}
        if request.market == "spot"
        else {"OnDemandOptions": {"AllocationStrategy": "lowest-price"}}
    )
    overrides = [{"InstanceType": offer.instance_type, "SubnetId": offer.subnet} for offer in request.offers]
    return {
        "ClientToken": request.token,
        "Type": "instant",
        "TargetCapacitySpecification": wanted,
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": request.template, "Version": "1"},
                "Overrides": overrides,
            }
        ],
        "TagSpecifications": [{"ResourceType": "fleet", "Tags": tag_list(request.tags)}],
        **strategy,
    }
