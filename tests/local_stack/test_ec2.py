"""A real client against the simulated EC2, whose machines are real processes. One simulation for the whole file."""

import base64
import time

import boto3
import psutil
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from local_stack.bucket import CREDENTIALS
from local_stack.ec2.faults import Fault
from local_stack.ec2.machine import MACHINE_VARIABLE
from local_stack.ec2.machines import Timing
from local_stack.ec2.simulation import SimulatedEc2
from local_stack.processes import marked

TIMING = Timing(pending_seconds=0, boot_seconds=0, shutdown_seconds=0.1, minute_seconds=0.5)
IDLE = "#!/bin/bash\nwhile :; do sleep 0.1; done\n"


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    with SimulatedEc2(tmp_path_factory.mktemp("ec2"), timing=TIMING) as made:
        yield made


@pytest.fixture
def cloud(simulation):
    """A client, a launch template and what they made; leaves nothing to the next test."""
    made = Cloud(simulation)
    yield made
    simulation.faults.clear()
    simulation.market.plenty()
    simulation.backend.visibility_seconds = 0
    for instance in made.all():
        made.client.terminate_instances(InstanceIds=[instance["InstanceId"]])


class Cloud:
    """What a launcher does with EC2, in short."""

    def __init__(self, simulation):
        self.simulation = simulation
        self.config = yaml.safe_load(simulation.config_path.read_text())
        self.client = self.with_retries(0)
        self.tokens = iter(f"{time.monotonic_ns()}-{number}" for number in range(100))

    def with_retries(self, retries):
        config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": retries + 1}, read_timeout=60)
        options = {**CREDENTIALS, "region_name": self.config["region"], "config": config}
        return boto3.client("ec2", endpoint_url=self.simulation.url, **options)

    def template(self, user_data=IDLE, **changes):
        content = {
            "ImageId": self.config["image"],
            "UserData": base64.b64encode(user_data.encode()).decode(),
            "SecurityGroupIds": self.config["security_groups"],
            "IamInstanceProfile": {"Name": self.config["instance_profile"]},
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True}}
            ],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": [{"Key": "job", "Value": "one"}]} for kind in ("instance", "volume")
            ],
            **changes,
        }
        made = self.client.create_launch_template(LaunchTemplateName=next(self.tokens), LaunchTemplateData=content)
        return made["LaunchTemplate"]["LaunchTemplateId"]

    def fleet(self, template=None, *, token=None, types=("g6.xlarge",), market="spot", client=None, most=None):
        overrides = [
            {"InstanceType": name, "SubnetId": subnet, **({"MaxPrice": str(most)} if most else {})}
            for name in types
            for subnet in self.config["subnets"].values()
        ]
        return (client or self.client).create_fleet(
            Type="instant",
            ClientToken=token or next(self.tokens),
            TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": market},
            SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
            LaunchTemplateConfigs=[
                {
                    "LaunchTemplateSpecification": {"LaunchTemplateId": template or self.template(), "Version": "1"},
                    "Overrides": overrides,
                }
            ],
        )

    def launch(self, user_data=IDLE, **more):
        """Launch one machine and wait until its user data runs."""
        instance_id = self.fleet(self.template(user_data), **more)["Instances"][0]["InstanceIds"][0]
        self.wait(instance_id, "running")
        until(lambda: self.simulation.machines.processes(instance_id))
        return instance_id

    def all(self):
        found = self.client.describe_instances()["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def instance(self, instance_id):
        found = self.client.describe_instances(InstanceIds=[instance_id])
        return found["Reservations"][0]["Instances"][0]

    def wait(self, instance_id, state):
        until(lambda: self.instance(instance_id)["State"]["Name"] == state)

    def console(self, instance_id):
        facts = next(one for one in self.simulation.machines.facts() if one["instance_id"] == instance_id)
        with open(facts["console"]) as file:
            return file.read()


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def codes(answer):
    return {error["ErrorCode"] for error in answer["Errors"]}


def test_a_machine_runs_its_user_data_and_ends_itself(cloud):
    said = "echo on $ADBREAK_HOME; ls $ADBREAK_HOME; shutdown -h now; sleep 60"
    instance_id = cloud.fleet(cloud.template(said))["Instances"][0]["InstanceIds"][0]
    cloud.wait(instance_id, "terminated")
    assert cloud.instance(instance_id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert "venv-" in cloud.console(instance_id)
    assert marked(MACHINE_VARIABLE, instance_id) == []
    assert cloud.client.describe_volumes()["Volumes"] == []


def test_a_new_machine_has_an_empty_disk(cloud):
    for _ in range(2):
        instance_id = cloud.launch('ls "$ADBREAK_HOME"; touch "$ADBREAK_HOME/left"; echo seen; sleep 300')
        until(lambda: "seen" in cloud.console(instance_id))  # noqa: B023 (called here)
        assert "left" not in cloud.console(instance_id)


def test_the_first_machine_is_the_cheapest_that_there_is(cloud):
    answer = cloud.fleet(types=("g5.xlarge", "g4dn.xlarge"))
    assert answer["Instances"][0]["InstanceType"] == "g4dn.xlarge"
    cloud.simulation.market.no_capacity(instance_type="g4dn.xlarge")
    answer = cloud.fleet(types=("g5.xlarge", "g4dn.xlarge"))
    assert answer["Instances"][0]["InstanceType"] == "g5.xlarge"
    assert codes(answer) == {"UnfulfillableCapacity"}


def test_tags_role_disk_and_market_are_those_of_the_template(cloud):
    instance = cloud.instance(cloud.launch())
    assert {"Key": "job", "Value": "one"} in instance["Tags"]
    assert instance["InstanceLifecycle"] == "spot"
    assert instance["IamInstanceProfile"]["Arn"].endswith("/adbreak-trainer")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    volume = cloud.client.describe_volumes()["Volumes"]
    assert [(one["Size"], one["VolumeType"], one["Tags"]) for one in volume] == [
        (8, "gp3", [{"Key": "job", "Value": "one"}])
    ]


def test_the_same_token_never_launches_twice(cloud):
    template = cloud.template()
    first = cloud.fleet(template, token="once")["Instances"][0]["InstanceIds"]
    assert cloud.fleet(template, token="once")["Instances"][0]["InstanceIds"] == first
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        cloud.fleet(template, token="once", types=("g5.xlarge",))


def test_an_answer_is_lost_and_the_machine_is_there(cloud):
    template, before = cloud.template(), len(cloud.all())
    cloud.simulation.faults.lose_next_answer()
    with pytest.raises(HTTPClientError):
        cloud.fleet(template, token="lost")
    assert len(cloud.all()) == before + 1
    cloud.simulation.faults.add(Fault("lose_request", "CreateFleet"))
    answer = cloud.fleet(template, token="lost", client=cloud.with_retries(2))
    assert len(cloud.all()) == before + 1
    assert answer["Instances"][0]["InstanceIds"]


def test_throttling_passes_and_a_denied_action_stays_denied(cloud):
    cloud.simulation.faults.add(Fault("throttle", "Describe", times=2))
    with pytest.raises(ClientError, match="RequestLimitExceeded"):
        cloud.client.describe_volumes()
    assert cloud.with_retries(3).describe_volumes()["ResponseMetadata"]["HTTPStatusCode"] == 200
    cloud.simulation.faults.add(Fault("deny", "CreateFleet", seconds=30))
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        cloud.fleet()


def test_a_new_machine_is_not_seen_for_a_while(cloud):
    cloud.simulation.backend.visibility_seconds = 1.5
    instance_id = cloud.fleet()["Instances"][0]["InstanceIds"][0]
    assert instance_id not in {instance["InstanceId"] for instance in cloud.all()}
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        cloud.client.terminate_instances(InstanceIds=[instance_id])
    until(lambda: instance_id in {instance["InstanceId"] for instance in cloud.all()})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-0123"}, "InvalidAMIID.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"SecurityGroupIds": ["sg-0123"]}, "InvalidGroup.NotFound"),
    ],
)
def test_what_the_account_has_not_is_said_and_launches_nothing(cloud, change, code):
    before = len(cloud.all())
    answer = cloud.fleet(cloud.template(**change))
    assert codes(answer) == {code}
    assert answer["Instances"] == []
    assert len(cloud.all()) == before


