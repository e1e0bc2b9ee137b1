"""Splits: decided once, written down, by whole channels where there are enough, and near the wanted shares."""

import json
from collections import Counter
from pathlib import Path

import pytest
from ml_training.config.schema import DataSection
from ml_training.data.splits import Member, SplitRecord, assign_splits, read_split, split_for

DATA = DataSection(split_shares={"train": 0.6, "validation": 0.15, "test": 0.25})


def members(channels: dict[str, int], hours: float = 1.0) -> list[Member]:
    return [Member(f"{name}-{n}", name, hours) for name, count in channels.items() for n in range(count)]


def test_whole_channels_go_to_one_split_near_their_shares(tmp_path: Path) -> None:
    everyone = members({f"channel-{n:02d}": 3 for n in range(20)})
    splits = assign_splits(str(tmp_path), everyone, DATA)
    by_channel = {
        m.channel: {splits[o.recording_id].split for o in everyone if o.channel == m.channel} for m in everyone
    }
    assert all(len(found) == 1 for found in by_channel.values())
    counts = Counter(record.split for record in splits.values())
    assert counts == {"train": 36, "test": 15, "validation": 9}
    assert {record.unit for record in splits.values()} == {"channel"}


@pytest.mark.parametrize("count", [3, 4, 5])
def test_every_split_gets_a_channel_when_there_are_three(tmp_path: Path, count: int) -> None:
    splits = assign_splits(str(tmp_path), members({f"c{n}": 2 for n in range(count)}), DATA)
    assert {record.split for record in splits.values()} == {"train", "validation", "test"}


def test_fewer_named_channels_are_split_by_recording(tmp_path: Path) -> None:
    splits = assign_splits(str(tmp_path), members({"one": 4, "two": 4, "unknown": 12}), DATA)
    assert {record.unit for record in splits.values()} == {"recording"}
    assert Counter(record.split for record in splits.values()) == {"train": 12, "test": 5, "validation": 3}


def test_recordings_of_unknown_channels_stand_for_themselves(tmp_path: Path) -> None:
    splits = assign_splits(str(tmp_path), members({"one": 2, "two": 2, "three": 2, "unknown": 6}), DATA)
    assert {splits[f"unknown-{n}"].unit for n in range(6)} == {"recording"}
    assert len({splits[f"one-{n}"].split for n in range(2)}) == 1


def test_what_is_recorded_never_moves(tmp_path: Path) -> None:
    root = str(tmp_path)
    first = assign_splits(root, members({"a": 2, "b": 2, "c": 2}), DATA)
    other = DataSection(
        split_shares={"train": 0.2, "validation": 0.2, "test": 0.6}, split_salt="other", hold_out_channels=False
    )
    more = members({"a": 4, "b": 2, "c": 2, "d": 3, "e": 3})
    second = assign_splits(root, more, other)
    assert {name: second[name] for name in first} == first
    assert second["a-3"].split == first["a-0"].split, "a new recording goes with its channel"
    assert assign_splits(root, more, DATA) == second
    assert json.loads((tmp_path / "splits" / "channels" / "a.json").read_text()) == {"split": first["a-0"].split}


def test_channels_that_were_split_by_recording_stay_so(tmp_path: Path) -> None:
    root = str(tmp_path)
    assign_splits(root, members({"a": 3}), DATA)
    splits = assign_splits(root, members({"a": 6, "b": 2, "c": 2}), DATA)
    assert {splits[f"a-{n}"].unit for n in range(6)} == {"recording"}
    assert {splits[f"b-{n}"].unit for n in range(2)} == {"channel"}


def test_the_order_of_the_members_does_not_count(tmp_path: Path) -> None:
    everyone = members({f"c{n}": 2 for n in range(6)})
    one = assign_splits(str(tmp_path / "one"), everyone, DATA)
    two = assign_splits(str(tmp_path / "two"), everyone[::-1], DATA)
    assert {name: record.split for name, record in one.items()} == {name: record.split for name, record in two.items()}


def test_another_process_may_be_first(tmp_path: Path) -> None:
    everyone = members({"a": 1, "b": 1, "c": 1})
    first = assign_splits(str(tmp_path), everyone, DATA)
    (tmp_path / "splits" / "a-0.json").unlink()
    assert assign_splits(str(tmp_path), everyone, DATA)["a-0"].split == first["a-0"].split
    assert read_split(str(tmp_path), "nobody") is None


def test_hours_count_not_recordings(tmp_path: Path) -> None:
    everyone = [*members({"unknown": 20}, hours=0.1), Member("long", "unknown", 4.0)]
    splits = assign_splits(str(tmp_path), everyone, DATA)
    hours = Counter()
    for member in everyone:
        hours[splits[member.recording_id].split] += member.hours
    assert all(hours[split] > 0 for split in ("train", "validation", "test"))
    assert hours[splits["long"].split] == pytest.approx(4.0, abs=0.7)


WITHIN = DATA.model_copy(update={"hold_out_channels": False})


def shares_within(splits: dict[str, SplitRecord], channel: str) -> Counter:
    return Counter(record.within for record in splits.values() if record.channel == channel)


def test_recordings_of_a_large_channel_are_also_held_out_within_it(tmp_path: Path) -> None:
    splits = assign_splits(str(tmp_path), members({"a": 20, "b": 20, "c": 20, "small": 9}), DATA)
    assert shares_within(splits, "a") == {"train": 16, "validation": 2, "test": 2}
    assert shares_within(splits, "small") == {None: 9}
    assert {split_for(r, WITHIN) for r in splits.values() if r.channel == "b"} == {"train", "validation", "test"}
    general = {name: split_for(record, DATA) for name, record in splits.items()}
    training = next(record.channel for record in splits.values() if record.split == "train" and record.within)
    assert Counter(general[name] for name, r in splits.items() if r.channel == training) == {"train": 16, None: 4}
    held_out = {name for name, record in splits.items() if split_for(record, WITHIN) != "train"}
    learned = {name for name, split in general.items() if split == "train"}
    assert not held_out & learned, "what a model of a channel is judged on, no general model has learned"


def test_a_channel_that_grows_holds_out_from_then_on(tmp_path: Path) -> None:
    root = str(tmp_path)
    first = assign_splits(root, members({"a": 8, "b": 8, "c": 8}), DATA)
    assert {record.within for record in first.values()} == {None}
    judging = next(record.channel for record in first.values() if record.split == "test")
    splits = assign_splits(root, members({"a": 8, "b": 8, "c": 8} | {judging: 14}), DATA)
    assert {name: splits[name] for name in first} == first
    new = [record for name, record in splits.items() if record.channel == judging and name not in first]
    assert Counter(record.within for record in new) == {"train": 5, "validation": 1}, "of test it has eight already"
    assert {split_for(record, DATA) for record in new} == {"test"}


def test_a_recording_that_was_split_by_itself_has_one_split(tmp_path: Path) -> None:
    splits = assign_splits(str(tmp_path), members({"one": 12, "unknown": 12}), DATA)
    assert {record.within for record in splits.values()} == {None}
    assert all(split_for(record, DATA) == split_for(record, WITHIN) == record.split for record in splits.values())
