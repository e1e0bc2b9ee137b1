"""What a device runs, ran before, and will not run again: ``state.json``, replaced as a whole.

    with changed_state(home) as state:                # read, change, write: nobody else in between
        state.swap(installed)
    read_state(home).current.semver

The replacement of this one file is the swap of the model. Where the disk has damaged it, its copy stands in.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ml_training.edge.agent.home import Home, write_atomically
from ml_training.utils.hashing import sha256_file

FORMAT = 1
REFUSALS_KEPT = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installed:
    """One version of a model on this device; ``files`` by SHA-256, ``reason`` why this device has it."""

    name: str
    semver: str
    version: str
    alias: str
    files: dict[str, str]
    reason: str
    since: str

    @property
    def key(self) -> str:
        """Name the version by its content: another file is another key."""
        return f"{self.name}/{self.semver}/{self.files['manifest.json'][:12]}"


@dataclass
class Starts:
    """How often ``run`` began with a model, and whether that model has proven itself."""

    key: str = ""
    times: list[str] = field(default_factory=list)
    proven: bool = False


@dataclass
class State:
    """All that has to survive a restart."""

    current: Installed | None = None
    previous: Installed | None = None
    shadow: Installed | None = None
    shadow_share: float = 0.0
    refused: dict[str, dict[str, str]] = field(default_factory=dict)  # key -> reason, at
    starts: Starts = field(default_factory=Starts)
    last_check: dict[str, Any] = field(default_factory=dict)
    known_over: str | None = None  # a time that is certainly over
    revision: int = 0  # of the rollout that was followed last

    def swap(self, installed: Installed) -> None:
        """Make a version the current one; what ran before stays at hand."""
        if self.current is not None and self.current.key != installed.key:
            self.previous = self.current
        self.current = installed

    def refuse(self, installed: Installed, reason: str, at: str) -> None:
        """Remember that this device does not want these files; the oldest memories go."""
        self.refused.pop(installed.key, None)
        self.refused[installed.key] = {"reason": reason, "at": at}
        while len(self.refused) > REFUSALS_KEPT:
            self.refused.pop(next(iter(self.refused)))

    def go_back(self, reason: str, at: str) -> bool:
        """Make the previous version the current one and refuse the other; False where there is none before."""
        if self.current is None or self.previous is None:
            return False
        self.refuse(self.current, reason, at)
        self.current, self.previous = self.previous, None
        self.starts = Starts(self.current.key, [], proven=True)
        return True


def read_state(home: Home) -> State:
    """Return the state; where its file is damaged that of its copy, and an empty one where there is none yet."""
    for file in (home.state_file, home.state_copy):
        try:
            return _from_json(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            logger.error("%s is damaged: %s", file, error)
    return State()


@contextmanager
def changed_state(home: Home) -> Iterator[State]:
    """Give the state to change; it is written at the end, unless that raises or nothing changed."""
    with home.lock("state", wait=True):
        state = read_state(home)
        before = _to_bytes(state)
        yield state
        after = _to_bytes(state)
        if after != before:
            write_atomically(home.state_file, after)
            write_atomically(home.state_copy, after)


def is_whole(folder: Path, files: dict[str, str]) -> bool:
    """Tell whether a folder has all files of a version, unchanged."""
    return all((folder / name).is_file() and sha256_file(folder / name) == wanted for name, wanted in files.items())


def _to_bytes(state: State) -> bytes:
    return (json.dumps({"format": FORMAT, **asdict(state)}, indent=1) + "\n").encode()


def _from_json(content: dict[str, Any]) -> State:
    if content.pop("format") != FORMAT:
        raise ValueError("another format")
    for name in ("current", "previous", "shadow"):
        if content[name] is not None:
            content[name] = Installed(**content[name])
    content["starts"] = Starts(**content["starts"])
    return State(**content)
