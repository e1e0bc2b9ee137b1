"""Pictures, sprites and the texture that they are made of.

    canvas = gradient(rng, 450, 800, (20, 30, 90), (90, 120, 200))
    paste(canvas, sprite, x=40, y=300)

Pictures are uint8 RGB arrays [height, width, 3]. Real photographs come from the packages of the ML environment and from
a folder of one's own (`sources.py`); programmes and ads of a channel draw from the same ones.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ml_training.data.synthetic.randomness import Colour, between, chance, hsv, stream
from ml_training.data.synthetic.sources import Sources, path_of
from ml_training.utils.errors import DataError

SCREEN = 360, 640  # height and width of what is broadcast
Picture = npt.NDArray[Any]  # uint8; what cv2's type stubs return is any number
Field = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sprite:
    """A picture with transparency: colours multiplied by their alpha, and 255 minus the alpha in three channels."""

    colour: Picture
    keep: Picture

    @property
    def height(self) -> int:
        return int(self.colour.shape[0])

    @property
    def width(self) -> int:
        return int(self.colour.shape[1])

    @classmethod
    def of(cls, premultiplied: Picture) -> "Sprite":
        """Make a sprite of an RGBA picture whose colours are multiplied by alpha, as anti-aliased drawing leaves it."""
        keep = cv2.cvtColor(255 - premultiplied[:, :, 3], cv2.COLOR_GRAY2RGB)
        return cls(np.ascontiguousarray(premultiplied[:, :, :3]), keep)

    def faded(self, opacity: float) -> "Sprite":
        """Return the sprite at an opacity of 0..1."""
        alpha = (255 - self.keep) * opacity
        return Sprite((self.colour * opacity).astype(np.uint8), (255 - alpha).astype(np.uint8))

    def graded(self, grade: Picture) -> "Sprite":
        """Return the sprite with its colours changed by a table for cv2.LUT."""
        return Sprite(cv2.min(cv2.LUT(self.colour, grade), 255 - self.keep), self.keep)

    def resized(self, scale: float) -> "Sprite":
        """Return the sprite, ``scale`` times as large."""
        size = max(2, round(self.width * scale)), max(2, round(self.height * scale))
        return Sprite(cv2.resize(self.colour, size, interpolation=cv2.INTER_AREA),
                      cv2.resize(self.keep, size, interpolation=cv2.INTER_AREA))  # fmt: skip


def paste(picture: Picture, sprite: Sprite, x: float, y: float) -> None:
    """Draw ``sprite`` into ``picture`` with its top left corner at (x, y); what lies outside is cut off."""
    left, top = round(x), round(y)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + sprite.width, picture.shape[1]), min(top + sprite.height, picture.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    target = picture[y0:y1, x0:x1]
    picture[y0:y1, x0:x1] = cv2.add(cv2.multiply(target, sprite.keep[part], scale=1 / 255), sprite.colour[part])


def blank(height: int, width: int) -> Picture:
    """Return a transparent RGBA picture to draw a sprite on."""
    return np.zeros((height, width, 4), np.uint8)


def noise(rng: np.random.Generator, height: int, width: int, octaves: int = 5, persistence: float = 0.55) -> Field:
    """Return fractal noise [height, width] in 0..1: clouds, hills, plaster, skin (summed at half size)."""
    half = max(height // 2, 1), max(width // 2, 1)
    total = np.zeros(half, np.float32)
    weight = 1.0
    for octave in range(octaves):
        grid = rng.random((2 + 2**octave, 2 + 2 ** (octave + 1)), np.float32)
        total += weight * cv2.resize(grid, half[::-1], interpolation=cv2.INTER_CUBIC)
        weight *= persistence
    low, high = float(total.min()), float(total.max())
    scaled = cv2.resize((total - low) / (high - low + 1e-6), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled, np.float32)


def mix(first: Colour, second: Colour, weight: Field) -> Picture:
    """Return the picture that is ``first`` where weight [height, width] is 0 and ``second`` where it is 1."""
    table = np.linspace(first, second, 256).astype(np.uint8)
    return table[np.clip(weight * 255, 0, 255).astype(np.uint8)]


def gradient(rng: np.random.Generator, height: int, width: int, first: Colour, second: Colour) -> Picture:
    """Return a linear or radial gradient with a little noise against banding."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    if chance(rng, 0.5):
        centre = between(rng, 0.3, 0.7) * width, between(rng, 0.3, 0.7) * height
        weight = np.hypot((columns - centre[0]) / width, (rows - centre[1]) / height) * 1.4
    else:
        angle = between(rng, 0, 2 * np.pi)
        weight = 0.5 + (columns / width - 0.5) * np.cos(angle) + (rows / height - 0.5) * np.sin(angle)
    return mix(first, second, weight + (noise(rng, height, width, 6, 0.8) - 0.5) * 0.08)


