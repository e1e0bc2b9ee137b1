"""Logos and captions to lay over pictures, drawn once and the same in every process.

    logo = logos()[3]                # logo.colours uint8 [h, w, 3], logo.cover uint8 [h, w]
    caption = captions()[0]          # with its place: caption.left, caption.top, shares of the picture

They are drawn for a picture of 448x448 that was stretched from 16:9, as stored frames are, so letters are narrow. Names
and words are made up of syllables: what they say must not tell ads from programmes.
"""

import functools
import importlib.resources
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

SIDE = 448  # pixels of the picture that sprites are drawn for
ASPECT = 16 / 9
LOGOS, CAPTIONS = 64, 64
SEED = 20_262
FONTS = {  # file in its package: package
    "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf": "matplotlib",
    "mpl-data/fonts/ttf/DejaVuSans.ttf": "matplotlib",
    "mpl-data/fonts/ttf/STIXGeneralBol.ttf": "matplotlib",
    "files/SourceSansPro-Bold.ttf": "font_source_sans_pro",
    "files/SourceSansPro-Regular.ttf": "font_source_sans_pro",
    "files/Manrope-ExtraBold.ttf": "font_manrope",
    "files/Caladea-Bold.ttf": "font_caladea",
}
FONT_FILES = tuple(FONTS)
ONSETS, VOWELS, ENDS = "bdfgklmnprstvz", "aeiou", ("", "", "n", "r", "s", "l")

Colour = tuple[int, int, int]
WHITE, BLACK = (245, 245, 245), (12, 12, 12)


class Sprite(NamedTuple):
    """A small picture with how much of what is below each of its pixels covers, and where it stands."""

    colours: npt.NDArray[np.uint8]  # [h, w, 3], RGB
    cover: npt.NDArray[np.uint8]  # [h, w], 0 lets all through
    left: float = 0.0  # share of the picture's width
    top: float = 0.0


