"""Where the stack keeps what: one folder, which ``make clean`` removes.

    place = Workplace.from_environment()
    place.log("mlflow")        # .state/logs/mlflow.log

``ADBREAK_STATE_DIR`` names another folder than ``.state``; each folder holds one stack, which may run beside others.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_stack.errors import StackError

ROOT = Path(__file__).resolve().parents[2]
NEEDED_BYTES = 2 * 10**9  # measured: state of a first generated night, with its caches


@dataclass(frozen=True)
class Workplace:
    """The folders of one stack."""

    state: Path
    root: Path = ROOT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Workplace":
        """Read ``ADBREAK_STATE_DIR``; the default is ``.state`` in the checkout."""
        source = os.environ if environment is None else environment
        return cls(Path(source.get("ADBREAK_STATE_DIR") or ROOT / ".state").absolute())

    @property
    def tag(self) -> str:
        """The mark that every process of this stack carries in its environment."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:16]

    def python(self, environment: str) -> Path:
        """Return the interpreter of one of the locked environments."""
        return self.root / ".venv" / environment / "bin" / "python"

    def log(self, service: str) -> Path:
        """Return the log file of a service."""
        return self.state / "logs" / f"{service}.log"

    def prepare(self) -> None:
        """Make the folders. Raises StackError when the disk is nearly full."""
        for name in ("logs", "work", "airflow", "s3", "mlflow", "device", "recordings"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.state).free
        if free < NEEDED_BYTES:
            raise StackError(
                f"only {free / 1e9:.1f} GB are free on the disk that holds {self.state}: a night needs about "
                f"{NEEDED_BYTES / 1e9:.0f} GB. Free some, or name a folder on another disk with ADBREAK_STATE_DIR."
            )

    def credentials(self) -> dict[str, str]:
        """Return the generated passwords and keys of this stack; made once, readable by their owner only."""
        path = self.state / "secrets.json"
        if not path.is_file():
            made = {name: secrets.token_urlsafe(size) for name, size in (("password", 9), ("jwt", 64))}
            write_json(path, {**made, "fernet": _fernet_key()}, mode=0o600)
        return read_json(path)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def read_json(path: Path, default: Any = None) -> Any:
    """Return the JSON in ``path``, or ``default`` where there is no file. Raises StackError when it is not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default
    except ValueError as error:
        raise StackError(f"{path} should be JSON, but: {error}. Remove it and start again.") from error


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write ``value`` beside ``path`` and rename it there."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
    part.replace(path)
