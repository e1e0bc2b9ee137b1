"""People: presenters, guests, actors, spokespersons, players. Programmes and ads cast from the same distribution.

look = draw_look(rng)
closed, talking = bust(look, 300), bust(look, 300, mouth_open=True)
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ml_training.data.synthetic.pictures import Picture, Sprite, blank, noise
from ml_training.data.synthetic.randomness import Colour, between, chance, draw_palette, hsv, pick

SHIFT = 4  # cv2 draws with 1/16 pixel


@dataclass(frozen=True)
class Look:
    """How a person looks; ``seed`` fixes the light and the texture."""

    skin: Colour
    hair: Colour
    clothes: Colour
    shirt: Colour
    hair_style: str
    suit: bool
    glasses: bool
    width: float
    light: float
    seed: int


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a person."""
    tone = between(rng, 0, 1)
    return Look(
        skin=hsv(between(rng, 0.045, 0.075), 0.3 + 0.35 * tone, 0.95 - 0.55 * tone),
        hair=hsv(between(rng, 0.03, 0.12), between(rng, 0.1, 0.7), between(rng, 0.06, 0.75)),
        clothes=draw_palette(rng).main
        if chance(rng, 0.6)
        else hsv(between(rng, 0.5, 0.7), 0.35, between(rng, 0.1, 0.4)),
        shirt=hsv(between(rng, 0, 1), between(rng, 0, 0.3), between(rng, 0.75, 1.0)),
        hair_style=pick(rng, ("short", "short", "long", "bob", "bald")),
        suit=chance(rng, 0.45),
        glasses=chance(rng, 0.2),
        width=between(rng, 0.86, 1.12),
        light=between(rng, -0.45, 0.45),
        seed=int(rng.integers(2**31)),
    )


def _ellipse(
    picture: Picture, x: float, y: float, a: float, b: float, colour: Colour, start: int = 0, end: int = 360
) -> None:
    scale = 1 << SHIFT
    centre, axes = (round(x * scale), round(y * scale)), (max(1, round(a * scale)), max(1, round(b * scale)))
    cv2.ellipse(picture, centre, axes, 0, start, end, (*colour, 255), -1, cv2.LINE_AA, SHIFT)


