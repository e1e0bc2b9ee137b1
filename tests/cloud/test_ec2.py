"""The door to EC2: one machine for one request, whatever is lost on the way, and refusals that say what to do."""

import threading
import uuid

import boto3
import pytest
from local_stack.ec2.remote import RemoteEc2
from ml_training.cloud import launching
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.ec2_errors import classify, worst
from ml_training.cloud.jobs import Offer
from ml_training.cloud.launching import LaunchRequest
from ml_training.config.cloud import CloudConfig, load_cloud_config
from ml_training.utils.errors import CloudError, CloudMisconfigured, CloudUnreachable, NoCapacity, Superseded


@pytest.fixture
def config(simulated: RemoteEc2) -> CloudConfig:
    return load_cloud_config()


@pytest.fixture
def ec2(config: CloudConfig) -> Ec2:
    return Ec2(config, visible_seconds=3)


@pytest.fixture
def request_(config: CloudConfig) -> LaunchRequest:
    return request_of(config)


def request_of(config: CloudConfig, **changes: object) -> LaunchRequest:
    job = uuid.uuid4().hex[:8]
    values = {
        "token": uuid.uuid4().hex,
        "template": f"adbreak-{job}-0001",
        "user_data": "#!/bin/bash\n",
        "tags": {"adbreak:job": job, "adbreak:attempt": "1", "adbreak:owner": "o" * 300, "empty": ""},
        "offers": tuple(
            Offer(instance_type="g6.xlarge", zone=zone, subnet=subnet, usd_per_hour=0.3)
            for zone, subnet in config.subnets.items()
        ),
    }
    return LaunchRequest(**{**values, **changes})  # type: ignore[arg-type]


def machines_of(simulated: RemoteEc2, request: LaunchRequest) -> list[dict]:
    return [one for one in simulated.machines() if one["tags"].get("adbreak:job") == request.tags["adbreak:job"]]


def test_a_machine_is_found_by_its_tags_and_ended(ec2, request_):
    machine = ec2.launch(request_)
    tags = {"adbreak:job": request_.tags["adbreak:job"]}
    (found,) = ec2.find(tags)
    assert (found.instance_id, found.instance_type, found.market) == (machine.instance_id, "g6.xlarge", "spot")
    assert found.zone == machine.zone
    assert found.zone in ec2.config.subnets
    assert found.tags["adbreak:project"] == "adbreak"
    assert len(found.tags["adbreak:owner"]) == 256
    assert "empty" not in found.tags
    ec2.terminate([machine.instance_id, "i-0123456789abcdef0"])
    ec2.terminate([machine.instance_id])
    assert ec2.describe(machine.instance_id).state in ("shutting-down", "terminated")
    assert ec2.describe("i-0123456789abcdef0") is None


