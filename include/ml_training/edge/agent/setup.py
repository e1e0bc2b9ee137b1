"""Sets a device up, says how it stands, and takes a viewer's word: the short commands of the agent.

set_up(home, {"device_id": "pi5-kitchen", "delivery_url": "https://..."}, root=Path("root.json"))
describe(home)["model"]
store_correction(home, clock, (120.0, 150.0), "content", recording=None)
"""

import json
from pathlib import Path
from typing import Any

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.facts import board_name, runtime_version
from ml_training.edge.agent.home import Home, write_atomically
from ml_training.edge.agent.state import Installed, read_state
from ml_training.edge.agent.store import Store
from ml_training.edge.agent.telemetry import model_fields, record
from ml_training.utils.errors import ConfigError, UsageError


def set_up(home: Home, given: dict[str, Any], root: Path | None) -> dict[str, Any]:
    """Write ``config.json`` with what is given, and the trusted root; all of it or nothing. Raises ConfigError."""
    trusted = _read_root(root) if root is not None else None
    if trusted is None and not home.root_file.exists() and not (home.metadata / "root.json").exists():
        raise ConfigError("expected --root: the delivery's root.json, from where its keys are")
    config = home.write_config({**(home.read_config_content() or {}), **given})
    if trusted is not None:
        write_atomically(home.root_file, trusted)
    return {"home": str(home.folder), "device_id": config.device_id, "delivery_url": config.delivery_url}


def describe(home: Home) -> dict[str, Any]:
    """Return what runs, what was refused and why, and what is stored."""
    config = home.read_config()
    state = read_state(home)
    store = Store(home.store, limit_bytes=config.store_bytes)
    return {
        "device_id": config.device_id,
        "board": config.board or board_name(),
        "runtime": runtime_version(),
        "model": _shown(state.current),
        "proven": state.starts.proven,
        "previous": _shown(state.previous),
        "shadow": _shown(state.shadow),
        "refused": state.refused,
        "rollout_revision": state.revision,
        "last_check": state.last_check,
        "stored": {**store.counts(), "bytes": store.size_bytes(), "most_bytes": config.store_bytes},
        "dropped": store.dropped(),
    }


def store_correction(
    home: Home, clock: Clock, seconds: tuple[float, float], label: str, recording: str | None
) -> dict[str, Any]:
    """Store that a stretch is really of this label; returns the record's id. Raises UsageError for no stretch."""
    start, end = seconds
    if not 0 <= start < end:
        raise UsageError(f"expected 0 <= start < end, received {start:g} and {end:g}")
    config = home.read_config()
    told = record(
        "correction", config.device_id, clock, start=start, end=end, label=label, recording=recording,
        model=model_fields(read_state(home).current),
    )  # fmt: skip
    store = Store(home.store, limit_bytes=config.store_bytes)
    return {"record_id": store.add_record(told, day=clock.text()[:10])}


def _shown(installed: Installed | None) -> dict[str, Any] | None:
    if installed is None:
        return None
    return {**(model_fields(installed) or {}), "reason": installed.reason, "since": installed.since}


def _read_root(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        if json.loads(data)["signed"]["_type"] != "root":
            raise ValueError("it is of another role")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not the root of a delivery: {error}") from error
    return data
