"""The signed document that says which device gets which model, and the one function that reads it for a device.

    rollout = read_rollout(data)                          # strict: RolloutError names the field
    chosen = assign(rollout, DeviceTraits("pi5-kitchen", "Raspberry Pi 5 Model B", "2.3.0", ("base-general",)))
    chosen.alias, chosen.model.semver, chosen.reason      # 'challenger', '1.2.0', 'place 3.81 is below the stage ...'

It is the target ``rollouts/fleet.json``, one document for the whole fleet. A device has a place in [0, 100) for each
model, the hash of the model's salt and its own id. Who is below 5 is below 25 too: a group only grows with the stage.
Runs on a device: needs nothing but the standard library.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ml_training.edge.fleet.strict_fields import StrictFields
from ml_training.utils.errors import RolloutError
from ml_training.utils.hashing import unit_interval

FORMAT = 1
ROLLOUT_PATH = "rollouts/fleet.json"
ALIASES = ("champion", "challenger", "previous")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SEMVER = re.compile(r"(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # no folder, no hidden file: it becomes a path on a device
SHA256 = re.compile(r"[0-9a-f]{64}")
VERSION_NUMBERS = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class ModelReference:
    """One version of a model: its number in the registry, its semantic version, its files by SHA-256."""

    version: str
    semver: str
    files: dict[str, str]


@dataclass(frozen=True)
class Shadow:
    """The model named by alias ``of`` also judges this ``share`` of the frames, without effect."""

    of: str
    share: float


@dataclass(frozen=True)
class ModelRollout:
    """Who gets which version of one model; see docs/delivery.md for the fields."""

    champion: ModelReference
    challenger: ModelReference | None = None
    stage_percent: float = 0.0
    salt: str = ""
    holdback_percent: float = 0.0
    pins: dict[str, str] = field(default_factory=dict)
    previous: ModelReference | None = None
    exclusions: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    minimum_runtime: str | None = None
    shadow: Shadow | None = None

    def model(self, alias: str) -> ModelReference | None:
        """Return what ``champion``, ``challenger`` or ``previous`` stands for."""
        return {"champion": self.champion, "challenger": self.challenger, "previous": self.previous}[alias]

    def alias_of(self, semver: str) -> str | None:
        """Return the first alias that stands for a version, None when none does."""
        models = ((alias, self.model(alias)) for alias in ALIASES)
        return next((alias for alias, model in models if model is not None and model.semver == semver), None)


@dataclass(frozen=True)
class Rollout:
    """The whole document. ``revision`` grows with every change; ``created_at`` is ISO 8601 with a time zone."""

    revision: int
    created_at: str
    models: dict[str, ModelRollout]
    minimum_agent: int = 1

    def to_bytes(self) -> bytes:
        """Return the one JSON text of this document. What ``read_rollout`` makes of it equals this."""
        content = {
            "format": FORMAT,
            "revision": self.revision,
            "created_at": self.created_at,
            "minimum_agent": self.minimum_agent,
            "models": {name: _entry_to_json(entry) for name, entry in self.models.items()},
        }
        return (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()


@dataclass(frozen=True)
class DeviceTraits:
    """What a device is: ``board`` as it reports itself, ``assigned`` model names, the preferred one first."""

    device_id: str
    board: str
    runtime: str
    assigned: tuple[str, ...]


@dataclass(frozen=True)
class Assignment:
    """What a device is to run, why, and which model judges a share of its frames besides."""

    name: str
    alias: str
    model: ModelReference
    reason: str
    shadow: ModelReference | None = None
    shadow_share: float = 0.0


@dataclass(frozen=True)
class Decision:
    """An assignment, or none, with a line for each name that was passed over."""

    assignment: Assignment | None
    passed_over: tuple[str, ...]


def target_path(name: str, semver: str, file_name: str) -> str:
    """Return the path of a model's file among the signed targets."""
    return f"models/{name}/{semver}/{file_name}"


