"""What a channel lays over its pictures, added and taken away: logos and captions.

    step = draw_logo(np.random.default_rng(1))
    with_logo = step(image)                        # uint8 [H, W, 3] -> uint8 [H, W, 3]

A logo is the strongest single cue there is (Albiol 2004), and it deceives: channels keep theirs in ads, and programmes
have none. So both classes get logos and lose them by the same chance, and the same holds for captions.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from ml_training.data.augmentation.sprites import SIDE, Sprite, captions, logos

Image = npt.NDArray[np.uint8]
Step = Callable[[Image], Image]

LOGO_SIZES = (0.7, 1.3)  # of the stored size, which is 9 % of the picture's height
CAPTION_SIZES = (0.85, 1.1)
MARGINS = (0.03, 0.09)  # of the picture: where logos keep clear of the edge
OPACITIES = (0.35, 1.0)
REMOVED_WIDTH, REMOVED_HEIGHT = (0.12, 0.24), (0.09, 0.17)  # of the picture: a logo with some room around it


def draw_logo(generator: np.random.Generator) -> Step:
    """Put a channel's logo into a corner."""
    sprite = logos()[int(generator.integers(len(logos())))]
    size, opacity = generator.uniform(*LOGO_SIZES), generator.uniform(*OPACITIES)
    margins = generator.uniform(*MARGINS, size=2)
    right, bottom = generator.random(2) < (0.6, 0.25)

    def add_logo(image: Image) -> Image:
        height, width = image.shape[:2]
        scaled = _scaled(sprite, size * width / SIDE, size * height / SIDE)
        high, wide = scaled.cover.shape
        left, top = round(margins[0] * width), round(margins[1] * height)
        place = (height - high - top if bottom else top, width - wide - left if right else left)
        return _lay_over(image, scaled, place, opacity)

    return add_logo


def draw_caption(generator: np.random.Generator) -> Step:
    """Put a subtitle, a name plate, a ticker or a score board where it usually stands."""
    sprite = captions()[int(generator.integers(len(captions())))]
    size, opacity = generator.uniform(*CAPTION_SIZES), generator.uniform(0.8, 1.0)

    def add_caption(image: Image) -> Image:
        height, width = image.shape[:2]
        scaled = _scaled(sprite, size * width / SIDE, size * height / SIDE)
        return _lay_over(image, scaled, (round(sprite.top * height), round(sprite.left * width)), opacity)

    return add_caption


def draw_removal(generator: np.random.Generator) -> Step:
    """Smooth a box in a corner away, as a filter does that removes logos: from what is around it."""
    width_share = generator.uniform(*REMOVED_WIDTH)
    height_share = generator.uniform(*REMOVED_HEIGHT)
    margins = generator.uniform(MARGINS[0] / 2, MARGINS[1], size=2)
    right, bottom = generator.random(2) < (0.6, 0.25)

    def remove(image: Image) -> Image:
        height, width = image.shape[:2]
        high, wide = round(height_share * height), round(width_share * width)
        left, top = max(1, round(margins[0] * width)), max(1, round(margins[1] * height))
        left = width - wide - left if right else left
        top = height - high - top if bottom else top
        changed = image.copy()
        changed[top : top + high, left : left + wide] = _from_around(image, top, left, high, wide)
        return changed

    return remove


def _from_around(image: Image, top: int, left: int, high: int, wide: int) -> Image:
    """Blend the four edges around a box over it, each by how near it is (as ffmpeg's delogo does)."""
    across = np.linspace(0, 1, wide, dtype=np.float32)[None, :, None]
    down = np.linspace(0, 1, high, dtype=np.float32)[:, None, None]
    rows, columns = slice(top, top + high), slice(left, left + wide)
    above, below = image[top - 1, columns].astype(np.float32), image[top + high, columns].astype(np.float32)
    before, behind = image[rows, left - 1].astype(np.float32), image[rows, left + wide].astype(np.float32)
    vertical = above[None] * (1 - down) + below[None] * down
    horizontal = before[:, None] * (1 - across) + behind[:, None] * across
    near_sides = np.minimum(down, 1 - down) / (np.minimum(down, 1 - down) + np.minimum(across, 1 - across) + 1e-6)
    return np.asarray(vertical * (1 - near_sides) + horizontal * near_sides, np.uint8)


def _scaled(sprite: Sprite, across: float, down: float) -> Sprite:
    high, wide = sprite.cover.shape
    size = (max(1, round(wide * across)), max(1, round(high * down)))
    colours = cv2.resize(sprite.colours, size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(sprite.cover, size, interpolation=cv2.INTER_AREA)
    return sprite._replace(colours=np.asarray(colours, np.uint8), cover=np.asarray(cover, np.uint8))


def _lay_over(image: Image, sprite: Sprite, place: tuple[int, int], opacity: float) -> Image:
    """Return a copy with the sprite's (top, left) corner at ``place``; what reaches beyond the picture is cut off."""
    top, left = max(0, place[0]), max(0, place[1])
    changed = image.copy()
    area = changed[top : top + sprite.cover.shape[0], left : left + sprite.cover.shape[1]]
    high, wide = area.shape[:2]
    cover = (sprite.cover[:high, :wide, None] * np.float32(opacity * 256 / 255)).astype(np.uint16)
    area[:] = (area * (256 - cover) + sprite.colours[:high, :wide] * cover) >> 8
    return changed
