"""Arrays in memory are cut as a recording is."""

import numpy as np
from ml_training.inference.stretch import stretch_of


def test_sound_outside_is_zero_and_inside_is_exact():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    sound = np.arange(1, 40_001).astype(np.int16)
    stretch = stretch_of(images, sound=sound, rate=10_000)
    assert len(stretch) == 4
    assert stretch.images(1, 3).shape == (2, 8, 8, 3)
    assert stretch.sound is not None
    across_start = stretch.sound(-0.5, 0.5)
    assert not across_start[:5000].any()
    assert np.array_equal(across_start[5000:], sound[:5000])
    across_end = stretch.sound(3.5, 4.5)
    assert np.array_equal(across_end[:5000], sound[35_000:])
    assert not across_end[5000:].any()
    assert not stretch.sound(9.0, 10.0).any()


def test_without_sound_there_is_none():
    assert stretch_of(np.zeros((2, 8, 8, 3), np.uint8)).sound is None
