"""Text as sprites, in the typefaces that packages of the ML environment carry.

    sprite = text_sprite("Only this week", draw_typeface(rng, sources), size=28, colour=(9, 9, 9))

A typeface is a file, a width and a slant, so that there are more of them than files. A channel, its shows and its
brands draw theirs from the same families.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ml_training.data.synthetic.pictures import Picture, Sprite, blank
from ml_training.data.synthetic.randomness import Colour, between, chance, pick
from ml_training.data.synthetic.sources import FACES, Sources, path_of

DISPLAY_SHARE = 0.15  # typefaces for large words: how often a style has one


@dataclass(frozen=True)
class Typeface:
    """A font file by its name in `sources`, its width (1 is normal) and its slant (0 is upright)."""

    file: str
    stretch: float = 1.0
    slant: float = 0.0


def draw_typeface(rng: np.random.Generator, sources: Sources) -> Typeface:
    """Draw a typeface of an owner's families."""
    family = sources.draw(rng, "display face" if chance(rng, DISPLAY_SHARE) else "face")
    file = pick(rng, FACES[family])
    return Typeface(file, between(rng, 0.78, 1.15), between(rng, 0.05, 0.22) if chance(rng, 0.2) else 0.0)


@functools.cache
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path_of(file)), size)


def text_mask(text: str, typeface: Typeface, size: int) -> Picture:
    """Return how much of each pixel the text covers, uint8 [height, width]; ``size`` is the font size in pixels."""
    font = _font(typeface.file, size)
    left, top, right, bottom = font.getbbox(text or " ")
    image = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), text, fill=255, font=font)
    mask = np.asarray(image)
    height, width = mask.shape
    new_width = max(2, round(width * typeface.stretch + height * abs(typeface.slant)))
    transform = np.array([[typeface.stretch, -typeface.slant, height * typeface.slant], [0, 1, 0]], np.float32)
    return cv2.warpAffine(mask, transform, (new_width, height), flags=cv2.INTER_LINEAR)


def text_sprite(
    text: str, typeface: Typeface, *, size: int, colour: Colour, shadow: bool = False, widest: int = 620
) -> Sprite:
    """Return ``text`` on one line as a sprite, at most ``widest`` pixels wide."""
    mask = text_mask(text, typeface, max(size, 6))
    if mask.shape[1] > widest:
        mask = cv2.resize(mask, (widest, max(4, mask.shape[0] * widest // mask.shape[1])), interpolation=cv2.INTER_AREA)
    picture = blank(mask.shape[0] + 3, mask.shape[1] + 3)
    if shadow:
        picture[2 : 2 + mask.shape[0], 2 : 2 + mask.shape[1], 3] = mask // 2
    area = picture[: mask.shape[0], : mask.shape[1]]
    coverage = mask[:, :, None].astype(np.uint16)
    full = np.array([*colour, 255], np.uint16)
    area[:] = (area * (255 - coverage) // 255 + full * coverage // 255).astype(np.uint8)
    return Sprite.of(picture)


def broken(text: str, longest: int) -> list[str]:
    """Break ``text`` into lines of at most ``longest`` letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= longest:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