class _Sheet:
    """A transparent sheet in broadcast proportions that is drawn on, then squeezed."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width * SIDE * ASPECT), round(height * SIDE)
        self.colours = Pillow.new("RGB", (self.width, self.height))
        self.cover = Pillow.new("L", (self.width, self.height))

    def box(self, colour: Colour, opacity: int, share: tuple[float, float, float, float] = (0, 0, 1, 1)) -> None:
        left, top, right, bottom = share
        corners = (left * self.width, top * self.height, right * self.width - 1, bottom * self.height - 1)
        ImageDraw.Draw(self.colours).rectangle(corners, fill=colour)
        ImageDraw.Draw(self.cover).rectangle(corners, fill=opacity)

    def ellipse(self, colour: Colour, opacity: int) -> None:
        self.colours.paste(colour, (0, 0, self.width, self.height))
        ImageDraw.Draw(self.cover).ellipse((0, 0, self.width - 1, self.height - 1), fill=opacity)

    def text(
        self, text: str, font: str, place: tuple[float, float, float], colour: Colour, *, edge: bool = False
    ) -> None:
        """Write at (left, top) shares with letters of a share of the sheet's height."""
        left, top, size = place
        at = (left * self.width, top * self.height)
        letters = _font(font, max(6, round(size * self.height)))
        width = 2 if edge else 0
        ImageDraw.Draw(self.colours).text(at, text, colour, letters, stroke_width=width, stroke_fill=BLACK)
        ImageDraw.Draw(self.cover).text(at, text, 255, letters, stroke_width=width, stroke_fill=255)

    def sprite(self, left: float = 0.0, top: float = 0.0) -> Sprite:
        size = (max(2, round(self.width / ASPECT)), self.height)
        colours = cv2.resize(np.asarray(self.colours), size, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(np.asarray(self.cover), size, interpolation=cv2.INTER_AREA)
        return Sprite(np.asarray(colours, np.uint8), np.asarray(cover, np.uint8), left, top)


@functools.cache
def logos() -> tuple[Sprite, ...]:
    """Return the channel logos: letters alone, in a box, or in an ellipse; most of them white."""
    generator = np.random.default_rng(SEED)
    return tuple(_logo(generator) for _ in range(LOGOS))


@functools.cache
def captions() -> tuple[Sprite, ...]:
    """Return subtitles, name plates, tickers and score boards, each with its usual place."""
    generator = np.random.default_rng(SEED + 1)
    kinds: tuple[Callable[[np.random.Generator], Sprite], ...] = (_subtitle, _name_plate, _ticker, _score_board)
    return tuple(kinds[i % len(kinds)](generator) for i in range(CAPTIONS))


def _logo(generator: np.random.Generator) -> Sprite:
    name = _word(generator)[: int(generator.integers(1, 5))]
    name = name.upper() if generator.random() < 0.7 else name.capitalize()
    name += str(generator.integers(1, 10)) if generator.random() < 0.4 else ""
    font, height = _choose(generator, FONT_FILES), 0.09
    width = (0.035 + 0.048 * len(name)) / ASPECT * 1.1
    sheet = _Sheet(width, height)
    ground, colour = int(generator.integers(3)), _colour(generator)
    ink = WHITE if ground or generator.random() < 0.65 else colour
    if ground:
        (sheet.box if ground == 1 else sheet.ellipse)(colour, int(generator.integers(120, 256)))
    else:
        sheet.colours.paste(ink, (0, 0, sheet.width, sheet.height))
    sheet.text(name, font, (0.12, 0.15, 0.6), ink, edge=not ground and generator.random() < 0.3)
    return sheet.sprite()


def _subtitle(generator: np.random.Generator) -> Sprite:
    lines = [_sentence(generator, 3, 6) for _ in range(int(generator.integers(1, 3)))]
    sheet = _Sheet(0.8, 0.085 * len(lines))
    ink: Colour = WHITE if generator.random() < 0.75 else (240, 230, 70)
    font = _choose(generator, FONT_FILES)
    if generator.random() < 0.3:
        sheet.box(BLACK, 170)
    for number, line in enumerate(lines):
        left = max(0.0, 0.5 - 0.013 * len(line))
        sheet.text(line, font, (left, (number + 0.05) / len(lines), 0.68 / len(lines)), ink, edge=True)
    return sheet.sprite(0.1, 0.93 - 0.085 * len(lines))


def _name_plate(generator: np.random.Generator) -> Sprite:
    sheet = _Sheet(generator.uniform(0.35, 0.6), generator.uniform(0.1, 0.15))
    back = _colour(generator)
    sheet.box(back, int(generator.integers(170, 256)))
    if generator.random() < 0.5:
        sheet.box(_colour(generator), 255, (0, 0, 0.03, 1))
    ink = WHITE if sum(back) < 380 else BLACK
    font = _choose(generator, FONT_FILES)
    sheet.text(_sentence(generator, 2, 2), font, (0.06, 0.06, 0.42), ink)
    sheet.text(_sentence(generator, 2, 4), font, (0.06, 0.58, 0.28), ink)
    return sheet.sprite(generator.uniform(0.04, 0.12), generator.uniform(0.72, 0.8))


def _ticker(generator: np.random.Generator) -> Sprite:
    sheet = _Sheet(1.2, generator.uniform(0.06, 0.09))  # reaches beyond the picture also when it is drawn smaller
    back = _colour(generator)
    sheet.box(back, int(generator.integers(190, 256)))
    ink = WHITE if sum(back) < 380 else BLACK
    sheet.text(_sentence(generator, 11, 14), _choose(generator, FONT_FILES), (0.12, 0.1, 0.6), ink)
    sheet.box(_colour(generator), 255, (0, 0, 0.1, 1))
    clock = f"{generator.integers(0, 24):02d}:{generator.integers(0, 60):02d}"
    sheet.text(clock, FONT_FILES[0], (0.015, 0.15, 0.55), WHITE)
    return sheet.sprite(0.0, generator.uniform(0.86, 0.92))


def _score_board(generator: np.random.Generator) -> Sprite:
    sheet = _Sheet(generator.uniform(0.24, 0.32), 0.07)
    sheet.box(_colour(generator), int(generator.integers(190, 256)))
    sheet.box((230, 230, 230), 255, (0.38, 0.1, 0.62, 0.9))
    font = _choose(generator, FONT_FILES)
    teams = [_word(generator)[:3].upper() for _ in range(2)]
    sheet.text(teams[0], font, (0.06, 0.15, 0.58), WHITE)
    sheet.text(f"{generator.integers(0, 5)} {generator.integers(0, 5)}", font, (0.42, 0.15, 0.58), BLACK)
    sheet.text(teams[1], font, (0.67, 0.15, 0.58), WHITE)
    return sheet.sprite(generator.uniform(0.05, 0.1), generator.uniform(0.06, 0.1))


def _sentence(generator: np.random.Generator, fewest: int, most: int) -> str:
    words = [_word(generator) for _ in range(int(generator.integers(fewest, most + 1)))]
    return " ".join(words).capitalize() if generator.random() < 0.7 else " ".join(words).title()


def _word(generator: np.random.Generator) -> str:
    syllables = int(generator.integers(1, 4))
    parts = [_choose(generator, kind) for _ in range(syllables) for kind in (ONSETS, VOWELS, ENDS)]
    return "".join(parts)


def _colour(generator: np.random.Generator) -> Colour:
    red, green, blue = (int(level) for level in generator.integers(10, 226, size=3))
    return red, green, blue


def _choose(generator: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(generator.integers(len(items)))]


@functools.lru_cache(maxsize=64)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    folder = importlib.resources.files(FONTS[path])
    return ImageFont.truetype(str(folder / path), size)
