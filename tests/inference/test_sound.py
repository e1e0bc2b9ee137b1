"""What a frame hears is the MFCC of its own ten seconds, however many frames are heard together."""

import numpy as np
import pytest
from ml_training.inference.mfcc import mfcc
from ml_training.inference.sound import clip_windows, hear, scale_mfcc
from ml_training.inference.stretch import stretch_of

RATE = 16_000
SECONDS = (-5.0, 5.0)


@pytest.fixture(scope="module")
def stretch():
    sound = np.random.default_rng(0).normal(0, 2000, 40 * RATE).astype(np.int16)
    return stretch_of(np.zeros((40, 8, 8, 3), np.uint8), sound=sound)


def test_a_clip_is_the_mfcc_of_its_ten_seconds(stretch):
    heard = hear(stretch, np.array([12.0, 20.0, 21.0]), seconds=SECONDS, bands=40)
    assert heard.shape == (3, 998, 40)
    assert heard.dtype == np.float32
    assert clip_windows(10.0) == 998
    for place, second in enumerate((12, 20, 21)):
        assert np.allclose(heard[place], scale_mfcc(mfcc(stretch.sound(second - 5, second + 5), 40)), atol=1e-4)


def test_times_between_the_grid_are_heard_the_same_alone_and_together(stretch):
    times = np.array([10.0133, 11.0477, 12.081])
    together = hear(stretch, times, seconds=SECONDS, bands=32)
    for place in range(3):
        alone = hear(stretch, times[place : place + 1], seconds=SECONDS, bands=32)
        assert np.allclose(together[place], alone[0], atol=1e-5)


def test_before_the_recording_there_is_silence(stretch):
    heard = hear(stretch, np.array([0.0]), seconds=SECONDS, bands=32)[0]
    assert np.all(heard[:490, 0] < -1)
    assert heard[510:, 0].mean() > heard[:490, 0].mean() + 1


def test_no_sound_is_none():
    assert hear(stretch_of(np.zeros((2, 8, 8, 3), np.uint8)), np.array([0.0]), seconds=SECONDS, bands=40) is None


def test_scaled_sound_stays_within_its_limits():
    loud = mfcc((np.random.default_rng(1).normal(0, 20_000, RATE)).clip(-32_768, 32_767).astype(np.int16))
    silence = mfcc(np.zeros(RATE, np.int16))
    for scaled in (scale_mfcc(loud), scale_mfcc(silence)):
        assert np.abs(scaled).max() <= 4.0
    assert scale_mfcc(silence)[:, 0].max() < scale_mfcc(loud)[:, 0].min()
