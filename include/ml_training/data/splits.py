"""Which split a recording belongs to: decided when it is first seen, written down, never moved.

    splits = assign_splits("s3://adbreak", [Member("news-0105", "one", hours=0.5), ...], config.data)
    splits["news-0105"].split                  # 'train', 'validation' or 'test'

Whole channels go to one split, where at least three named channels are there; else recordings do. Units that were never
seen are taken in the order of a salted hash, and each goes to the split that is furthest below its share of the hours.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.data.recordings import UNKNOWN_CHANNEL
from ml_training.utils.errors import ObjectExists, ObjectNotFound
from ml_training.utils.hashing import unit_interval
from ml_training.utils.records import Record, Split

SPLITS: tuple[Split, ...] = ("train", "test", "validation")  # in this order where two are equally far below
CHANNELS_NEEDED = 3  # one for each split


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


def assign_splits(data_dir: str, members: Sequence[Member], data: DataSection) -> dict[str, SplitRecord]:
    """Return the split of every member; those seen for the first time get one, which is recorded under ``splits/``.

    What is recorded never changes, whatever the config says later. With too few units a split stays empty.
    """
    known = {m.recording_id: record for m in members if (record := read_split(data_dir, m.recording_id))}
    channels = _known_channels(data_dir, members)
    hours: dict[Split, float] = dict.fromkeys(SPLITS, 0.0)
    for member in members:
        if member.recording_id in known:
            hours[known[member.recording_id].split] += member.hours
    unseen = [member for member in members if member.recording_id not in known]
    by_channel = _channels_are_held_out(members, data)
    mixed = {record.channel for record in known.values() if record.unit == "recording"} - set(channels)
    units = _units(unseen, by_channel=by_channel, mixed=mixed, channels=channels)
    free = []
    for unit in units:
        if unit.kind == "channel" and unit.key in channels:
            hours[channels[unit.key]] += unit.hours
            known |= _record(data_dir, unit, channels[unit.key])
        else:
            free.append(unit)
    return known | _distribute(data_dir, free, hours, sum(m.hours for m in members), data)


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


def _units(unseen: Iterable[Member], *, by_channel: bool, mixed: set[str], channels: dict[str, Split]) -> list[_Unit]:
    """Group what has no split yet. A channel whose recordings were split one by one before stays so."""
    groups: dict[tuple[str, Literal["channel", "recording"]], list[Member]] = defaultdict(list)
    for member in unseen:
        whole = member.channel in channels or (
            by_channel and member.channel != UNKNOWN_CHANNEL and member.channel not in mixed
        )
        groups[(member.channel, "channel") if whole else (member.recording_id, "recording")].append(member)
    return [_Unit(key, kind, group) for (key, kind), group in groups.items()]


def _distribute(
    data_dir: str, units: Sequence[_Unit], hours: dict[Split, float], total: float, data: DataSection
) -> dict[str, SplitRecord]:
    given: dict[str, SplitRecord] = {}
    ordered = sorted(units, key=lambda unit: (unit_interval(unit.key, data.split_salt), unit.key))
    for number, unit in enumerate(ordered):
        empty = [split for split in SPLITS if hours[split] == 0]
        choice = empty if 0 < len(ordered) - number <= len(empty) else SPLITS
        split = max(choice, key=lambda name: data.split_shares[name] * total - hours[name])
        split = _record_channel(data_dir, unit, split)
        records = _record(data_dir, unit, split)
        for member in unit.members:
            hours[records[member.recording_id].split] += member.hours
        given |= records
    return given


def _record_channel(data_dir: str, unit: _Unit, split: Split) -> Split:
    """Record the split of a channel; another process may have been first, and then its word holds."""
    if unit.kind == "recording":
        return split
    uri = storage.join(data_dir, "splits", "channels", f"{unit.key}.json")
    try:
        storage.write_json(uri, ChannelRecord(split=split).model_dump(mode="json"), if_absent=True)
    except ObjectExists:
        return ChannelRecord.model_validate(storage.read_json(uri)).split
    return split


def _record(data_dir: str, unit: _Unit, split: Split) -> dict[str, SplitRecord]:
    records = {}
    for member in unit.members:
        record = SplitRecord(split=split, unit=unit.kind, channel=member.channel, first_seen=datetime.now(UTC))
        uri = storage.join(data_dir, "splits", f"{member.recording_id}.json")
        try:
            storage.write_json(uri, record.model_dump(mode="json"), if_absent=True)
        except ObjectExists:
            record = SplitRecord.model_validate(storage.read_json(uri))
        records[member.recording_id] = record
    return records
