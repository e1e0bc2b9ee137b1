"""Sound and pictures of a clip learn by themselves; how much each counts comes from validation."""

import numpy as np
import pytest
from ml_training.config.schema import ModelSection
from ml_training.models.multimodal import STATISTICS, branches_of, build_head
from ml_training.training.fusion import fit_fusion, fit_sound
from ml_training.utils.errors import ModelError

SECTION = ModelSection(architecture="multimodal")


@pytest.fixture
def head():
    return build_head(SECTION, embedding_size=8)


def sigmoid(odds):
    return 1 / (1 + np.exp(-odds))


def outputs(head, clips, *, sound=True):
    flags = np.full((len(clips["embeddings"]), 1), float(sound), np.float32)
    return head.predict_on_batch({**clips, "has_sound": flags})[:, 0]


@pytest.fixture
def clips():
    rng = np.random.default_rng(1)
    return {
        "embeddings": rng.normal(size=(16, 10, 8)).astype(np.float32),
        "sound": rng.normal(size=(16, 998, 40)).astype(np.float32),
    }


def test_the_statistics_are_mean_spread_and_rise_of_the_lower_coefficients(head, clips):
    mean, spread, rise = branches_of(head).statistics.predict_on_batch(clips["sound"])
    lower = clips["sound"][:, :, :20]
    assert np.allclose(mean, lower.mean(axis=1), atol=1e-4)
    assert np.allclose(2 * spread, np.abs(lower - lower.mean(axis=1, keepdims=True)).mean(axis=1), atol=1e-3)
    assert np.allclose(rise, np.maximum(np.diff(lower, axis=1), 0).mean(axis=1), atol=1e-3)


def test_sound_that_tells_ads_is_learned_and_noise_is_not(head):
    rng = np.random.default_rng(2)
    labels = (np.arange(400) % 4 == 0).astype(np.int64)
    statistics = rng.normal(size=(400, len(STATISTICS), 20))
    statistics[:, 1, 3] += 3.0 * labels
    fit_sound(head, statistics, labels)
    weights = [np.abs(head.get_layer(f"{name}_odds").get_weights()[0][:, 0]) for name in STATISTICS]
    assert weights[1][3] > 3 * max(weights[0].max(), weights[2].max())
    said = (
        sum(
            statistics[:, number] @ head.get_layer(f"{name}_odds").get_weights()[0][:, 0]
            for number, name in enumerate(STATISTICS)
        )
        + head.get_layer("sound_mean_odds").get_weights()[1]
    )
    assert said[labels == 1].mean() - said[labels == 0].mean() > 2


def test_each_branch_counts_as_much_as_it_knows(head, clips):
    rng = np.random.default_rng(3)
    labels = (rng.random(4000) < 0.3).astype(np.int64)
    clear = 2.0 * labels - 1 + rng.normal(size=4000)
    noise = rng.normal(size=4000)
    fused = fit_fusion(head, clear, noise, labels)
    assert np.corrcoef(fused, clear)[0, 1] > 0.99
    both = fit_fusion(head, clear, 2.0 * labels - 1 + rng.normal(size=4000), labels)
    assert np.mean((both > 0) == labels) > np.mean((fused > 0) == labels)
    assert np.mean(sigmoid(both)) == pytest.approx(labels.mean(), abs=0.02), "a probability means what it says"


def test_without_sound_the_pictures_alone_decide_and_mean_what_they_say(head, clips):
    rng = np.random.default_rng(4)
    labels = (rng.random(2000) < 0.3).astype(np.int64)
    seen, heard = (2.0 * labels - 1 + rng.normal(size=2000) for _ in range(2))
    fit_fusion(head, seen, heard, labels)
    kernel, bias = head.layers[-1].get_weights()
    assert np.mean(sigmoid(kernel[0] * seen + bias)) == pytest.approx(labels.mean(), abs=0.02)
    louder = {**clips, "sound": clips["sound"] + 1}
    assert np.allclose(outputs(head, clips, sound=False), outputs(head, louder, sound=False))
    assert not np.allclose(outputs(head, clips), outputs(head, louder))


def test_sound_that_contradicts_validation_is_left_out(head):
    rng = np.random.default_rng(5)
    labels = (rng.random(2000) < 0.3).astype(np.int64)
    seen = 2.0 * labels - 1 + rng.normal(size=2000)
    fused = fit_fusion(head, seen, 5.0 - 3.0 * labels + rng.normal(size=2000), labels)
    assert head.layers[-1].get_weights()[0][2] == 0
    assert np.mean(sigmoid(fused)) == pytest.approx(labels.mean(), abs=0.02), "a probability means what it says"


def test_pictures_that_contradict_the_labels_are_refused(head):
    labels = np.tile([0, 1], 2000)
    with pytest.raises(ModelError, match="say nothing of the 4000 labels"):
        fit_fusion(head, 3.0 - 6.0 * labels, np.zeros(4000), labels)
