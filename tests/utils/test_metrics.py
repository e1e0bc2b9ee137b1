"""Counts, curves and thresholds against values worked out by hand and by scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_training.utils.metrics import Counts, average_precision, best_f1_threshold, calibration, precision_recall_curve
from sklearn.metrics import average_precision_score, matthews_corrcoef

LABELS = np.array([1, 1, 0, 0, 1, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.1])


def test_counts_by_hand():
    counts = Counts.of(LABELS, SCORES >= 0.65)
    assert counts == Counts(true_positives=2, false_positives=1, false_negatives=1, true_negatives=2)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(2 / 3)


def test_nothing_called_is_zero_not_an_error():
    assert Counts.of(LABELS, SCORES > 1)[:3] == (0, 0, 3)
    assert Counts.of(LABELS, SCORES > 1).f1 == 0


def test_best_threshold_by_hand():
    # at 0.6: three of three ads, one false: F1 6/7, the best there is
    assert best_f1_threshold(LABELS, SCORES) == pytest.approx(0.45)


def test_scores_that_are_shares_are_calibrated():
    labels = np.repeat([1, 0, 1, 0], [2, 8, 9, 1])
    scores = np.repeat([0.2, 0.9], [10, 10])
    assert calibration(labels, scores).error == pytest.approx(0)
    found = calibration(labels, np.repeat([0.5, 1.0], [10, 10]), bins=10)
    assert found.error == pytest.approx((0.3 + 0.1) / 2)  # 0.5 where 0.2 are ads, 1.0 where 0.9 are
    assert found.frames[[5, 9]].tolist() == [10, 10]
    assert calibration(np.array([]), np.array([])).error == 0


labelled_scores = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5, 0.75, 1.0])), min_size=2, max_size=60
).filter(lambda pairs: {label for label, _ in pairs} == {0, 1})


@given(labelled_scores)
def test_average_precision_is_scikit_learns(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))


@given(labelled_scores)
def test_mcc_is_scikit_learns(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    assert Counts.of(labels, scores >= 0.5).mcc == pytest.approx(matthews_corrcoef(labels, scores >= 0.5))


@given(labelled_scores)
def test_no_threshold_of_the_curve_beats_the_best(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    best = Counts.of(labels, scores >= best_f1_threshold(labels, scores)).f1
    for threshold in precision_recall_curve(labels, scores).thresholds:
        assert Counts.of(labels, scores >= threshold).f1 <= best + 1e-12