def _polygon(picture: Picture, points: list[tuple[float, float]], colour: Colour) -> None:
    corners = np.round(np.array(points) * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(picture, [corners], (*colour, 255), cv2.LINE_AA, SHIFT)


def _darker(colour: Colour, factor: float) -> Colour:
    return tuple(min(255, int(c * factor)) for c in colour)  # type: ignore[return-value]


def _lit(picture: Picture, look: Look) -> Sprite:
    """Shade a drawn figure from one side and give its surfaces texture."""
    height, width = picture.shape[:2]
    rng = np.random.default_rng(look.seed)
    field = 1 + look.light * np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    field = field * (0.9 + 0.2 * noise(rng, height, width, 6, 0.8))
    picture[:, :, :3] = np.minimum(picture[:, :, :3] * field[:, :, None], picture[:, :, 3:]).astype(np.uint8)
    return Sprite.of(cv2.GaussianBlur(picture, (0, 0), 0.6))


def bust(look: Look, height: int, *, mouth_open: bool = False) -> Sprite:
    """Return head and shoulders of a person, ``height`` pixels high and as wide."""
    h = float(height)
    picture = blank(height, height)
    x, face_y, a, b = h / 2, 0.36 * h, 0.165 * h * look.width, 0.225 * h
    _hair_behind(picture, look, x, face_y, a, b)
    _shoulders(picture, look, h)
    _ellipse(picture, x - a, face_y + 0.02 * h, 0.03 * h, 0.05 * h, _darker(look.skin, 0.85))
    _ellipse(picture, x + a, face_y + 0.02 * h, 0.03 * h, 0.05 * h, _darker(look.skin, 0.85))
    _ellipse(picture, x, face_y, a, b, look.skin)
    _features(picture, look, x, face_y, h, mouth_open)
    if look.hair_style != "bald":
        _ellipse(picture, x, face_y - 0.1 * h, a * 1.08, b * 0.72, look.hair, 180, 360)
        _ellipse(picture, x - a * 0.5, face_y - 0.11 * h, a * 0.62, b * 0.3, look.hair)
    return _lit(picture, look)


def _hair_behind(picture: Picture, look: Look, x: float, y: float, a: float, b: float) -> None:
    if look.hair_style == "long":
        _ellipse(picture, x, y + b * 0.6, a * 1.45, b * 1.75, look.hair)
    elif look.hair_style == "bob":
        _ellipse(picture, x, y + b * 0.05, a * 1.4, b * 1.15, look.hair)


def _shoulders(picture: Picture, look: Look, h: float) -> None:
    w = look.width
    _polygon(
        picture,
        [
            (0.5 * h - 0.4 * h * w, h),
            (0.5 * h - 0.36 * h * w, 0.76 * h),
            (0.5 * h - 0.12 * h, 0.65 * h),
            (0.5 * h + 0.12 * h, 0.65 * h),
            (0.5 * h + 0.36 * h * w, 0.76 * h),
            (0.5 * h + 0.4 * h * w, h),
        ],
        look.clothes,
    )
    _polygon(
        picture,
        [(0.43 * h, 0.5 * h), (0.57 * h, 0.5 * h), (0.6 * h, 0.67 * h), (0.5 * h, 0.74 * h), (0.4 * h, 0.67 * h)],
        _darker(look.skin, 0.82),
    )
    if look.suit:
        _polygon(
            picture,
            [(0.4 * h, 0.65 * h), (0.5 * h, 0.72 * h), (0.6 * h, 0.65 * h), (0.53 * h, h), (0.47 * h, h)],
            look.shirt,
        )
        _polygon(
            picture,
            [(0.48 * h, 0.72 * h), (0.52 * h, 0.72 * h), (0.53 * h, h), (0.47 * h, h)],
            _darker(look.clothes, 1.6),
        )


def _features(picture: Picture, look: Look, x: float, y: float, h: float, mouth_open: bool) -> None:
    dark = _darker(look.hair, 0.6)
    for side in (-1, 1):
        eye_x, eye_y = x + side * 0.07 * h, y - 0.015 * h
        _ellipse(picture, eye_x, eye_y, 0.03 * h, 0.016 * h, (240, 240, 238))
        _ellipse(picture, eye_x, eye_y, 0.013 * h, 0.014 * h, (50, 40, 34))
        _ellipse(picture, eye_x, eye_y - 0.04 * h, 0.036 * h, 0.009 * h, dark)
        _ellipse(picture, x + side * 0.09 * h, y + 0.07 * h, 0.03 * h, 0.022 * h, _darker(look.skin, 0.96))
        if look.glasses:
            cv2.circle(
                picture,
                (round(eye_x), round(eye_y)),
                round(0.045 * h),
                (20, 20, 24, 255),
                max(1, int(h / 110)),
                cv2.LINE_AA,
            )
    _polygon(
        picture,
        [(x - 0.006 * h, y), (x + 0.03 * h, y + 0.075 * h), (x - 0.02 * h, y + 0.078 * h)],
        _darker(look.skin, 0.8),
    )
    _ellipse(picture, x, y + 0.125 * h, 0.05 * h, 0.026 * h if mouth_open else 0.011 * h, (150, 60, 60))
    if mouth_open:
        _ellipse(picture, x, y + 0.122 * h, 0.036 * h, 0.01 * h, (236, 232, 228))


def standing(look: Look, height: int, *, stride: float = 0.0) -> Sprite:
    """Return a whole person, ``height`` pixels high; ``stride`` -1..1 moves the legs."""
    h = float(height)
    picture = blank(height, max(8, int(h * 0.6)))
    x = picture.shape[1] / 2
    trousers = _darker(look.clothes, 0.45)
    for side in (-1, 1):
        foot = x + side * h * (0.05 + 0.09 * stride)
        _polygon(
            picture,
            [(x + side * 0.1 * h, 0.52 * h), (x, 0.52 * h), (foot - 0.03 * h, 0.97 * h), (foot + 0.04 * h, 0.97 * h)],
            trousers,
        )
        hand = x + side * h * (0.16 + 0.05 * stride * side)
        _polygon(
            picture,
            [
                (x + side * 0.1 * h, 0.2 * h),
                (x + side * 0.14 * h, 0.22 * h),
                (hand, 0.5 * h),
                (hand - side * 0.05 * h, 0.5 * h),
            ],
            _darker(look.clothes, 0.85),
        )
        _ellipse(picture, hand - side * 0.02 * h, 0.52 * h, 0.025 * h, 0.03 * h, look.skin)
    _polygon(
        picture,
        [(x - 0.12 * h, 0.2 * h), (x + 0.12 * h, 0.2 * h), (x + 0.1 * h, 0.55 * h), (x - 0.1 * h, 0.55 * h)],
        look.clothes,
    )
    _ellipse(picture, x, 0.1 * h, 0.06 * h, 0.075 * h, look.skin)
    if look.hair_style != "bald":
        _ellipse(picture, x, 0.085 * h, 0.065 * h, 0.065 * h, look.hair, 180, 360)
    return _lit(picture, look)


def crowd(rng: np.random.Generator, height: int, width: int, size: int) -> Picture:
    """Return a stand or hall full of people, each about ``size`` pixels wide, as an RGB picture."""
    picture = np.full((height, width, 3), 28, np.uint8)
    for row in range(0, height + size, max(3, int(size * 0.8))):
        for column in range(-size, width + size, size):
            x = column + int(rng.integers(-size // 4 - 1, size // 4 + 2))
            shade = between(rng, 0.35, 0.9)
            cv2.ellipse(
                picture,
                (x, row + size),
                (size // 2, size // 2 + 1),
                0,
                0,
                360,
                hsv(between(rng, 0, 1), between(rng, 0, 0.8), shade),
                -1,
            )
            cv2.circle(
                picture,
                (x, row + size // 3),
                max(1, size // 4),
                hsv(0.06, between(rng, 0.3, 0.6), shade),
                -1,
                cv2.LINE_AA,
            )
    return picture
