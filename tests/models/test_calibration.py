"""Calibrated probabilities are as often right as they say, and the stored head gives them."""

import numpy as np
import pytest
import tf_keras as keras
from ml_training.models.calibration import calibrate_output, calibrated, fit_calibration
from ml_training.utils.errors import ModelError


def overconfident(count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose log-odds are three times too large, and moved."""
    generator = np.random.default_rng(4)
    odds = generator.normal(-1, 1.2, count)
    labels = (generator.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return 1 / (1 + np.exp(-(3 * odds + 1.5))), labels


def test_the_true_chances_come_back():
    scores, labels = overconfident()
    calibration = fit_calibration(scores, labels)
    assert calibration.slope == pytest.approx(1 / 3, abs=0.02)
    assert calibration.intercept == pytest.approx(-0.5, abs=0.05)
    after = calibrated(scores, calibration)
    for low in np.arange(0, 0.9, 0.1):
        inside = (after >= low) & (after < low + 0.1)
        if inside.sum() > 200:
            assert after[inside].mean() == pytest.approx(labels[inside].mean(), abs=0.05)


def test_the_head_gives_what_calibrated_gives():
    inputs = keras.layers.Input((6,), name="embeddings")
    head = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="ad")(inputs))
    features = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    scores = head(features).numpy()[:, 0]
    calibration = fit_calibration(scores, (features[:, 0] * head.get_weights()[0][0, 0] > 0).astype(np.int8))
    calibrate_output(head, calibration)
    assert np.allclose(head(features).numpy()[:, 0], calibrated(scores, calibration), atol=1e-5)


def test_scores_that_are_all_right_stay_finite():
    scores, labels = np.array([0.01, 0.02, 0.97, 0.99]), np.array([0, 0, 1, 1])
    after = calibrated(scores, fit_calibration(scores, labels))
    assert np.all(np.isfinite(after))
    assert np.all(np.diff(after) > 0)


def test_scores_that_know_nothing_are_refused():
    scores, labels = overconfident(500)
    with pytest.raises(ModelError, match="say nothing of the 500 labels"):
        fit_calibration(scores, 1 - labels)


def test_another_output_is_refused(networks):
    with pytest.raises(ModelError, match="expected a head that ends in one probability"):
        calibrate_output(networks["five classes"].head, fit_calibration(*overconfident(500)))
