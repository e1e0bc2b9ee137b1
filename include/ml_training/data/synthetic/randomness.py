"""Random numbers that depend on names, not on the order of calls: the reason why workers cannot change a picture.

stream(7, "channel", "channel-03").integers(10)     # the same on every machine, in every process
"""

import colorsys
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Colour = tuple[int, int, int]
Item = TypeVar("Item")


def stream(*names: object) -> np.random.Generator:
    """Return the random generator that belongs to ``names``."""
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """Return one of ``items``, all equally likely."""
    return items[int(rng.integers(len(items)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return true with the given probability."""
    return bool(rng.random() < probability)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number drawn evenly from ``low`` to ``high``."""
    return float(rng.uniform(low, high))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return the RGB colour (0..255) of hue, saturation and value, each 0..1 (the hue wraps)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True)
class Palette:
    """Four colours that go together: a brand's, a show's or a channel's."""

    main: Colour
    dark: Colour
    light: Colour
    accent: Colour


def draw_palette(rng: np.random.Generator) -> Palette:
    """Draw a palette; brands, shows and channels all draw from the same distribution."""
    hue, saturation = between(rng, 0, 1), between(rng, 0.25, 0.95)
    return Palette(
        main=hsv(hue, saturation, between(rng, 0.45, 0.9)),
        dark=hsv(hue + between(rng, -0.06, 0.06), saturation, between(rng, 0.1, 0.35)),
        light=hsv(hue + between(rng, -0.1, 0.1), saturation * 0.25, between(rng, 0.85, 1.0)),
        accent=hsv(hue + between(rng, 0.3, 0.7), between(rng, 0.5, 1.0), between(rng, 0.75, 1.0)),
    )
