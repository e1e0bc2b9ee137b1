"""The typed form of a cloud's config: where machines come from, what they may cost, and when they have to be gone.

    config = load_cloud_config()                      # include/configs/cloud/ec2_spot.yaml, or ADBREAK_CLOUD_CONFIG
    config = load_cloud_config("my/account.yaml")     # a path
    config.require_account()                          # before a machine is asked for

What belongs to an account (subnets, security groups) may be absent: prices are looked up without it.
"""

import difflib
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml_training.config.loading import config_path
from ml_training.config.settings import read_settings
from ml_training.utils.errors import CloudMisconfigured, ConfigError


class Section(BaseModel):
    """A part of the config: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(Section):
    """A type of machine that may train. ``source`` says where its speed and its listed price come from, and of when."""

    instance_type: str = Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")
    gpus: int = Field(ge=0)
    gpu: str | None = None  # as NVIDIA calls it
    relative_speed: float = Field(gt=0)  # steps a second, in units of any one of the candidates
    on_demand_usd_per_hour: float = Field(gt=0)
    source: str = Field(min_length=1)


class CloudConfig(Section):
    """What ``include/configs/cloud/*.yaml`` says."""

    region: str = Field(min_length=1)
    image: str = Field(pattern=r"^(ami-[0-9a-z]+|resolve:ssm:/.+)$")
    trainer_image: str | None = None  # a container image, instead of an environment made from the lock file
    subnets: dict[str, str] = Field(default_factory=dict)  # zone to subnet
    security_groups: list[str] = Field(default_factory=list)
    instance_profile: str = Field(min_length=1)
    root_device: str = Field("/dev/sda1", pattern="^/dev/.+")  # as the image names it: /dev/xvda on Amazon Linux
    disk_gb: int = Field(100, ge=8, le=2000)
    candidates: list[Candidate] = Field(min_length=1)
    machines: int = Field(1, ge=1, le=64)  # of one training, where it can be shared
    max_attempts: int = Field(12, ge=1, le=99)
    on_demand_after_interruptions: int = Field(3, ge=0)
    smallest_discount: float = Field(0.2, ge=0, lt=1)  # spot has to be cheaper by this share of the on-demand price
    retry_seconds: float = Field(60, gt=0)  # after a request that found no capacity; twice as long after each further
    deadline_hours: float = Field(8, gt=0)  # of one attempt, from its launch
    budget_usd: float = Field(2.0, gt=0)  # of one job, all attempts together
    month_budget_usd: float = Field(60.0, gt=0)
    idle_minutes: float = Field(30, gt=0)  # without progress
    unreachable_minutes: float = Field(30, gt=0)  # without an answer from the bucket
    heartbeat_seconds: float = Field(15, gt=0)
    silent_minutes: float = Field(10, gt=0)  # a machine whose newest heartbeat is older is lost
    boot_minutes: float = Field(20, gt=0)  # a machine that has not said anything by then is lost
    owner: str = Field("adbreak", min_length=1, max_length=256)
    environment: dict[str, str] = Field(default_factory=dict)  # of the command on the machine; addresses, no secrets
    simulated: bool = False  # carried to every place where a person reads a number

    @model_validator(mode="after")
    def _candidates_differ(self) -> Self:
        types = [candidate.instance_type for candidate in self.candidates]
        if len(set(types)) < len(types):
            raise ValueError(f"each instance_type may stand once among the candidates, received {types}")
        return self

    @model_validator(mode="after")
    def _silence_is_longer_than_a_heartbeat(self) -> Self:
        if self.silent_minutes * 60 < 3 * self.heartbeat_seconds:
            raise ValueError("silent_minutes must span three heartbeats or more: one that is late is no sign of death")
        return self

    def candidate(self, instance_type: str) -> Candidate | None:
        """Return the candidate of a type, None when it is none of ours."""
        return next((found for found in self.candidates if found.instance_type == instance_type), None)

    def require_account(self) -> None:
        """Raise CloudMisconfigured when what belongs to the account is missing."""
        missing = [name for name in ("subnets", "security_groups") if not getattr(self, name)]
        if missing:
            raise CloudMisconfigured(
                f"the cloud's config says nothing of {' and '.join(missing)}: copy "
                "include/configs/cloud/ec2_spot.yaml, fill in those of your account (docs/aws.md), and name "
                "the copy in ADBREAK_CLOUD_CONFIG",
                missing=missing,
            )


def load_cloud_config(name_or_path: str | None = None) -> CloudConfig:
    """Read and check a config by its name in ``include/configs/cloud`` or its path; None: what the environment names.

    Raises ConfigError with every mistake and, for an unknown key, the nearest known one.
    """
    name = name_or_path or read_settings().cloud_config
    path = config_path(name, folder="cloud")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    try:
        return CloudConfig.model_validate(content)
    except ValidationError as error:
        mistakes = "\n".join(f"  {_explain(item)}" for item in error.errors())
        raise ConfigError(f"{path} has {error.error_count()} mistake(s):\n{mistakes}") from error


def _explain(item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    name = ".".join(location) or "file"
    if item["type"] != "extra_forbidden":
        received = item["input"] if isinstance(item["input"], (str, int, float)) else type(item["input"]).__name__
        return f"{name}: {item['msg']}, received {received!r}"
    known = Candidate.model_fields if location[0] == "candidates" else CloudConfig.model_fields
    near = difflib.get_close_matches(location[-1], known, n=1)
    return f"{name}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
