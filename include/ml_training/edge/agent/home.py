"""The one folder of the agent on a device: where things lie, what its owner set, and how files are replaced.

    home = Home(Path("~/adbreak").expanduser())
    config = home.read_config()                       # ConfigError names the field
    write_atomically(home.state_file, data)           # beside, to the disk, then renamed: never half a file
    with home.lock("check"):                          # one at a time; Busy when another process has it
        ...

docs/agent.md describes every field.
"""

import dataclasses
import difflib
import fcntl
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_training.utils.errors import ConfigError, DeviceError

DEVICE_ID = re.compile(r"[a-z0-9][a-z0-9_-]*")
PART_ENDING = ".tmp"


class Busy(DeviceError):
    """Another process holds the lock."""


@dataclasses.dataclass(frozen=True)
class Config:
    """``config.json``: what the owner of a device sets."""

    device_id: str
    delivery_url: str
    assigned: tuple[str, ...] = ("base-general",)
    board: str | None = None
    input: str | None = None
    input_options: tuple[str, ...] = ()
    threads: int = 1
    check_minutes: float = 60.0
    telemetry_minutes: float = 15.0
    rate_limit_bytes_per_second: int | None = 1_000_000
    daily_download_bytes: int = 100_000_000
    daily_upload_bytes: int = 20_000_000
    store_bytes: int = 200_000_000
    hard_examples_per_day: int = 100
    largest_latency_ms: float = 250.0
    probation_minutes: float = 10.0
    crash_limit: int = 3

    def __post_init__(self) -> None:
        if not DEVICE_ID.fullmatch(self.device_id):
            raise ConfigError(f"device_id: expected a name like pi5-kitchen, received {self.device_id!r}")
        if not self.delivery_url.startswith(("https://", "http://")):
            raise ConfigError(f"delivery_url: expected an http(s) address, received {self.delivery_url!r}")
        if not self.assigned:
            raise ConfigError("assigned: expected at least one model name, received none")
        for name in NUMBERS:
            value = getattr(self, name)
            if value is not None and (value < 0 or (value == 0 and name not in MAY_BE_ZERO)):
                expected = "0 or more" if name in MAY_BE_ZERO else "more than 0"
                raise ConfigError(f"{name}: expected {expected}, received {value:g}")


FIELDS = {field.name: field for field in dataclasses.fields(Config)}
TEXTS = ("device_id", "delivery_url", "board", "input")
LISTS = ("assigned", "input_options")
NUMBERS = tuple(name for name in FIELDS if name not in (*TEXTS, *LISTS))
WHOLE = tuple(name for name in NUMBERS if FIELDS[name].type is not float)
MAY_BE_ZERO = ("hard_examples_per_day",)
OPTIONAL = ("board", "input", "rate_limit_bytes_per_second")


def config_from(content: dict[str, Any]) -> Config:
    """Return the configuration that a JSON object describes. Raises ConfigError that names the field."""
    values = {}
    for name, value in content.items():
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, 1)
            raise ConfigError(f"config.json: unknown field {name!r}{f', meant is {near[0]!r}?' if near else ''}")
        values[name] = _checked(name, value)
    missing = [name for name in ("device_id", "delivery_url") if name not in values]
    if missing:
        raise ConfigError(f"config.json: {missing[0]} is missing: set it with the command setup")
    return Config(**values)


def _checked(name: str, value: Any) -> Any:
    if value is None and name in OPTIONAL:
        return None
    if name in TEXTS:
        fits, expected = isinstance(value, str) and bool(value), "a text"
    elif name in LISTS:
        fits = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
        expected = "a list of texts"
    elif name in WHOLE:
        fits, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    else:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        expected = "a number"
    if not fits:
        raise ConfigError(f"config.json: {name}: expected {expected}, received {json.dumps(value)}")
    return tuple(value) if name in LISTS else value


class Home:
    """The folder and the places in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_file = folder / "config.json"
        self.state_file = folder / "state.json"
        self.state_copy = folder / "state.copy.json"
        self.root_file = folder / "root.json"
        self.grants_file = folder / "uploads.json"
        self.budget_file = folder / "budget.json"
        self.examples_file = folder / "examples.json"
        self.metadata = folder / "metadata"
        self.models = folder / "models"
        self.incoming = folder / "models" / ".incoming"
        self.store = folder / "store"
        self.breaks = folder / "breaks"

    def read_config(self) -> Config:
        """Read ``config.json``. Raises ConfigError."""
        content = self.read_config_content()
        if content is None:
            raise ConfigError(f"{self.folder} has no config.json: write it with the command setup")
        return config_from(content)

    def read_config_content(self) -> dict[str, Any] | None:
        """Return what ``config.json`` holds, None where there is none. Raises ConfigError where it is damaged."""
        try:
            content = json.loads(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigError(f"{self.config_file} is not JSON: {error}; remove it, and set it up anew") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{self.config_file}: expected an object; remove it, and set it up anew")
        return content

    def write_config(self, content: dict[str, Any]) -> Config:
        """Check and write ``config.json``."""
        config = config_from(content)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config_file, (json.dumps(content, indent=1) + "\n").encode())
        return config

    def model_folder(self, name: str, semver: str) -> Path:
        """Return where a version lies."""
        return self.models / name / semver

    @contextmanager
    def lock(self, name: str, *, wait: bool = False) -> Iterator[None]:
        """Hold the lock of this name; it ends with the process. Raises Busy when another holds it and not ``wait``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f".{name}.lock", "w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise Busy(f"another {name} is at work in {self.folder}: expected one at a time") from error
            yield


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file: readers, and a power cut, find the old or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}{PART_ENDING}")
    with open(beside, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder outlast a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers left that were killed. Only while no other process writes there."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name.startswith(".") and path.name.endswith(PART_ENDING):
                path.unlink(missing_ok=True)
