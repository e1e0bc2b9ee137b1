"""Models that vote: each brings its own threshold."""

import numpy as np
import pytest
from ml_training.config.ensemble import read_ensemble
from ml_training.inference.ensemble import Ensemble, centred
from ml_training.inference.models import Reading
from ml_training.inference.stretch import stretch_of
from ml_training.utils.errors import ConfigError

STRETCH = stretch_of(np.zeros((3, 8, 8, 3), np.uint8))


class Fixed:
    """A member that always says the same."""

    class_names = ("content", "ad")

    def __init__(self, scores, threshold=0.5):
        self.scores, self.threshold = np.array(scores, np.float32), threshold

    def score(self, stretch):
        return self.scores

    def embeddings(self, stretch):
        return self.scores[:, None] * np.ones((1, 2), np.float32)

    def read(self, stretch):
        return Reading(self.scores, np.stack([1 - self.scores, self.scores], 1), self.embeddings(stretch))


def test_members_with_other_thresholds_mean_the_same():
    low, high = Fixed([0.1, 0.2, 0.5], threshold=0.2), Fixed([0.7, 0.8, 0.95], threshold=0.8)
    scores = Ensemble([low, high]).score(STRETCH)
    assert scores[0] < 0.5 < scores[2]
    assert scores[1] == pytest.approx(0.5, abs=1e-6)


def test_a_weight_counts():
    yes, no = Fixed([0.9, 0.9, 0.9]), Fixed([0.2, 0.2, 0.2])
    assert Ensemble([yes, no], weights=[1, 3]).score(STRETCH)[0] == pytest.approx(0.375)
    assert Ensemble([yes, no], weights=[0, 1]).score(STRETCH)[0] == pytest.approx(0.2)


def test_the_majority_decides():
    members = [Fixed([0.9, 0.9, 0.1]), Fixed([0.6, 0.1, 0.1]), Fixed([0.1, 0.1, 0.99], threshold=0.05)]
    ensemble = Ensemble(members, voting="majority")
    assert (ensemble.score(STRETCH) >= ensemble.threshold).tolist() == [True, True, False]
    assert ensemble.score(STRETCH).tolist() == pytest.approx([1.0, 2 / 3, 1 / 3])
    even = Ensemble(members[:2], voting="majority")
    assert (even.score(STRETCH) >= even.threshold).tolist() == [True, True, False]


def test_readings_hold_all_embeddings():
    reading = Ensemble([Fixed([0.1, 0.2, 0.3]), Fixed([0.4, 0.5, 0.6])]).read(STRETCH)
    assert reading.embeddings.shape == (3, 4)
    assert np.allclose(reading.classes.sum(axis=1), 1)


def test_certain_members_stay_finite():
    assert np.all(np.isfinite(centred(np.array([0.0, 1.0], np.float32), 0.0)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: []", "models"),
        ("models: [a, b]\nweights: [1]", "for each of the 2 models"),
        ("models: [a]\nvoting: loudest", "voting"),
        ("models: [a]\nwieghts: [1]", "known keys: models, voting, weights"),
        ("models: [a", "is not YAML"),
    ],
)
def test_mistakes_are_said(tmp_path, text, message):
    path = tmp_path / "ensemble.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_ensemble(path)
    with pytest.raises(ConfigError, match="there is no ensemble file"):
        read_ensemble(tmp_path / "other.yaml")
