"""Ads that share the screen with a programme: an L of advertisement around it, or an ad and a programme side by side.

squeeze = l_frame(draw_creative(7, "channel-03-ad-012-8s"), rng)          # the programme runs in squeeze.box
squeeze = double_box(creative, rng, beside=segment_shots(show, rng, 125))  # the ad runs in the larger box
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from ml_training.data.synthetic import vocabulary as words
from ml_training.data.synthetic.backdrops import BACKDROPS
from ml_training.data.synthetic.commercials import pack_of
from ml_training.data.synthetic.creatives import Creative
from ml_training.data.synthetic.overlays import mark, on_plate, readable
from ml_training.data.synthetic.pictures import Picture, paste
from ml_training.data.synthetic.randomness import between, chance, pick, stream
from ml_training.data.synthetic.shots import HEIGHT, WIDTH, PlannedShot
from ml_training.data.synthetic.typography import text_sprite

Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True)
class Squeeze:
    """Where an item's shots run on the screen, what is around them, and what runs in a second, smaller box."""

    surround: Callable[[], Picture]
    box: Box
    inset: list[PlannedShot] = field(default_factory=list)
    inset_box: Box = (0, 0, 0, 0)

    def composed(self, surround: Picture, picture: Picture, inset: Picture | None) -> Picture:
        """Return the screen: surround, the item's picture and the one beside it."""
        screen = surround.copy()
        for box, shown in ((self.box, picture), (self.inset_box, inset)):
            if shown is not None:
                left, top, width, height = box
                screen[top : top + height, left : left + width] = cv2.resize(
                    shown, (width, height), interpolation=cv2.INTER_AREA
                )
        return screen


def l_frame(creative: Creative, rng: np.random.Generator) -> Squeeze:
    """Return a programme pushed into an upper corner, an advertisement beside and below it."""
    width = int(between(rng, 0.66, 0.78) * WIDTH) // 2 * 2
    height = width * HEIGHT // WIDTH // 2 * 2
    left = 0 if chance(rng, 0.5) else WIDTH - width
    return Squeeze(functools.partial(_l_surround, creative, left, width, height), (left, 0, width, height))


def _l_surround(creative: Creative, left: int, width: int, height: int) -> Picture:
    rng, brand = stream(creative.seed, "frame", creative.creative_id), creative.brand
    screen = _ground(creative, rng)
    column = width if left == 0 else 0
    pack = pack_of(creative, int(height * 0.6))
    pack = pack.resized(min(1.0, (WIDTH - width - 16) / pack.width))
    paste(screen, pack, column + (WIDTH - width - pack.width) / 2, height - pack.height - 8)
    colour = readable(brand.palette.main)
    sign = on_plate(mark(brand, int(between(rng, 30, 44)), colour, widest=230), brand.palette.main, 6)
    paste(screen, sign, 20, height + (HEIGHT - height - sign.height) / 2)
    claim = text_sprite(pick(rng, words.CLAIMS), brand.typeface, size=26, colour=_over(screen), shadow=True, widest=300)
    paste(screen, claim, sign.width + 44, height + (HEIGHT - height - claim.height) / 2)
    return screen


def double_box(creative: Creative, rng: np.random.Generator, beside: list[PlannedShot]) -> Squeeze:
    """Return an advertisement in a large box and what goes on meanwhile in a small one."""
    width, small = int(between(rng, 390, 440)) // 2 * 2, int(between(rng, 170, 190)) // 2 * 2
    height, low = width * 9 // 16, small * 9 // 16
    first = chance(rng, 0.5)
    box = (12 if first else WIDTH - width - 12, (HEIGHT - height) // 2, width, height)
    inset = (WIDTH - small - 12 if first else 12, (HEIGHT - height) // 2, small, low)
    return Squeeze(functools.partial(_ground, creative, stream(creative.seed, "boxes", creative.creative_id)), box,
                   beside, inset)  # fmt: skip


def _ground(creative: Creative, rng: np.random.Generator) -> Picture:
    canvas = BACKDROPS["plain" if chance(rng, 0.7) else "blurred"](rng, creative.brand)
    return np.ascontiguousarray(canvas[:HEIGHT, :WIDTH])


def _over(screen: Picture) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in screen[-30:].mean(axis=(0, 1)))
    return readable((red, green, blue))
