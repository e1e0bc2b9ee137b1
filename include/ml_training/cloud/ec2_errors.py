"""What EC2 says when it refuses, sorted by what a launcher can do about it.

    with ec2_errors("terminating i-1"):
        client.terminate_instances(...)       # raises NoCapacity, CloudMisconfigured, CloudUnreachable or CloudError

Error codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ml_training.utils.errors import CloudError, CloudMisconfigured, CloudUnreachable, NoCapacity

NO_CAPACITY = {
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientCapacity",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "MaxSpotInstanceCountExceeded",
    "MaxSpotFleetRequestCountExceeded",
    "Unsupported",  # this type is not to be had in that zone
}
THROTTLED = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "EC2ThrottledException"}
NOT_NOW = THROTTLED | {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "Unavailable",
    "RequestTimeout",
    "RequestExpired",
}
GONE = {
    "InvalidInstanceID.NotFound",
    "InvalidLaunchTemplateName.NotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidVolume.NotFound",
    "InvalidFleetId.NotFound",
    "InvalidSpotInstanceRequestID.NotFound",
}
QUOTA = "ask for a higher one in Service Quotas ('All G and VT Spot Instance Requests', or 'Running On-Demand G and VT \
instances'; docs/aws.md), or name smaller types among the candidates"
ADVICE = {
    "VcpuLimitExceeded": f"the account's quota of vCPUs is used up: {QUOTA}",
    "InstanceLimitExceeded": f"the account's quota of machines is used up: {QUOTA}",
    "MaxSpotInstanceCountExceeded": f"the account's quota of spot machines is used up: {QUOTA}",
    "InvalidInstanceType": "correct instance_type among the candidates of the cloud's config",
    "InvalidAMIID": "correct image in the cloud's config; an image belongs to one region",
    "InvalidSubnetID": "correct subnets in the cloud's config (docs/aws.md)",
    "InvalidSubnet": "correct subnets in the cloud's config (docs/aws.md)",
    "InvalidGroup": "correct security_groups in the cloud's config (docs/aws.md)",
    "InvalidIamInstanceProfile": "create the role and its instance profile, or correct instance_profile (docs/aws.md)",
    "UnauthorizedOperation": "the caller's role lacks this permission: docs/aws.md lists what the launcher needs",
    "AuthFailure": "the credentials are not valid: see docs/aws.md",
    "OptInRequired": "the account is not subscribed to this service or image",
    "PendingVerification": "AWS still verifies the account for this region",
}
MISCONFIGURED = ("Invalid", "Missing", "Unauthorized", "Unknown", "AuthFailure", "OptIn", "Pending", "Blocked", "Vcpu")
SAID_IN_WORDS = {  # EC2 calls these InvalidParameterValue
    "iam instance profile": "InvalidIamInstanceProfile",
    "instance types do not exist": "InvalidInstanceType",
}


def classify(code: str, message: str, *, doing: str, status: int = 400) -> CloudError:
    """Return the error of ours that stands for one of EC2's; ``code`` and ``status`` travel as facts."""
    advice = _advice(code, message)
    text = f"EC2 refused {doing}: {message} ({code})" + (f"; {advice}" if advice else "")
    kind: type[CloudError] = CloudError
    if code in NO_CAPACITY:
        kind = NoCapacity
    elif code in NOT_NOW or status >= 500:
        kind = CloudUnreachable
    elif code.startswith(MISCONFIGURED) or code in ADVICE:
        kind = CloudMisconfigured
    return kind(text, code=code, status=status)


def worst(errors: Iterable[Mapping[str, Any]], *, doing: str) -> CloudError:
    """Return the error of a fleet that got no machine: a mistake in the config before a lack of capacity."""
    found = [classify(e.get("ErrorCode", ""), e.get("ErrorMessage", ""), doing=doing) for e in errors]
    for kind in (CloudMisconfigured, NoCapacity, CloudUnreachable):
        if of_kind := [error for error in found if isinstance(error, kind)]:
            return of_kind[0]
    return found[0] if found else NoCapacity(f"EC2 gave no machine for {doing}, and no reason", code="", status=200)


@contextmanager
def ec2_errors(doing: str) -> Iterator[None]:
    """Turn what botocore raises into errors of ours."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        raise classify(said.get("Code", ""), said.get("Message", ""), doing=doing, status=status) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CloudMisconfigured(
            f"there are no AWS credentials for {doing}: log in, or use a role (docs/aws.md)", code="NoCredentials"
        ) from error
    except BotoCoreError as error:
        raise CloudUnreachable(f"EC2 does not answer, {doing}: {error}", code=type(error).__name__) from error


def _advice(code: str, message: str) -> str:
    for words, code_of_advice in SAID_IN_WORDS.items():
        if words in message.lower():
            return ADVICE[code_of_advice]
    return ADVICE.get(code) or ADVICE.get(code.partition(".")[0], "")
