"""What lies over pictures: straps, tickers, score bugs, price tags, QR codes, small print, brand marks, channel logos.

    shot.layers += strap(rng, style, "Talks go on overnight", "Third day of negotiations")

Each returns layers. All of them occur in programmes and in ads; what differs is which come together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ml_training.data.synthetic.pictures import Picture, Sprite, blank, paste
from ml_training.data.synthetic.randomness import Colour, Palette, between, chance, draw_palette, hsv, pick
from ml_training.data.synthetic.shots import HEIGHT, WIDTH, Layer
from ml_training.data.synthetic.sources import Sources
from ml_training.data.synthetic.typography import Typeface, broken, draw_typeface, text_sprite

WHITE = (250, 250, 250)


@dataclass(frozen=True)
class Style:
    """The graphic style of a brand, a show or a channel, and what its pictures come from."""

    name: str
    palette: Palette
    typeface: Typeface
    second: Typeface
    emblem: int
    sources: Sources


def draw_style(rng: np.random.Generator, name: str, sources: Sources) -> Style:
    """Draw the graphic style of ``name``."""
    first, second = draw_typeface(rng, sources), draw_typeface(rng, sources)
    return Style(name, draw_palette(rng), first, second, int(rng.integers(2**31)), sources)


def readable(colour: Colour) -> Colour:
    """Return black or white, whichever reads better on ``colour``."""
    return (18, 18, 20) if 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 140 else WHITE


def plate(width: int, height: int, colour: Colour, opacity: float = 1.0, radius: int = 0) -> Sprite:
    """Return a filled rectangle, its corners rounded by ``radius`` pixels."""
    picture = blank(height, width)
    fill = (*(int(c * opacity) for c in colour), int(255 * opacity))
    if radius:
        r = min(radius, height // 2, width // 2)
        cv2.rectangle(picture, (r, 0), (width - r, height), fill, -1)
        cv2.rectangle(picture, (0, r), (width, height - r), fill, -1)
        for x in (r, width - r - 1):
            for y in (r, height - r - 1):
                cv2.circle(picture, (x, y), r, fill, -1, cv2.LINE_AA)
    else:
        picture[:] = fill
    return Sprite.of(picture)


def emblem(seed: int, size: int, colour: Colour, second: Colour) -> Sprite:
    """Return an emblem ``size`` pixels high: a few shapes drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    picture = blank(size, size)
    middle, full, other = size // 2, (*colour, 255), (*second, 255)
    kind = int(rng.integers(6))
    if kind == 0:
        cv2.circle(picture, (middle, middle), middle - 1, full, -1, cv2.LINE_AA)
        cv2.circle(picture, (middle, middle), int(size * between(rng, 0.15, 0.32)), other, -1, cv2.LINE_AA)
    elif kind == 1:
        corners = _corners(middle, [middle - 1] * 6, between(rng, 0, 1))
        cv2.fillPoly(picture, [corners], full, cv2.LINE_AA)
    elif kind == 2:
        cv2.ellipse(
            picture, (middle, middle), (middle - 2, size // 4), between(rng, -40, 40), 0, 360, full, -1, cv2.LINE_AA
        )
        cv2.ellipse(
            picture, (middle, middle), (size // 4, size // 9), between(rng, -40, 40), 0, 360, other, -1, cv2.LINE_AA
        )
    elif kind == 3:
        for bar in range(3):
            top = int(size * (0.1 + 0.3 * bar))
            cv2.rectangle(
                picture,
                (0, top),
                (int(size * between(rng, 0.5, 1)), top + size // 5),
                full if bar % 2 == 0 else other,
                -1,
            )
    elif kind == 4:
        cv2.fillPoly(picture, [_corners(middle, [middle - 1, middle * 0.45] * 5)], full, cv2.LINE_AA)
    else:
        cv2.rectangle(picture, (0, 0), (size, size), full, -1)
        cv2.ellipse(picture, (0, size), (int(size * 0.8), int(size * 0.8)), 0, 0, 360, other, -1, cv2.LINE_AA)
    return Sprite.of(picture)


def _corners(middle: int, radii: Sequence[float], turn: float = 0.0) -> npt.NDArray[np.int32]:
    """Return the corners of a polygon, int32 [N, 2], as far from its middle as ``radii`` say, one after the other."""
    angles = np.arange(len(radii)) * np.pi / (len(radii) / 2) + turn
    points = [(middle + r * np.cos(a), middle + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    return np.array(points, np.int32)


def mark(style: Style, height: int, colour: Colour, *, widest: int = 420) -> Sprite:
    """Return emblem and name side by side, ``height`` pixels high."""
    name = text_sprite(style.name, style.typeface, size=int(height * 0.85), colour=colour, widest=widest)
    sign = emblem(style.emblem, height, style.palette.main if colour == WHITE else colour, style.palette.accent)
    return joined([sign, name], gap=max(3, height // 5))


def joined(sprites: list[Sprite], gap: int) -> Sprite:
    """Return sprites in a row, centred on one line."""
    height, width = max(s.height for s in sprites), sum(s.width for s in sprites) + gap * (len(sprites) - 1)
    colour, keep = np.zeros((height, width, 3), np.uint8), np.full((height, width, 3), 255, np.uint8)
    x = 0
    for sprite in sprites:
        top = (height - sprite.height) // 2
        colour[top : top + sprite.height, x : x + sprite.width] = sprite.colour
        keep[top : top + sprite.height, x : x + sprite.width] = sprite.keep
        x += sprite.width + gap
    return Sprite(colour, keep)


def on_plate(sprite: Sprite, colour: Colour, margin: int, opacity: float = 1.0, radius: int = 0) -> Sprite:
    """Return a sprite on a plate of ``colour``."""
    base = plate(sprite.width + 2 * margin, sprite.height + 2 * margin, colour, opacity, radius)
    picture, keep = base.colour.copy(), base.keep.copy()
    paste(picture, sprite, margin, margin)
    area = keep[margin : margin + sprite.height, margin : margin + sprite.width]
    area[:] = cv2.multiply(area, sprite.keep, scale=1 / 255)
    return Sprite(picture, keep)


def strap(rng: np.random.Generator, style: Style, first: str, second: str) -> list[Layer]:
    """A lower third: who speaks, or what it is about, in one or two lines."""
    palette, x, y = style.palette, between(rng, 24, 60), between(rng, 258, 292)
    appears = between(rng, 0.2, 0.8)
    title = text_sprite(first, style.typeface, size=20, colour=readable(palette.main), widest=480)
    line = text_sprite(second, style.second, size=14, colour=readable(palette.light), widest=480)
    return [
        Layer((on_plate(title, palette.main, 6),), x, y, appears=appears),
        Layer((on_plate(line, palette.light, 4, 0.9),), x, y + title.height + 12, appears=appears),
    ]


def caption(rng: np.random.Generator, style: Style, text: str, *, size: int = 20) -> list[Layer]:
    """Words straight on the picture: a place, a song, a subtitle, a claim."""
    sprite = text_sprite(text, style.typeface, size=size, colour=WHITE, shadow=True, widest=540)
    x = (WIDTH - sprite.width) / 2 if chance(rng, 0.5) else between(rng, 30, 60)
    return [Layer((sprite,), x, pick(rng, (40.0, 270.0, 290.0, 300.0)), appears=between(rng, 0.1, 0.6))]


def small_print(rng: np.random.Generator, style: Style, text: str, colour: Colour = WHITE) -> list[Layer]:
    """A line or two of small print along the bottom."""
    lines = [
        text_sprite(t, style.second, size=10, colour=colour, shadow=colour == WHITE, widest=600)
        for t in broken(text, 74)
    ]
    top = HEIGHT - 12 * len(lines) - 8
    return [Layer((s,), (WIDTH - s.width) / 2, top + 12 * i) for i, s in enumerate(lines)]


def qr_code(rng: np.random.Generator, size: int) -> Sprite:
    """A square that looks like a QR code (it holds no address)."""
    cells = (rng.random((21, 21)) < 0.5).astype(np.uint8) * 255
    for row, column in ((0, 0), (0, 14), (14, 0)):
        cells[row : row + 7, column : column + 7] = 0
        cells[row + 1 : row + 6, column + 1 : column + 6] = 255
        cells[row + 2 : row + 5, column + 2 : column + 5] = 0
    grey = cv2.resize(np.pad(cells, 2, constant_values=255), (size, size), interpolation=cv2.INTER_NEAREST)
    return Sprite.of(cv2.merge([grey, grey, grey, np.full_like(grey, 255)]))


def price_tag(rng: np.random.Generator, style: Style, text: str, size: int = 34) -> Sprite:
    """A price in a circle, a star or a box."""
    colour = pick(rng, (style.palette.accent, style.palette.main, (226, 32, 38), (250, 214, 30)))
    words = text_sprite(text, style.typeface, size=size, colour=readable(colour), widest=200)
    if chance(rng, 0.4):
        return on_plate(words, colour, 8, radius=6)
    side = words.width + 26
    picture = blank(side, side)
    spikes = pick(rng, (0, 0, 16, 24))
    angles = np.arange(max(spikes, 1) * 2) * np.pi / max(spikes, 1)
    points = [
        (
            side / 2 + side / 2 * (1 if i % 2 else 0.86) * np.cos(a),
            side / 2 + side / 2 * (1 if i % 2 else 0.86) * np.sin(a),
        )
        for i, a in enumerate(angles)
    ]
    if spikes:
        cv2.fillPoly(picture, [np.array(points, np.int32)], (*colour, 255), cv2.LINE_AA)
    else:
        cv2.circle(picture, (side // 2, side // 2), side // 2 - 1, (*colour, 255), -1, cv2.LINE_AA)
    base = Sprite.of(picture)
    colours, keep = base.colour.copy(), base.keep.copy()
    paste(colours, words, (side - words.width) / 2, (side - words.height) / 2)
    return Sprite(colours, keep)


def score_bug(rng: np.random.Generator, style: Style, teams: tuple[str, str], minute: int) -> list[Layer]:
    """Score and clock of a match in an upper corner."""
    palette = style.palette
    text = f"{teams[0][:3].upper()}  {int(rng.integers(4))} : {int(rng.integers(4))}  {teams[1][:3].upper()}"
    score = on_plate(text_sprite(text, style.typeface, size=16, colour=readable(palette.dark)), palette.dark, 5)
    clocks = tuple(
        on_plate(
            text_sprite(f"{minute}:{s:02d}", style.second, size=14, colour=readable(palette.light)), palette.light, 5
        )
        for s in (11, 12, 13, 14)
    )
    x = 26.0 if style.emblem % 3 else 400.0
    return [Layer((score,), x, 24), Layer(clocks, x + score.width + 2, 24, rate=1.0)]


def ticker(text: str, style: Style, y: float, seconds: float) -> list[Layer]:
    """A strip with text that runs through, for a stretch of ``seconds``."""
    words = text_sprite(text, style.second, size=14, colour=readable(style.palette.dark), widest=2400)
    return [
        Layer((plate(WIDTH, 24, style.palette.dark, 0.9),), 0, y),
        Layer((words,), 30, y + (24 - words.height) / 2, drift=(-60 * seconds, 0)),
    ]


def chart(rng: np.random.Generator, style: Style, height: int, width: int) -> Sprite:
    """Bars or a curve, as the news, a bank or a washing powder shows them."""
    picture: Picture = blank(height, width)
    colour, other = (*style.palette.accent, 255), (*style.palette.light, 255)
    values = np.clip(0.2 + np.cumsum(rng.normal(0.03, 0.15, 7)), 0.1, 0.95)
    if chance(rng, 0.5):
        for i, value in enumerate(values):
            left = int(width * (0.05 + i * 0.135))
            cv2.rectangle(
                picture,
                (left, int(height * (1 - value))),
                (left + int(width * 0.09), height),
                colour if i % 2 else other,
                -1,
            )
    else:
        points = [(int(width * (0.05 + i * 0.15)), int(height * (1 - v))) for i, v in enumerate(values)]
        cv2.polylines(picture, [np.array(points)], False, colour, 4, cv2.LINE_AA)
        cv2.line(picture, (4, height - 3), (width, height - 3), other, 2)
    return Sprite.of(picture)


def random_colour(rng: np.random.Generator) -> Colour:
    """Return any strong colour."""
    return hsv(between(rng, 0, 1), between(rng, 0.4, 0.95), between(rng, 0.5, 0.95))
