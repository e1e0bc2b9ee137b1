"""The roles on docs/aws.md allow what the code calls, and hardly more."""

import ast
import json
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[2]
CLOUD = ROOT / "include" / "ml_training" / "cloud"
POLICIES = ROOT / "docs" / "policies"
ACTIONS_OF = {  # where a call needs other rights than the one of its name
    "s3:HeadObject": {"s3:GetObject"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "s3:DownloadFile": {"s3:GetObject"},
    "s3:UploadFile": {"s3:PutObject", "s3:AbortMultipartUpload"},
}
IMPLIED = {  # rights that no call of ours names
    "ec2:CreateTags": "whatever is made with tags",
    "ec2:RunInstances": "a fleet of type instant starts machines in the caller's name",
    "iam:CreateServiceLinkedRole": "an account's first spot machine",
    "iam:PassRole": "a machine with a role",
    "ssm:GetParameters": "an image named by resolve:ssm",
    "ecr:GetAuthorizationToken": "docker login on the machine",
    "ecr:BatchCheckLayerAvailability": "docker pull on the machine",
    "ecr:BatchGetImage": "docker pull on the machine",
    "ecr:GetDownloadUrlForLayer": "docker pull on the machine",
    "logs:CreateLogGroup": "what a Lambda function prints",
    "logs:CreateLogStream": "what a Lambda function prints",
    "logs:PutLogEvents": "what a Lambda function prints",
    "s3:AbortMultipartUpload": "a large upload that breaks",
}
REAPER_ONLY = {
    "ec2:DescribeVolumes",
    "ec2:DescribeFleets",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DeleteVolume",
    "ec2:DeleteFleets",
    "ec2:CancelSpotInstanceRequests",
}
DESTRUCTIVE = ("ec2:Terminate", "ec2:Delete", "ec2:Cancel")


def operations() -> dict[str, str]:
    """Every method of a client of EC2 or S3, and its action."""
    session = botocore.session.get_session()
    found = {"download_file": "s3:DownloadFile", "upload_file": "s3:UploadFile"}
    for service in ("s3", "ec2"):
        names = session.get_service_model(service).operation_names
        found |= {xform_name(name): f"{service}:{name}" for name in names}
    return found


def calls() -> set[str]:
    """Every action that the package ``cloud`` calls: methods of clients, and their names in texts."""
    known, found = operations(), set()
    for path in CLOUD.glob("*.py"):
        tree = ast.parse(path.read_text())
        clients = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and "client" in ast.unparse(node.func.value).lower()
        }
        texts = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        found |= {known[name] for name in (clients | texts) & set(known)}
    return found


def policy(name: str) -> list[dict[str, object]]:
    return list(json.loads((POLICIES / f"{name}.json").read_text())["Statement"])


def allowed(name: str) -> set[str]:
    found: set[str] = set()
    for statement in policy(name):
        actions = statement["Action"]
        found |= {actions} if isinstance(actions, str) else set(actions)  # type: ignore[call-overload]
    return found


def needed() -> set[str]:
    return {action for call in calls() for action in ACTIONS_OF.get(call, {call})}


def test_the_calls_are_found():
    assert {"ec2:CreateFleet", "ec2:DescribeVolumes", "ec2:DeleteFleets", "s3:PutObject"} <= calls()


def test_the_launcher_may_do_what_it_calls_and_the_reaper_the_rest():
    of_ec2 = {action for action in needed() if action.startswith("ec2:")}
    assert of_ec2 - REAPER_ONLY <= allowed("launcher")
    assert allowed("reaper") >= REAPER_ONLY
    assert not allowed("launcher") & REAPER_ONLY
    assert not {action for action in allowed("machine") if action.startswith("ec2:")}, "a machine ends by shutting down"


def test_no_role_may_do_what_no_code_calls():
    for name in ("launcher", "machine", "reaper"):
        assert allowed(name) - needed() - set(IMPLIED) == set(), name


@pytest.mark.parametrize("name", ["launcher", "reaper"])
def test_only_what_carries_our_tag_can_be_ended(name):
    for statement in policy(name):
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else list(actions):  # type: ignore[call-overload]
            if action.startswith(DESTRUCTIVE):
                assert statement["Condition"] == {"StringEquals": {"aws:ResourceTag/adbreak:project": "adbreak"}}
                assert "*" not in statement["Resource"]  # type: ignore[operator]


def test_a_machine_without_our_tag_or_with_the_old_metadata_service_cannot_be_started():
    started = [one for one in policy("launcher") if any("instance/*" in item for item in one["Resource"])]  # type: ignore[attr-defined]
    runs = [one for one in started if "ec2:RunInstances" in one["Action"]]  # type: ignore[operator]
    assert len(runs) == 1
    wanted = {"aws:RequestTag/adbreak:project": "adbreak", "ec2:MetadataHttpTokens": "required"}
    assert runs[0]["Condition"]["StringEquals"] == wanted  # type: ignore[index]


def test_every_policy_is_on_the_page_and_fits_into_aws_limit():
    page = (ROOT / "docs" / "aws.md").read_text()
    for path in sorted(POLICIES.glob("*.json")):
        assert f"policies/{path.name}" in page, path.name
        size = len(json.dumps(json.loads(path.read_text()), separators=(",", ":")))
        assert size <= 6144, "a managed policy has 6,144 characters at most, spaces not counted"
        if not path.stem.startswith("trust"):
            assert path.read_text().count("123456789012") or path.stem == "machine"
