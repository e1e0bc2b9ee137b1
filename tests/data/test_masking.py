"""Creatives: each belongs to one split, and its frames elsewhere are masked."""

from collections import Counter

import numpy as np
from ml_training.data.masking import (
    Span,
    airings,
    creative_splits,
    link_creatives,
    named_spans,
    paint,
    split_of_creative,
)
from ml_training.utils.records import Segment

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}


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


def test_where_creatives_air() -> None:
    segments = [
        Segment(start_seconds=0, end_seconds=2, label="ad", creative="x"),
        Segment(start_seconds=2, end_seconds=4, label="ad"),
    ]
    assert named_spans(segments) == [(0, 2, "x")]
    found = airings(
        [("train", named_spans(segments)), ("test", [Span(0, 1, "x"), Span(1, 2, "y")]), (None, [Span(0, 1, "z")])]
    )
    assert found == {"x": {"train", "test"}, "y": {"test"}}
    assert creative_splits(found, SHARES, "s").keys() == found.keys()


def test_labels_and_catalogue_mean_the_same_ad_when_they_cover_the_same_time() -> None:
    keys = link_creatives(
        [
            ([Span(10, 40, "soap"), Span(40, 70, "car")], [Span(10.2, 39.9, "c1"), Span(80, 90, "c9")]),
            ([Span(0, 30, "soap-again")], [Span(0.1, 30, "c1")]),
            ([Span(100, 130, "car")], [Span(100, 250, "c2")]),
        ]
    )
    assert keys == {"soap": "soap", "soap-again": "soap", "c1": "soap", "car": "car", "c2": "c2", "c9": "c9"}


def test_frames_of_foreign_creatives_are_found_but_plain_ones_are_not() -> None:
    pts = np.arange(8) + 0.5
    plain = np.zeros(8, bool)
    plain[1] = True
    spans = [Span(0, 3, "x"), Span(2, 5, "own"), Span(6, 7, "own")]
    foreign, numbers = paint(spans, pts, "train", {"x": "test", "own": "train"}, plain)
    assert foreign.tolist() == [True, False, True, False, False, False, False, False]
    assert numbers.tolist() == [0, -1, 0, 1, 1, -1, 2, -1], "the foreign creative shows where two air"
    foreign, _ = paint(spans, pts, "test", {"x": "test", "own": "train"}, plain)
    assert foreign.tolist() == [False, False, True, True, True, False, True, False]
    assert paint([], pts, "test", {}, plain)[1].tolist() == [-1] * 8
