"""Logos and captions come on and go off where channels have them, and nowhere else."""

import numpy as np
from ml_training.data.augmentation.overlays import draw_caption, draw_logo, draw_removal
from ml_training.data.augmentation.sprites import captions, logos

GRAY = np.full((224, 224, 3), 110, np.uint8)


def touched(image, other):
    """Return the rows and columns in which two pictures differ, as shares of the sides."""
    rows, columns = np.nonzero((image != other).any(axis=2))
    return rows / image.shape[0], columns / image.shape[1]


def test_a_logo_stands_in_a_corner():
    for seed in range(100):
        rows, columns = touched(draw_logo(np.random.default_rng(seed))(GRAY), GRAY)
        assert len(rows)
        assert rows.max() < 0.3 or rows.min() > 0.7
        assert columns.max() < 0.45 or columns.min() > 0.55


def test_captions_leave_the_middle_free():
    for seed in range(100):
        rows, _ = touched(draw_caption(np.random.default_rng(seed))(GRAY), GRAY)
        assert len(rows)
        assert rows.min() > 0.6 or rows.max() < 0.3


def test_overlays_cover_little():
    for seed in range(100):
        changed = draw_caption(np.random.default_rng(seed))(GRAY)
        assert (changed != GRAY).any(axis=2).mean() < 0.25


def test_all_sprites_differ():
    for sprites in (logos(), captions()):
        assert len({sprite.colours.tobytes() + sprite.cover.tobytes() for sprite in sprites}) > 0.9 * len(sprites)
        assert all(sprite.cover.max() > 100 for sprite in sprites)


def test_removal_takes_a_logo_away_and_leaves_the_rest():
    """A bright mark where channels keep theirs is gone wherever the box covers it; outside of it nothing moves."""
    image = np.linspace(60, 160, 224).astype(np.uint8)[None, :, None].repeat(224, 0).repeat(3, 2)
    marked = image.copy()
    marked[20:26, 190:204] = 255
    gone = 0
    for seed in range(200):
        removed = draw_removal(np.random.default_rng(seed))(marked)
        assert (removed != marked).any(axis=2).mean() < 0.06
        if removed[20:26, 190:204].max() < 250:
            gone += 1
            assert np.abs(removed.astype(int) - image).max() < 12
    assert gone > 20
