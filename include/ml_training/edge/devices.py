"""What is known of a device before anything connects to it.

    device = read_device("pi5")              # ADBREAK_DEVICE_PI5, which Airflow's connection device_pi5 becomes
    device = read_device("pi5", spec_json)   # the same JSON, given by hand

The JSON form, in which ``host``, ``user``, ``host_key`` and one of the two keys are needed:

    {"host": "192.168.1.20", "port": 22, "user": "pi", "host_key": "ssh-ed25519 AAAA...",
     "key_file": "~/.ssh/id_ed25519", "board": "Raspberry Pi 5", "work_dir": "adbreak", "python": "python3"}
"""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from ml_training.config.settings import device_credentials
from ml_training.utils.errors import ConfigError, UsageError
from ml_training.utils.records import Record

DEVICE_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
SAFE_PATH = r"^/?[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"  # nothing that a remote shell could read as more than a path
HOST_KEY = r"^(ssh-|ecdsa-)\S+ [A-Za-z0-9+/=]+( .*)?$"  # as in known_hosts or a .pub file
HostKey = Annotated[str, StringConstraints(pattern=HOST_KEY, strip_whitespace=True)]
RemotePath = Annotated[str, StringConstraints(pattern=SAFE_PATH)]


class DeviceDescription(Record):
    """Where a device is, how to know that it is the one, and how to log in.

    ``work_dir``, ``python`` and ``wheels`` (a folder to install from, instead of the network) are paths on the device;
    relative ones start at the login folder. ``board`` is what its owner says it is; the benchmark also records what the
    device itself reports.
    """

    host: str = Field(min_length=1)
    port: int = Field(22, ge=1, le=65535)
    user: str = Field(min_length=1)
    host_key: HostKey
    key_file: Path | None = None
    private_key: str | None = Field(None, repr=False)
    board: str | None = None
    work_dir: RemotePath = "adbreak"
    python: RemotePath = "python3"
    wheels: RemotePath | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.key_file is None) == (self.private_key is None):
            raise ValueError("give exactly one of key_file (a path) and private_key (its text)")
        if ".." in PurePosixPath(self.work_dir).parts:
            raise ValueError(f"work_dir must not contain '..', received {self.work_dir}")
        return self

    @property
    def address(self) -> str:
        """``user@host:port``, for messages."""
        return f"{self.user}@{self.host}:{self.port}"


def check_device_name(name: str) -> str:
    """Return ``name``. Raises UsageError unless it is 1 to 63 lower-case letters, digits, ``-`` and ``_``."""
    if not DEVICE_NAME.fullmatch(name):
        raise UsageError(f"a device name has 1 to 63 lower-case letters, digits, '-' or '_', received {name!r}")
    return name


def read_device(name: str, spec: str | None = None) -> DeviceDescription:
    """Return the description of device ``name``, from the JSON ``spec`` or else from the environment.

    Raises UsageError for a bad name, and ConfigError for a device that nobody described or whose description is wrong;
    the message never repeats what was received, for it may hold a private key.
    """
    check_device_name(name)
    variable = "ADBREAK_DEVICE_" + name.upper().replace("-", "_")
    text = spec if spec is not None else device_credentials(name)
    if not text:
        raise ConfigError(
            f"device {name!r} is not described: give --device-spec, set {variable}, or add the Airflow connection "
            f"device_{name}",
            device=name,
        )
    try:
        return DeviceDescription.model_validate_json(text)
    except ValidationError as error:
        mistakes = "; ".join(_explain(item["loc"], item["msg"]) for item in error.errors(include_input=False))
        source = "--device-spec" if spec is not None else variable
        raise ConfigError(f"{source} does not describe device {name!r}: {mistakes}", device=name) from None


def _explain(location: tuple[int | str, ...], message: str) -> str:
    return ": ".join([*(str(part) for part in location), message])
