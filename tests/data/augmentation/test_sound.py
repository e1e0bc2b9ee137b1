"""Sound keeps its length, its silence and its shape under gain and noise."""

import numpy as np
import pytest
from ml_training.data.augmentation.sound import GAINS_DB, augment_sound

TONE = (8000 * np.sin(np.arange(160_000) * 2 * np.pi * 440 / 16_000)).astype(np.int16)


def test_the_same_generator_gives_the_same_sound():
    first, second = (augment_sound(TONE, np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == np.int16
    assert first.shape == TONE.shape
    assert np.array_equal(first, second)


def test_gain_and_noise_stay_within_what_is_stated():
    gains, ratios = [], []
    for seed in range(60):
        changed = augment_sound(TONE, np.random.default_rng(seed)).astype(float)
        gain = changed @ TONE / (TONE.astype(float) @ TONE)
        rest = changed - gain * TONE
        gains.append(20 * np.log10(gain))
        ratios.append(20 * np.log10(np.std(gain * TONE) / max(np.std(rest), 1e-9)))
    assert min(gains) > GAINS_DB[0] - 0.3
    assert max(gains) < GAINS_DB[1] + 0.3
    assert max(gains) - min(gains) > 10
    assert 14 < min(ratios) < 25
    assert 0.25 < np.mean(np.array(ratios) < 45) < 0.75  # half of the stretches get noise


def test_digital_silence_stays_silent():
    for seed in range(20):
        assert not augment_sound(np.zeros(16_000, np.int16), np.random.default_rng(seed)).any()


@pytest.mark.parametrize("level", [32_767, -32_768])
def test_full_scale_never_wraps(level):
    loud = np.full(16_000, level, np.int16)
    for seed in range(20):
        changed = augment_sound(loud, np.random.default_rng(seed)).astype(float)
        assert changed.mean() * np.sign(level) > 3000


def test_no_sound_is_no_error():
    assert augment_sound(np.zeros(0, np.int16), np.random.default_rng(1)).shape == (0,)