def version_numbers(version: str) -> tuple[int, ...]:
    """Return what versions are compared by: the numbers that ``version`` begins with, ``(2, 10)`` of ``2.10rc1``."""
    found = VERSION_NUMBERS.match(version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def place_of(device_id: str, salt: str) -> float:
    """Return the device's place in [0, 100) for a salt: SHA-256 of ``salt:device_id``, its first 64 bits as a share."""
    return unit_interval(device_id, salt) * 100


def assign(rollout: Rollout, device: DeviceTraits) -> Assignment | None:
    """Return what ``device`` is to run. None: it keeps what it has."""
    return decide(rollout, device).assignment


def decide(rollout: Rollout, device: DeviceTraits) -> Decision:
    """Go through the device's names and take the first whose entry fits its board and its runtime.

    An exclusion ends the search: that device is to be left alone, not to be given a less specific model.
    """
    passed_over: list[str] = []
    for name in device.assigned:
        entry = rollout.models.get(name)
        obstacle = "is not rolled out" if entry is None else _obstacle(entry, device)
        if entry is None or obstacle:
            passed_over.append(f"{name} {obstacle}")
            continue
        if device.device_id in entry.exclusions:
            return Decision(None, (*passed_over, f"{name} excludes {device.device_id}"))
        return Decision(_choose(name, entry, device.device_id), tuple(passed_over))
    return Decision(None, tuple(passed_over))


def read_rollout(data: bytes) -> Rollout:
    """Read a rollout document. Raises RolloutError for whatever is missing, unknown or out of range, with its place."""
    fields = StrictFields.from_json(data, "rollout")
    received = fields.integer("format", low=1)
    if received != FORMAT:
        raise RolloutError(f"rollout.format: this version reads {FORMAT}, received {received}: update the agent")
    models = fields.mapping("models")
    rollout = Rollout(
        revision=fields.integer("revision", low=1),
        created_at=fields.moment("created_at"),
        minimum_agent=fields.integer("minimum_agent", low=1),
        models={name: _read_entry(models.part(name)) for name in models.names(NAME)},
    )
    models.finish()
    fields.finish()
    return rollout


def _obstacle(entry: ModelRollout, device: DeviceTraits) -> str | None:
    if entry.boards and not any(board in device.board for board in entry.boards):
        return f"is for {' or '.join(entry.boards)}, this is {device.board or 'an unknown board'}"
    if entry.minimum_runtime and version_numbers(device.runtime) < version_numbers(entry.minimum_runtime):
        return f"needs runtime {entry.minimum_runtime}, this device has {device.runtime or 'none'}"
    return None


def _choose(name: str, entry: ModelRollout, device_id: str) -> Assignment:
    alias, reason = _alias(entry, device_id)
    model = entry.model(alias)
    if model is None:
        alias, model, reason = "champion", entry.champion, f"{reason}, but there is no {alias} now"
    shadow = entry.model(entry.shadow.of) if entry.shadow else None
    if entry.shadow is None or shadow is None or shadow.files == model.files:
        return Assignment(name, alias, model, reason)
    return Assignment(name, alias, model, reason, shadow, entry.shadow.share)


def _alias(entry: ModelRollout, device_id: str) -> tuple[str, str]:
    if device_id in entry.pins:
        return entry.pins[device_id], f"pinned to the {entry.pins[device_id]}"
    if entry.challenger is None:
        return "champion", "there is no challenger"
    place = place_of(device_id, entry.salt)
    if place >= 100 - entry.holdback_percent:
        return "champion", f"place {place:.2f} is in the holdback of {entry.holdback_percent:g} %"
    if place < entry.stage_percent:
        return "challenger", f"place {place:.2f} is below the stage of {entry.stage_percent:g} %"
    return "champion", f"place {place:.2f} is not below the stage of {entry.stage_percent:g} %"


def _entry_to_json(entry: ModelRollout) -> dict[str, Any]:
    references = {alias: _reference_to_json(entry.model(alias)) for alias in ALIASES}
    shadow = {"of": entry.shadow.of, "share": entry.shadow.share} if entry.shadow else None
    plain = ("stage_percent", "salt", "holdback_percent", "pins", "minimum_runtime")
    lists = {"exclusions": list(entry.exclusions), "boards": list(entry.boards)}
    return {**references, **{key: getattr(entry, key) for key in plain}, **lists, "shadow": shadow}


def _reference_to_json(model: ModelReference | None) -> dict[str, Any] | None:
    return {"version": model.version, "semver": model.semver, "files": model.files} if model else None


def _read_entry(fields: StrictFields) -> ModelRollout:
    references = {alias: _read_reference(fields.part_or_none(alias)) for alias in ALIASES}
    if references["champion"] is None:
        raise RolloutError(f"{fields.place}.champion: expected a model, received null")
    pins = fields.mapping("pins")
    entry = ModelRollout(
        champion=references["champion"],
        challenger=references["challenger"],
        previous=references["previous"],
        stage_percent=fields.number("stage_percent", 0, 100),
        salt=fields.text("salt"),
        holdback_percent=fields.number("holdback_percent", 0, 100),
        pins={device: pins.one_of(device, ALIASES) for device in pins.names()},
        exclusions=fields.texts("exclusions"),
        boards=fields.texts("boards"),
        minimum_runtime=fields.text_or_none("minimum_runtime", VERSION_NUMBERS),
        shadow=_read_shadow(fields.part_or_none("shadow")),
    )
    fields.finish()
    return entry


def _read_shadow(fields: StrictFields | None) -> Shadow | None:
    if fields is None:
        return None
    shadow = Shadow(fields.one_of("of", ALIASES), fields.number("share", 0, 1))
    fields.finish()
    return shadow


def _read_reference(fields: StrictFields | None) -> ModelReference | None:
    if fields is None:
        return None
    files = fields.mapping("files")
    hashes = {name: files.text(name, SHA256) for name in files.names(FILE_NAME)}
    if "manifest.json" not in hashes:
        raise RolloutError(f"{fields.place}.files: expected manifest.json among them, received {sorted(hashes)}")
    reference = ModelReference(fields.text("version"), fields.text("semver", SEMVER), hashes)
    fields.finish()
    return reference
