"""Augmented pictures keep their shape and their label, and depend on the generator alone."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from ml_training.data.augmentation.pictures import ALTERATIONS, apply_change, augment, draw_change

IMAGE = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
FLAT = np.full((224, 224, 3), (180, 60, 40), np.uint8)
KINDS = {kind.name: kind for kind in ALTERATIONS}


def scene():
    """Return a soft picture: what it shows is what stays."""
    small = np.random.default_rng(5).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (224, 224), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_the_same_generator_gives_the_same_picture():
    first, second = (augment(IMAGE, np.random.default_rng([1, 2])) for _ in range(2))
    assert first.dtype == np.uint8
    assert first.shape == IMAGE.shape
    assert np.array_equal(first, second)


def test_another_process_gives_the_same_picture():
    """What is drawn once for all pictures (letters, noise) does not depend on the process either."""
    code = (
        "import hashlib, numpy as np\n"
        "from ml_training.data.augmentation.pictures import ALTERATIONS\n"
        "image = np.full((224, 224, 3), 90, np.uint8)\n"
        "for kind in ALTERATIONS: image = kind.draw(np.random.default_rng(4))(image)\n"
        "print(hashlib.sha256(image.tobytes()).hexdigest())"
    )
    once, again = (subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(2))
    assert len(once.stdout) > 60
    assert once.stdout == again.stdout


def test_generators_differ():
    pictures = [augment(IMAGE, np.random.default_rng([1, i])) for i in range(5)]
    assert all(not np.array_equal(pictures[0], other) for other in pictures[1:])


def test_the_original_is_not_touched():
    before = IMAGE.copy()
    for seed in range(20):
        augment(IMAGE, np.random.default_rng(seed))
    assert np.array_equal(IMAGE, before)


def test_colours_stay_near():
    """A red picture stays red: what changes must not change what is seen."""
    for seed in range(50):
        red, green, blue = np.median(augment(FLAT, np.random.default_rng(seed)).reshape(-1, 3), axis=0)
        assert red > green + 45
        assert red > blue + 45


def test_one_change_serves_all_frames_of_a_window():
    change = draw_change(np.random.default_rng(7))
    first, second = (apply_change(scene(), change) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("size", [(224, 224), (96, 128)])
def test_each_change_keeps_shape_and_is_seen_but_leaves_the_picture(name, size):
    """Alone it changes something, and what is there is still what was there."""
    image = np.asarray(cv2.resize(scene(), size[::-1]), np.uint8)
    before = image.copy()
    distances = []
    for seed in range(12):
        changed = KINDS[name].draw(np.random.default_rng(seed))(image)
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert np.array_equal(image, before)
        compared = cv2.flip(changed, 1) if name == "mirror" else changed
        distances.append(float(np.median(np.abs(compared.astype(int) - image.astype(int)))))
        if name != "mirror":
            assert distances[-1] < 45
    assert any(d > 0 for d in distances) or not np.array_equal(changed, image)


def test_grain_and_compression_are_no_stronger_than_stated():
    for name, bound in (("grain", 8.0), ("compression", 8.0), ("scaling chain", 8.0), ("soft or sharp", 8.0)):
        for seed in range(20):
            changed = KINDS[name].draw(np.random.default_rng(seed))(scene())
            assert np.abs(changed.astype(float) - scene()).mean() < bound


def test_every_kind_is_drawn_as_often_as_stated():
    drawn = [len(draw_change(np.random.default_rng(seed))) for seed in range(600)]
    assert np.mean(drawn) == pytest.approx(sum(kind.share for kind in ALTERATIONS), abs=0.2)
