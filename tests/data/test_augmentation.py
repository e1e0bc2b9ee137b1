"""Augmented pictures keep their shape and their label, and depend on the generator alone."""

import numpy as np
from ml_training.data.augmentation import augment

IMAGE = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
FLAT = np.full((224, 224, 3), (180, 60, 40), np.uint8)


def test_the_same_generator_gives_the_same_picture():
    first, second = (augment(IMAGE, np.random.default_rng([1, 2])) for _ in range(2))
    assert first.dtype == np.uint8
    assert first.shape == IMAGE.shape
    assert np.array_equal(first, second)


def test_generators_differ():
    pictures = [augment(IMAGE, np.random.default_rng([1, i])) for i in range(5)]
    assert all(not np.array_equal(pictures[0], other) for other in pictures[1:])


def test_the_original_is_not_touched():
    before = IMAGE.copy()
    augment(IMAGE, np.random.default_rng(3))
    assert np.array_equal(IMAGE, before)


def test_colours_stay_near():
    """A red picture stays red: what changes must not change what is seen."""
    for seed in range(50):
        red, green, blue = augment(FLAT, np.random.default_rng(seed)).reshape(-1, 3).mean(axis=0)
        assert red > green + 50
        assert red > blue + 50