def test_a_template_is_deleted_once_and_nothing_comes_of_it_any_more(cloud):
    template = cloud.template()
    cloud.client.delete_launch_template(LaunchTemplateId=template)
    with pytest.raises(ClientError, match=r"InvalidLaunchTemplateId\.NotFound"):
        cloud.client.delete_launch_template(LaunchTemplateId=template)
    with pytest.raises(ClientError, match=r"InvalidLaunchTemplateName\.NotFoundException"):
        cloud.client.delete_launch_template(LaunchTemplateName="nothing")
    with pytest.raises(ClientError, match=r"InvalidLaunchTemplate"):
        cloud.fleet(template)


def test_unknown_types_quotas_and_prices_refuse(cloud):
    with pytest.raises(ClientError, match=r"do not exist: \[g99"):
        cloud.fleet(types=("g99.xlarge",))
    assert codes(cloud.fleet(most=0.0001)) == {"SpotMaxPriceTooLow"}
    cloud.simulation.market.quota = "MaxSpotInstanceCountExceeded"
    assert codes(cloud.fleet()) == {"MaxSpotInstanceCountExceeded"}
    cloud.simulation.market.plenty()
    cloud.simulation.market.no_capacity(market="spot")
    assert codes(cloud.fleet()) == {"UnfulfillableCapacity"}
    assert cloud.fleet(market="on-demand")["Instances"][0]["Lifecycle"] == "on-demand"


