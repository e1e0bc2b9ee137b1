"""Intervals cover what they should, and pairs are paired."""

import numpy as np
import pytest
from ml_training.statistics.intervals import (
    RecordingCounts,
    count_by_recording,
    metric_intervals,
    metric_values,
    paired_difference,
    spanned,
    sum_interval,
)


def test_counts_are_kept_by_recording():
    recordings = np.array(["b", "a", "a", "b"])
    table = count_by_recording(recordings, np.array([1, 1, 0, 0]), np.array([True, False, False, True]))
    assert table.recordings == ["a", "b"]
    assert table.counts.tolist() == [[0, 0, 1, 1], [1, 1, 0, 0]]


def test_one_recording_has_no_interval():
    interval = metric_intervals(RecordingCounts(np.array([[8, 2, 2, 88]]), ["a"]))["precision"]
    assert (interval.value, interval.low, interval.high, interval.recordings) == (0.8, None, None, 1)


def test_equal_recordings_leave_no_doubt():
    table = RecordingCounts(np.tile([[8, 2, 2, 88]], (10, 1)), [str(i) for i in range(10)])
    for interval in metric_intervals(table).values():
        assert interval.low == pytest.approx(interval.value)
        assert interval.high == pytest.approx(interval.value)


def test_an_interval_in_words():
    assert spanned({"value": 0.79342, "low": 0.7193, "high": 0.8594}) == "0.7934 (0.7193 to 0.8594)"
    assert spanned({"value": 0.5, "low": None, "high": None}) == "0.5000"


def test_interval_covers_the_truth_about_95_times_in_100():
    generator = np.random.default_rng(3)
    truth, covered, trials = 0.8, 0, 150
    for _ in range(trials):
        hits = generator.binomial(50, truth, size=30)
        counts = np.stack([hits, np.zeros(30), 50 - hits, np.full(30, 50)], axis=1).astype(np.int64)
        recall = metric_intervals(RecordingCounts(counts, [str(i) for i in range(30)]))["recall"]
        covered += recall.low <= truth <= recall.high
    assert 0.88 <= covered / trials <= 1.0


def test_a_paired_difference_is_narrower_than_two_intervals():
    generator = np.random.default_rng(5)
    hits = generator.integers(10, 50, size=20)  # recordings differ much, the two models differ by one frame each
    names = [str(i) for i in range(20)]
    first = RecordingCounts(np.stack([hits, hits * 0 + 2, 50 - hits, hits * 0 + 100], axis=1), names)
    second = RecordingCounts(np.stack([hits - 1, hits * 0 + 2, 51 - hits, hits * 0 + 100], axis=1), names)
    difference = paired_difference(first, second, "recall")
    alone = metric_intervals(first)["recall"]
    assert difference.value == pytest.approx(0.02)
    assert difference.low > 0
    assert difference.high - difference.low < (alone.high - alone.low) / 5


def test_pairs_of_other_recordings_are_refused():
    counts = np.array([[1, 0, 0, 1]])
    with pytest.raises(ValueError, match="same recordings"):
        paired_difference(RecordingCounts(counts, ["a"]), RecordingCounts(counts, ["b"]), "f1")


def test_values_of_nothing_are_zero():
    assert metric_values(np.zeros(4)) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "mcc": 0.0}


def test_metrics_by_hand():
    values = metric_values(np.array([90, 10, 30, 870]))
    assert values["precision"] == pytest.approx(0.9)
    assert values["recall"] == pytest.approx(0.75)
    assert values["mcc"] == pytest.approx((90 * 870 - 10 * 30) / np.sqrt(100.0 * 120 * 880 * 900))
    assert metric_values(np.array([[4, 0, 0, 6], [0, 6, 4, 0]]))["mcc"].tolist() == [1, -1]


def test_any_sum_over_recordings_has_an_interval():
    seconds = np.array([[10.0, 100.0], [30.0, 100.0], [20.0, 100.0]])
    share = sum_interval(seconds, lambda sums: sums[..., 0] / sums[..., 1])
    assert share.value == pytest.approx(0.2)
    assert 0.1 <= share.low < 0.2 < share.high <= 0.3
    assert sum_interval(seconds, lambda sums: sums[..., 0], value=7).value == 7
