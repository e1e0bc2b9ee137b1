"""Which split a recording belongs to: decided when it is first seen, written down, never moved.

    records = assign_splits("s3://adbreak", [Member("news-0105", "one", hours=0.5), ...], config.data)
    split_for(records["news-0105"], config.data)          # 'train', 'validation', 'test', None: left out

Whole channels go to one split, where at least three named channels are there; else recordings do. Units that were never
seen are taken in the order of a salted hash, and each goes to the split that is furthest below its share of the hours.

A model of one channel or show needs recordings of that channel that no model has learned. So the recordings of a whole
channel also have a split ``within`` it, once it has ten: those of a training channel that are held out within it are
left out of general models' training.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.data.recordings import UNKNOWN_CHANNEL
from ml_training.utils.errors import ObjectExists, ObjectNotFound
from ml_training.utils.hashing import unit_interval
from ml_training.utils.parallel import in_threads
from ml_training.utils.records import Record, Split

SPLITS: tuple[Split, ...] = ("train", "test", "validation")  # in this order where two are equally far below
CHANNELS_NEEDED = 3  # one for each split
WITHIN_NEEDED = 10  # recordings of a channel: as many as a slice needs before it can block a model
WITHIN_SHARES: dict[Split, float] = {
    "train": 0.8,
    "validation": 0.1,
    "test": 0.1,
}  # general models lose what is held out


class Member(NamedTuple):
    """A labelled recording, as the assignment sees it."""

    recording_id: str
    channel: str
    hours: float


class SplitRecord(Record):
    """``splits/<recording_id>.json``: the split of a recording, and whether its channel or itself was assigned."""

    split: Split
    unit: Literal["channel", "recording"]
    channel: str
    first_seen: datetime
    within: Split | None = None  # among the recordings of a whole channel; None: the channel was too small, or no unit


class ChannelRecord(Record):
    """``splits/channels/<channel>.json``: the split of all recordings of a channel."""

    split: Split


class _Unit(NamedTuple):
    key: str
    kind: Literal["channel", "recording"]
    members: list[Member]

    @property
    def hours(self) -> float:
        return sum(member.hours for member in self.members)


def split_for(record: SplitRecord, data: DataSection) -> Split | None:
    """Return the split in which a recording stands for a config; None when it is left out.

    With ``hold_out_channels`` channels are held out whole, and what is held out within a training channel is left out:
    it belongs to the models of that channel. Without, recordings are held out within their channel.
    """
    if record.unit == "recording" or record.within is None:
        return record.split
    if not data.hold_out_channels:
        return record.within
    return None if record.split == "train" and record.within != "train" else record.split


def assign_splits(data_dir: str, members: Sequence[Member], data: DataSection) -> dict[str, SplitRecord]:
    """Return the record of every member; those seen for the first time get one, which is stored under ``splits/``.

    What is recorded never changes, whatever the config says later. With too few units a split stays empty.
    """
    read = in_threads(members, lambda member: read_split(data_dir, member.recording_id))
    known = {m.recording_id: record for m, record in zip(members, read, strict=True) if record}
    channels = _known_channels(data_dir, members)
    hours: dict[Split, float] = dict.fromkeys(SPLITS, 0.0)
    for member in members:
        if member.recording_id in known:
            hours[known[member.recording_id].split] += member.hours
    unseen = [member for member in members if member.recording_id not in known]
    by_channel = _channels_are_held_out(members, data)
    mixed = {record.channel for record in known.values() if record.unit == "recording"} - set(channels)
    units = _units(unseen, by_channel=by_channel, mixed=mixed, channels=channels)
    for unit in units:
        if unit.kind == "channel" and unit.key in channels:
            hours[channels[unit.key]] += unit.hours
    free = [unit for unit in units if unit.kind == "recording" or unit.key not in channels]
    total = sum(member.hours for member in members)
    chosen = _fill([(unit.key, unit.hours) for unit in free], hours, total, data.split_shares, data.split_salt)
    for unit in free:
        if unit.kind == "channel":
            channels[unit.key] = _record_channel(data_dir, unit, chosen[unit.key])
    new: dict[str, SplitRecord] = {}
    for unit in units:
        split = channels[unit.key] if unit.kind == "channel" else chosen[unit.key]
        within = _within(unit, members, known, data.split_salt) if unit.kind == "channel" else {}
        new |= _records(unit, split, within)
    return known | dict(in_threads(new.items(), lambda item: (item[0], _record(data_dir, *item))))


def read_split(data_dir: str, recording_id: str) -> SplitRecord | None:
    """Return the recorded split of a recording, None when it was never assigned."""
    try:
        uri = storage.join(data_dir, "splits", f"{recording_id}.json")
        return SplitRecord.model_validate(storage.read_json(uri))
    except ObjectNotFound:
        return None


def _channels_are_held_out(members: Iterable[Member], data: DataSection) -> bool:
    named = {member.channel for member in members} - {UNKNOWN_CHANNEL}
    return data.hold_out_channels and len(named) >= CHANNELS_NEEDED


def _known_channels(data_dir: str, members: Iterable[Member]) -> dict[str, Split]:
    found: dict[str, Split] = {}
    for channel in sorted({member.channel for member in members} - {UNKNOWN_CHANNEL}):
        try:
            uri = storage.join(data_dir, "splits", "channels", f"{channel}.json")
            found[channel] = ChannelRecord.model_validate(storage.read_json(uri)).split
        except ObjectNotFound:
            continue
    return found


def _units(
    unseen: Iterable[Member], *, by_channel: bool, mixed: set[str], channels: Mapping[str, Split]
) -> list[_Unit]:
    """Group what has no split yet. A channel whose recordings were split one by one before stays so."""
    groups: dict[tuple[str, Literal["channel", "recording"]], list[Member]] = defaultdict(list)
    for member in unseen:
        whole = member.channel in channels or (
            by_channel and member.channel != UNKNOWN_CHANNEL and member.channel not in mixed
        )
        groups[(member.channel, "channel") if whole else (member.recording_id, "recording")].append(member)
    return [_Unit(key, kind, group) for (key, kind), group in groups.items()]


def _fill(
    units: Sequence[tuple[str, float]],
    hours: dict[Split, float],
    total: float,
    shares: Mapping[Split, float],
    salt: str,
) -> dict[str, Split]:
    """Give each unit (key, hours) the split that is furthest below its share; ``hours`` is added to."""
    given: dict[str, Split] = {}
    ordered = sorted(units, key=lambda unit: (unit_interval(unit[0], salt), unit[0]))
    for number, (key, length) in enumerate(ordered):
        empty = [split for split in SPLITS if hours[split] == 0]
        choice = empty if 0 < len(ordered) - number <= len(empty) else SPLITS
        given[key] = max(choice, key=lambda name: shares[name] * total - hours[name])
        hours[given[key]] += length
    return given


def _within(unit: _Unit, members: Iterable[Member], known: Mapping[str, SplitRecord], salt: str) -> dict[str, Split]:
    """Return the splits of a channel's new recordings within the channel; none while it has too few."""
    own = [member for member in members if member.channel == unit.key]
    if len(own) < WITHIN_NEEDED:
        return {}
    hours: dict[Split, float] = dict.fromkeys(SPLITS, 0.0)
    for member in own:
        if record := known.get(member.recording_id):
            hours[record.within or record.split] += member.hours
    new = [(member.recording_id, member.hours) for member in unit.members]
    return _fill(new, hours, sum(member.hours for member in own), WITHIN_SHARES, salt)


def _records(unit: _Unit, split: Split, within: Mapping[str, Split]) -> dict[str, SplitRecord]:
    now = datetime.now(UTC)
    return {
        member.recording_id: SplitRecord(
            split=split,
            unit=unit.kind,
            channel=member.channel,
            first_seen=now,
            within=within.get(member.recording_id),
        )
        for member in unit.members
    }


def _record_channel(data_dir: str, unit: _Unit, split: Split) -> Split:
    """Record the split of a channel; another process may have been first, and then its word holds."""
    uri = storage.join(data_dir, "splits", "channels", f"{unit.key}.json")
    try:
        storage.write_json(uri, ChannelRecord(split=split).model_dump(mode="json"), if_absent=True)
    except ObjectExists:
        return ChannelRecord.model_validate(storage.read_json(uri)).split
    return split


def _record(data_dir: str, recording_id: str, record: SplitRecord) -> SplitRecord:
    """Record the split of a recording; another process may have been first, and then its word holds."""
    uri = storage.join(data_dir, "splits", f"{recording_id}.json")
    try:
        storage.write_json(uri, record.model_dump(mode="json"), if_absent=True)
    except ObjectExists:
        return SplitRecord.model_validate(storage.read_json(uri))
    return record