def test_what_a_machine_is(request_, config):
    data = launching.template(request_, config)["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert data["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert "KeyName" not in data
    fleet = launching.fleet(request_)
    assert fleet["Type"] == "instant"
    assert fleet["SpotOptions"]["AllocationStrategy"] == "price-capacity-optimized"
    demand = launching.fleet(request_of(config, market="on-demand"))
    assert "SpotOptions" not in demand


def test_two_launchers_at_once_get_one_machine(simulated, config, request_):
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(Ec2(config).launch(request_).instance_id)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(machines_of(simulated, request_)) == 1


@pytest.mark.parametrize("times", [1, 5], ids=["boto3 asks again", "nobody hears"])
@pytest.mark.parametrize("kind", ["lose_answer", "lose_request", "error"])
def test_a_lost_answer_makes_no_second_machine(simulated, ec2, request_, kind, times):
    simulated.fault(kind, action="CreateFleet", times=times)
    machine = ec2.launch(request_)
    assert [one["instance_id"] for one in machines_of(simulated, request_)] == [machine.instance_id]


def test_an_api_that_throttles_is_asked_again(simulated, ec2, request_):
    simulated.fault("throttle", times=3)
    assert ec2.launch(request_).instance_id
    simulated.fault("throttle", times=50)
    with pytest.raises(CloudUnreachable, match="RequestLimitExceeded"):
        ec2.find({})


def test_a_machine_that_is_not_listed_yet_is_not_doubled(simulated, ec2, request_):
    simulated.timing(visibility_seconds=2)
    first = ec2.launch(request_)
    assert ec2.find({"adbreak:job": request_.tags["adbreak:job"]}) == []
    assert ec2.launch(request_).instance_id == first.instance_id
    assert len(machines_of(simulated, request_)) == 1


def test_nobody_wants_it_any_more(simulated, ec2, request_):
    def over() -> None:
        raise Superseded("attempt 1 is over")

    with pytest.raises(Superseded):
        ec2.launch(request_, still_wanted=over)
    assert machines_of(simulated, request_) == []


def test_a_request_that_was_held_up_finds_its_template_gone(simulated, ec2, request_):
    with pytest.raises(CloudError) as caught:
        ec2.launch(request_, still_wanted=lambda: ec2.delete_template(request_.template))
    assert caught.value.code == "InvalidLaunchTemplateName.NotFoundException"
    assert machines_of(simulated, request_) == []
    ec2.delete_template(request_.template)


def test_no_capacity(simulated, ec2, request_):
    simulated.no_capacity()
    with pytest.raises(NoCapacity, match="spot machine"):
        ec2.launch(request_)


MISTAKES = {
    "type": ("instance types do not exist.*correct instance_type", {"candidates": None}),
    "role": ("Invalid IAM Instance Profile name.*correct instance_profile", {"instance_profile": "nobody"}),
    "image": ("InvalidAMIID.NotFound.*correct image", {"image": "ami-0123456789abcdef0"}),
    "group": ("InvalidGroup.NotFound.*correct security_groups", {"security_groups": ["sg-0123456789abcdef0"]}),
    "account": ("says nothing of security_groups", {"security_groups": []}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_says_what_to_do(simulated, config, name):
    said, changes = MISTAKES[name]
    if name == "type":
        offers = tuple(
            Offer(instance_type="g99.xlarge", zone=zone, subnet=subnet, usd_per_hour=1)
            for zone, subnet in config.subnets.items()
        )
        request, changed = request_of(config, offers=offers), config
    else:
        request, changed = request_of(config), config.model_copy(update=changes)
    with pytest.raises(CloudMisconfigured, match=f"(?s){said}"):
        Ec2(changed).launch(request)
    assert machines_of(simulated, request) == []


def test_no_quota_says_where_to_ask(simulated, ec2, request_):
    simulated.quota("VcpuLimitExceeded")
    with pytest.raises(CloudMisconfigured, match="Service Quotas"):
        ec2.launch(request_)
    assert machines_of(simulated, request_) == []


def test_no_permission(simulated, ec2):
    simulated.fault("deny", action="Describe")
    with pytest.raises(CloudMisconfigured, match=r"docs/aws\.md lists"):
        ec2.find({})


def test_machines_of_one_job_have_to_reach_one_another(simulated, ec2, config, request_):
    (group,) = config.security_groups
    rules = ec2._client.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert ec2.launch(request_of(config, together=True)).state == "pending", "the group lets in what has it itself"
    ec2._client.revoke_security_group_ingress(GroupId=group, IpPermissions=rules)
    try:
        with pytest.raises(CloudMisconfigured, match="take in TCP from itself"):
            ec2.launch(request_of(config, together=True))
        assert ec2.launch(request_).state == "pending", "one alone needs nobody"
    finally:
        ec2._client.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)


def test_a_security_group_that_lets_something_in_is_refused(simulated, ec2, config, request_):
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    (group,) = config.security_groups
    ec2._client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    try:
        with pytest.raises(CloudMisconfigured, match="lets something in"):
            ec2.launch(request_)
    finally:
        ec2._client.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert machines_of(simulated, request_) == []


def test_credentials_are_missing(config, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers those of other tests
    with pytest.raises(CloudMisconfigured, match="no AWS credentials"):
        Ec2(config).find({})


def test_nothing_answers(config, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    with pytest.raises(CloudUnreachable, match="EC2 does not answer"):
        Ec2(config).find({})


def test_spot_prices_are_those_of_now(simulated, ec2):
    simulated.price("g6.xlarge", 0.123, "us-east-2b")
    prices = {(one.instance_type, one.zone): one.usd_per_hour for one in ec2.spot_prices(["g6.xlarge", "g5.xlarge"])}
    assert prices["g6.xlarge", "us-east-2b"] == 0.123
    assert {kind for kind, _ in prices} == {"g6.xlarge", "g5.xlarge"}


def test_what_a_machine_leaves_behind_is_listed_and_deleted(ec2, request_):
    machine = ec2.launch(request_)
    (template,) = [one for one in ec2.templates() if one.resource_id == request_.template]
    assert template.tags["adbreak:job"] == request_.tags["adbreak:job"]
    ec2.delete(template)
    ec2.delete(template)
    assert request_.template not in {one.resource_id for one in ec2.templates()}
    ec2.terminate([machine.instance_id])


def test_of_several_reasons_the_mistake_counts():
    errors = [
        {"ErrorCode": "UnfulfillableCapacity", "ErrorMessage": "none"},
        {"ErrorCode": "InvalidSubnetID.NotFound", "ErrorMessage": "no such subnet"},
    ]
    assert isinstance(worst(errors, doing="x"), CloudMisconfigured)
    assert isinstance(worst(errors[:1], doing="x"), NoCapacity)
    assert isinstance(worst([], doing="x"), NoCapacity)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InsufficientInstanceCapacity", 500, NoCapacity),
        ("MaxSpotInstanceCountExceeded", 400, NoCapacity),
        ("VcpuLimitExceeded", 400, CloudMisconfigured),
        ("UnauthorizedOperation", 403, CloudMisconfigured),
        ("Unavailable", 503, CloudUnreachable),
        ("SomethingNew", 500, CloudUnreachable),
        ("SomethingNew", 400, CloudError),
    ],
)
def test_each_code_has_its_kind(code, status, kind):
    assert type(classify(code, "said", doing="x", status=status)) is kind
