"""Creatives: each belongs to one split, and its frames elsewhere are masked."""

from collections import Counter

import numpy as np
from ml_training.data.masking import airings, creative_splits, foreign_frames, split_of_creative
from ml_training.utils.records import Segment

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}


def ad(start: float, end: float, creative: str | None) -> Segment:
    return Segment(start_seconds=start, end_seconds=end, label="ad", creative=creative)


def test_creatives_are_spread_by_the_shares() -> None:
    counts = Counter(split_of_creative(f"ad-{n}", SHARES.keys(), SHARES, "salt") for n in range(4000))
    for split, share in SHARES.items():
        assert abs(counts[split] / 4000 - share) < 0.03


def test_a_creative_of_one_split_belongs_to_it_and_moves_only_to_a_new_one() -> None:
    for number in range(200):
        name = f"ad-{number}"
        assert split_of_creative(name, {"test"}, SHARES, "s") == "test"
        before = split_of_creative(name, {"train", "test"}, SHARES, "s")
        after = split_of_creative(name, set(SHARES), SHARES, "s")
        assert after in (before, "validation")


def test_the_same_salt_gives_the_same_split_and_another_gives_another() -> None:
    names = [f"ad-{n}" for n in range(50)]
    first = [split_of_creative(name, set(SHARES), SHARES, "s") for name in names]
    assert first == [split_of_creative(name, set(SHARES), SHARES, "s") for name in names]
    assert first != [split_of_creative(name, set(SHARES), SHARES, "t") for name in names]


def test_frames_of_foreign_creatives_are_found_but_plain_ones_are_not() -> None:
    recordings = {"a": ("train", [ad(0, 2, "x"), ad(2, 4, "y"), ad(4, 6, None)]), "b": ("test", [ad(0, 2, "x")])}
    assert airings(recordings) == {"x": {"train", "test"}, "y": {"train"}}
    belongs_to = creative_splits(airings(recordings), SHARES, "s") | {"x": "test"}
    numbers = np.array([-1, 0, 0, 1, 2])
    plain = np.array([False, False, True, False, False])
    assert foreign_frames(recordings["a"][1], numbers, "train", belongs_to, plain).tolist() == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert not foreign_frames(recordings["b"][1], np.array([0]), "test", belongs_to, np.array([False])).any()
    assert foreign_frames([], np.array([-1]), "test", {}, np.array([False])).tolist() == [False]