def textured(picture: Picture, rng: np.random.Generator, strength: float = 0.2) -> Picture:
    """Multiply a picture by fractal noise, so that no surface is plain."""
    height, width = picture.shape[:2]
    field = 1 - strength / 2 + strength * (noise(rng, height, width, 6, 0.75) - 0.5) * 2
    return np.clip(picture * field[:, :, None], 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=24)
def photograph_of(name: str) -> Picture:
    """Return a photograph by its name in `sources`, RGB, at most 800 wide; grey ones are tinted, elevations shaded."""
    path = path_of(name)
    if path.suffix == ".npz":
        return _terrain(path)
    try:
        picture: Picture = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise DataError(
            f"no picture can be read from {path}: {error}; take it out of --media", path=str(path)
        ) from error
    scale = 800 / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return _tinted(picture, name) if int(np.ptp(picture, axis=2).max()) == 0 else picture


def _terrain(path: Path) -> Picture:
    """Return an elevation model as country seen from the air."""
    with np.load(path) as stored:
        elevation = stored[next(n for n in ("elevation", "topo") if n in stored)].astype(np.float32)
    down, right = np.gradient(cv2.GaussianBlur(elevation, (0, 0), 1.0))
    shade = np.clip(0.55 + (right - down) / (6.5 * float(np.std(right)) + 1e-6), 0, 1).astype(np.float32)
    height = (elevation - elevation.min()) / np.ptp(elevation)
    aerial = mix((70, 96, 52), (196, 178, 140), height.astype(np.float32)) * shade[:, :, None] * 1.3
    aerial[elevation < 0] = (aerial * (0.45, 0.7, 1.5))[elevation < 0]  # water
    return cv2.resize(np.clip(aerial, 0, 255).astype(np.uint8), (640, 430), interpolation=cv2.INTER_CUBIC)


def _tinted(picture: Picture, name: str) -> Picture:
    """Give a grey picture the colours of a material, always the same ones."""
    hue = between(stream("tint", name), 0, 1)
    return mix(hsv(hue, 0.6, 0.12), hsv(hue + 0.06, 0.25, 1.0), (picture[:, :, 0] / 255).astype(np.float32))


def photograph(rng: np.random.Generator, sources: Sources, height: int, width: int) -> Picture:
    """Return a crop of one of an owner's photographs, mirrored and with another white balance."""
    return cropped(rng, photograph_of(sources.draw(rng, "photograph")), height, width)


def cropped(rng: np.random.Generator, source: Picture, height: int, width: int) -> Picture:
    """Return a crop of ``source`` at the size asked for, mirrored at times, in another light."""
    share = between(rng, 0.5, 1.0)
    crop_width = max(1, int(min(source.shape[1], source.shape[0] * width / height) * share))
    crop_height = max(1, int(crop_width * height / width))
    top = int(rng.integers(source.shape[0] - crop_height + 1))
    left = int(rng.integers(source.shape[1] - crop_width + 1))
    crop = source[top : top + crop_height, left : left + crop_width]
    picture = cv2.resize(crop[:, ::-1] if chance(rng, 0.5) else crop, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture * rng.uniform(0.7, 1.2, 3), 0, 255).astype(np.uint8)


def saturated(picture: Picture, factor: float) -> Picture:
    """Return the picture with its saturation multiplied by ``factor``."""
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(picture, factor, grey, 1 - factor, 0)


def vignette(picture: Picture, strength: float) -> Picture:
    """Darken the corners by ``strength`` 0..1."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    field = 1 - strength * np.clip((rows**2 + columns**2) / 2, 0, 1)
    return (picture * field[:, :, None]).astype(np.uint8)
