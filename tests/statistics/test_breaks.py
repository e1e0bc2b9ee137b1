"""Breaks are made, matched and scored as a person would with pencil and paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_training.statistics.breaks import (
    BreakMatches,
    break_f1_difference,
    break_scores,
    breaks_of,
    false_minutes_per_hour,
    false_seconds,
    intersection_over_union,
    match_breaks,
    trim_unscored,
    unscored_of,
)


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        ([(30, 55, "promo")], [(0, 100)]),
        ([(30, 40, "ident"), (40, 58, "sponsor")], [(0, 100)]),  # unlabelled time may be spanned, too
        ([], [(0, 100)]),
        ([(30, 55, "content")], [(0, 30), (60, 100)]),
        ([(30, 40, "promo"), (40, 45, "content")], [(0, 30), (60, 100)]),
    ],
)
def test_a_break_spans_what_is_not_scored_but_no_content(between, expected):
    assert breaks_of([(0, 30, "ad"), *between, (60, 100, "ad")]) == expected


def test_a_break_spans_thirty_seconds_and_no_more():
    assert breaks_of([(0, 30, "ad"), (30, 60, "promo"), (60, 90, "ad")]) == [(0, 90)]
    assert breaks_of([(0, 30, "ad"), (30, 60.5, "promo"), (60.5, 90, "ad")]) == [(0, 30), (60.5, 90)]
    assert breaks_of([(0, 30, "ad"), (35, 60, "ad")], bridge_seconds=1) == [(0, 30), (35, 60)]


def test_promos_at_the_edge_are_no_part_of_the_break_and_spots_need_no_order():
    labels = [(50, 80, "ad"), (0, 10, "promo"), (10, 30, "ad"), (30, 50, "ad"), (80, 90, "ident"), (90, 200, "content")]
    assert breaks_of(labels) == [(10, 80)]
    assert breaks_of([]) == []


def test_unscored_time_is_what_is_neither_ad_nor_content():
    labels = [(5, 10, "content"), (10, 20, "promo"), (20, 30, "ad"), (32, 40, "content")]
    assert unscored_of(labels, 50) == [(0, 5), (10, 20), (30, 32), (40, 50)]
    assert unscored_of([(0, 50, "content")], 50) == []


def test_boundaries_inside_unscored_time_are_right_anywhere():
    unscored = [(10, 20), (50, 60), (60, 65)]
    assert trim_unscored([(12, 50), (20, 63), (52, 58), (19.9, 70)], unscored) == [(20, 50), (20, 50), (20, 70)]
    assert trim_unscored([(5, 30)], unscored) == [(5, 30)]


def test_overlap_by_hand():
    assert intersection_over_union((0, 10), (5, 15)) == pytest.approx(5 / 15)
    assert intersection_over_union((0, 10), (10, 20)) == 0
    assert intersection_over_union((0, 10), (0, 10)) == 1


def test_each_break_counts_once_and_the_best_overlap_first():
    matches = match_breaks([(0, 100), (200, 260), (500, 530)], [(0, 52), (2, 99), (202, 255), (700, 720)])
    assert matches.pairs == [((0, 100), (2, 99)), ((200, 260), (202, 255))]
    assert matches.missed == [(500, 530)]
    assert matches.false == [(0, 52), (700, 720)]
    assert matches.boundary_errors == [2, 1, 2, 5]


def test_half_overlap_is_enough_and_less_is_not():
    assert len(match_breaks([(0, 10)], [(0, 20)]).pairs) == 1
    assert len(match_breaks([(0, 10)], [(0, 20.1)]).pairs) == 0
    assert len(match_breaks([(0, 10)], [(0, 20.1)], least_iou=0.4).pairs) == 1


def test_scores_by_hand():
    scores = break_scores([match_breaks([(0, 30), (100, 130)], [(1, 30), (300, 320)]), match_breaks([], [])])
    assert (scores.precision.value, scores.recall.value, scores.f1.value) == (0.5, 0.5, 0.5)
    assert scores.median_boundary_error_seconds.value == 0.5
    assert scores.boundary_error_90_seconds.value == pytest.approx(0.9)
    assert scores.f1.recordings == 2


def test_nothing_found_has_no_boundary_error():
    scores = break_scores([match_breaks([(0, 30)], [])])
    assert scores.as_dict()["f1"]["value"] == 0
    assert scores.as_dict()["median_boundary_error_seconds"] is None
    assert break_scores([]).f1.value == 0


def test_intervals_span_what_recordings_say():
    generator = np.random.default_rng(2)
    errors = generator.uniform(0, 2, 60)
    recordings = [match_breaks([(0, 60)], [(float(error), 60)] if error < 1.6 else []) for error in errors]
    scores = break_scores(recordings)
    assert scores.recall.low < scores.recall.value < scores.recall.high
    assert scores.recall.high - scores.recall.low < 0.3
    assert scores.boundary_error_90_seconds.low <= scores.boundary_error_90_seconds.value
    same = break_scores([match_breaks([(0, 60)], [(0.4, 60.4)])] * 8).median_boundary_error_seconds
    assert same.low == pytest.approx(0.4) == same.high


def test_the_median_of_unordered_errors_has_a_narrow_interval():
    falling = [match_breaks([(0, 60)], [(error, 60 + error)]) for error in np.linspace(4, 0, 41).tolist()]
    median = break_scores(falling).median_boundary_error_seconds
    assert median.value == pytest.approx(2)
    assert 1 < median.low < 2 < median.high < 3


def test_a_better_detector_is_better_by_more_than_chance():
    good = [match_breaks([(0, 60)], [(0, 60)]) for _ in range(20)]
    bad = [match_breaks([(0, 60)], [(0, 60)] if number % 2 else []) for number in range(20)]
    difference = break_f1_difference(good, bad)
    assert difference.value == pytest.approx(1 - 2 / 3)
    assert difference.low > 0
    assert break_f1_difference(good, good).high == 0


def test_false_time_by_hand():
    assert false_seconds([(10, 20)], [(5, 25), (24, 30)]) == 15  # the overlap of found breaks counts once
    assert false_seconds([(10, 20)], [(5, 25)], unscored=[(20, 30)]) == 5
    assert false_seconds([], []) == 0
    assert false_minutes_per_hour([30, 0], [1800, 1800]).value == pytest.approx(0.5)
    assert false_minutes_per_hour([], []).value == 0


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=6).map(
    lambda pairs: [(float(start), float(start + length)) for start, length in pairs]
)


@given(spans, spans)
def test_every_break_is_told_exactly_once(true, found):
    matches: BreakMatches = match_breaks(true, found)
    assert sorted([*(pair[0] for pair in matches.pairs), *matches.missed]) == sorted(true)
    assert sorted([*(pair[1] for pair in matches.pairs), *matches.false]) == sorted(found)


@given(spans)
def test_what_is_true_is_found_without_error(true):
    separate = breaks_of([(start, end, "ad") for start, end in true], bridge_seconds=0)
    scores = break_scores([match_breaks(separate, separate)])
    assert scores.f1.value == (1 if separate else 0)
    assert false_seconds(separate, separate) == 0
