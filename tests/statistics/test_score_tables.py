"""Figures of scores: exact estimates, draws that see nearly the same, pairs that are paired."""

import numpy as np
import pytest
from ml_training.statistics.score_tables import ScoreTable, paired_score_difference, score_intervals
from ml_training.utils.metrics import average_precision, calibration

GENERATOR = np.random.default_rng(4)


def drawn(recordings: int, frames: int, separation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids = np.repeat([f"r{number:02d}" for number in range(recordings)], frames).astype(object)
    labels = GENERATOR.integers(0, 2, len(ids))
    scores = 1 / (1 + np.exp(-GENERATOR.normal(separation * (labels - 0.5), 1)))
    return ids, labels, scores.astype(np.float32)


@pytest.mark.parametrize("frames", [20, 200])  # fewer and more scores than there are steps
def test_estimates_are_exact_and_lie_in_their_intervals(frames):
    ids, labels, scores = drawn(20, frames, 3.0)
    found = score_intervals(ScoreTable.of(ids, labels, scores))
    assert found["average_precision"].value == average_precision(labels, scores)
    assert found["calibration_error"].value == calibration(labels, scores).error
    for interval in found.values():
        assert interval.low <= interval.value <= interval.high
        assert interval.recordings == 20


def test_draws_see_what_the_exact_figure_sees():
    """Equal recordings make every draw the same set, so that the interval is the rounding alone."""
    _, labels, scores = drawn(1, 800, 2.0)
    ids = np.repeat([f"r{number}" for number in range(6)], 800).astype(object)
    found = score_intervals(ScoreTable.of(ids, np.tile(labels, 6), np.tile(scores, 6)))
    for interval in found.values():
        assert interval.low == pytest.approx(interval.value, abs=2e-3)
        assert interval.high == pytest.approx(interval.value, abs=2e-3)


def test_the_better_of_two_is_better_on_the_same_recordings():
    ids, labels, scores = drawn(15, 100, 3.0)
    noisy = np.clip(scores + GENERATOR.normal(0, 0.3, len(scores)), 0, 1)
    good, bad = ScoreTable.of(ids, labels, scores), ScoreTable.of(ids, labels, noisy)
    difference = paired_score_difference(good, bad, "average_precision")
    assert difference.value > 0
    assert difference.low > 0
    assert paired_score_difference(good, good, "calibration_error").high == 0
    with pytest.raises(ValueError, match="same recordings"):
        paired_score_difference(good, ScoreTable.of(ids[:100], labels[:100], scores[:100]), "average_precision")