def test_prices_change(cloud):
    zone = cloud.simulation.market.zones[1]
    cloud.simulation.market.set_price("g6.xlarge", zone, 0.7)
    history = cloud.client.describe_spot_price_history(InstanceTypes=["g6.xlarge"])["SpotPriceHistory"]
    assert {one["AvailabilityZone"]: float(one["SpotPrice"]) for one in history}[zone] == 0.7
    assert len(history) == len(cloud.simulation.market.zones)


def test_a_machine_hears_of_its_end_and_then_is_gone(cloud):
    ask = """
ask() { curl -s -H "X-aws-ec2-metadata-token: $token" "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/$1"; }
ttl='X-aws-ec2-metadata-token-ttl-seconds: 60'
token=$(curl -s -X PUT -H "$ttl" "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/api/token")
ask meta-data/instance-id; echo
ask meta-data/tags/instance/job; echo
ask meta-data/iam/security-credentials/adbreak-trainer; echo
echo "without a token: $(curl -s "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/meta-data/instance-id")"
until ask meta-data/spot/instance-action | grep terminate; do sleep 0.1; done
setsid sleep 300 &
trap '' TERM
while :; do sleep 0.1; done
"""
    instance_id = cloud.launch(ask)
    until(lambda: "without a token" in cloud.console(instance_id))
    cloud.simulation.machines.notice(instance_id, seconds=1)
    cloud.wait(instance_id, "terminated")
    console = cloud.console(instance_id)
    assert console.splitlines()[:2] == [instance_id, "one"]
    assert '"AccessKeyId": "test"' in console
    assert "without a token: Unauthorized" in console
    assert '"action": "terminate"' in console
    assert cloud.instance(instance_id)["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert marked(MACHINE_VARIABLE, instance_id) == []


def test_terminated_is_said_when_nothing_runs_any_more(cloud):
    instance_id = cloud.launch("trap '' TERM; setsid sleep 300 & while :; do sleep 0.1; done")
    until(lambda: len(cloud.simulation.machines.processes(instance_id)) >= 2)
    answer = cloud.client.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("running", "shutting-down")
    cloud.wait(instance_id, "terminated")
    assert marked(MACHINE_VARIABLE, instance_id) == []
    again = cloud.client.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


def test_an_instance_whose_programs_have_ended_runs_on(cloud):
    instance_id = cloud.launch("sleep 300")
    assert cloud.simulation.machines.kill(instance_id, "all")
    until(lambda: not cloud.simulation.machines.processes(instance_id))
    time.sleep(0.3)  # three looks of the runner
    assert cloud.instance(instance_id)["State"]["Name"] == "running"


def test_the_trainer_is_the_supervisors_child(cloud):
    script = "exec -a python bash -c 'sleep 301 & sleep 302 & wait' python -m ml_training.cloud.supervisor & wait"
    instance_id = cloud.launch(script)
    until(lambda: len(cloud.simulation.machines.processes(instance_id)) == 4)
    assert len(cloud.simulation.machines.kill(instance_id, "trainer")) == 2
    instance_id = cloud.launch(script)
    killed = until(lambda: cloud.simulation.machines.kill(instance_id, "supervisor"))
    assert len(killed) == 1
    until(lambda: not psutil.pid_exists(killed[0]))


def test_a_shutdown_in_minutes_can_be_taken_back(cloud):
    stays = cloud.launch("shutdown -h +1; shutdown -c; while :; do sleep 0.1; done")
    goes = cloud.launch("shutdown -h +1; while :; do sleep 0.1; done")
    cloud.wait(goes, "terminated")
    assert cloud.instance(stays)["State"]["Name"] == "running"


def test_the_way_to_the_bucket_can_be_cut(cloud):
    url = cloud.simulation.environment["AWS_ENDPOINT_URL"]
    config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=60)
    s3 = boto3.client("s3", endpoint_url=url, config=config, **CREDENTIALS)
    impatient = boto3.client("s3", endpoint_url=url, config=config.merge(Config(read_timeout=1)), **CREDENTIALS)
    s3.create_bucket(Bucket="kept")
    gate = cloud.simulation.gates["launchers"]
    gate.cut(30)
    with pytest.raises((HTTPClientError, EndpointConnectionError)):
        s3.list_buckets()
    gate.cut(30, silent=True)
    with pytest.raises(HTTPClientError):
        impatient.list_buckets()
    gate.cut(0)
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["kept"]
