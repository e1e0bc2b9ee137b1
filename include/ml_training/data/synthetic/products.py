"""Things that are sold: bottles, cans, boxes, jars, tubes, phones, cars, cards, plates of food.

    sprite = product("bottle", rng, 240, palette, label)       # label: a sprite with a brand's name, or None

Ads show them with a brand's name. Programmes show them too: a factory in the news, a book or a mug in a talk show, a
car in a drama, with a name now and then.
"""

import cv2
import numpy as np

from ml_training.data.synthetic.pictures import Picture, Sprite, blank, paste
from ml_training.data.synthetic.randomness import Colour, Palette, between, hsv

KINDS = ("bottle", "can", "box", "jar", "tube", "phone", "car", "card", "meal")
BODY_WIDTH = {
    "bottle": 0.36,
    "can": 0.52,
    "box": 0.7,
    "jar": 0.8,
    "tube": 0.36,
    "phone": 0.5,
    "car": 2.2,
    "card": 1.55,
    "meal": 1.5,
}


def product(kind: str, rng: np.random.Generator, height: int, palette: Palette, label: Sprite | None) -> Sprite:
    """Return a product ``height`` pixels high in the colours of ``palette``; ``kind`` is one of KINDS."""
    width = int(height * BODY_WIDTH[kind]) + 4
    picture = blank(height, width)
    _DRAW[kind](picture, rng, palette)
    if kind not in ("car", "meal"):
        _shade_round(picture, sharp=kind in ("phone", "card", "box"))
    if label is not None and kind != "meal":
        _stick(picture, label, kind)
    return Sprite.of(picture)


def _rounded(picture: Picture, box: tuple[float, float, float, float], radius: float, colour: Colour) -> None:
    """Fill a rounded rectangle given as shares of the picture (left, top, right, bottom)."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(v * s) for v, s in zip(box, (width, height, width, height), strict=True))
    r = max(1, round(radius * min(right - left, bottom - top)))
    fill = (*colour, 255)
    cv2.rectangle(picture, (left + r, top), (right - r - 1, bottom - 1), fill, -1)
    cv2.rectangle(picture, (left, top + r), (right - 1, bottom - r - 1), fill, -1)
    for x in (left + r, right - r - 1):
        for y in (top + r, bottom - r - 1):
            cv2.circle(picture, (x, y), r, fill, -1, cv2.LINE_AA)


def _shade_round(picture: Picture, *, sharp: bool) -> None:
    """Give a body the light of a round or flat surface."""
    width = picture.shape[1]
    across = np.linspace(-1, 1, width, dtype=np.float32)
    light = (
        0.95 + 0.12 * across
        if sharp
        else 0.55 + 0.45 * np.cos(across * 1.4) + 0.5 * np.exp(-(((across + 0.45) / 0.1) ** 2))
    )
    shaded = picture[:, :, :3] * light[None, :, None]
    picture[:, :, :3] = np.minimum(shaded, picture[:, :, 3:]).astype(np.uint8)


def _stick(picture: Picture, label: Sprite, kind: str) -> None:
    height, width = picture.shape[:2]
    wide = {"car": 0.16, "phone": 0.7, "card": 0.5}.get(kind, 0.82)
    sized = label.resized(min(wide * width / label.width, 0.3 * height / label.height))
    x, y = (
        (width - sized.width) / 2,
        height * {"car": 0.6, "phone": 0.35, "card": 0.15, "box": 0.3}.get(kind, 0.55) - sized.height / 2,
    )
    colours = np.ascontiguousarray(picture[:, :, :3])
    paste(colours, sized, x, max(0.0, y))
    picture[:, :, :3] = np.minimum(colours, picture[:, :, 3:])


def _bottle(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    glass = hsv(between(rng, 0, 1), between(rng, 0.3, 0.8), between(rng, 0.35, 0.8))
    _rounded(picture, (0.04, 0.3, 0.96, 1.0), 0.16, glass)
    _rounded(picture, (0.33, 0.05, 0.67, 0.5), 0.2, glass)
    _rounded(picture, (0.3, 0.0, 0.7, 0.08), 0.3, palette.accent)
    _rounded(picture, (0.04, 0.45, 0.96, 0.8), 0.02, palette.light)
    _rounded(picture, (0.04, 0.75, 0.96, 0.8), 0.02, palette.main)


def _can(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    _rounded(picture, (0.0, 0.02, 1.0, 1.0), 0.12, (190, 192, 196))
    _rounded(picture, (0.0, 0.09, 1.0, 0.93), 0.03, palette.main)
    _rounded(picture, (0.0, 0.7, 1.0, 0.78), 0.03, palette.accent)


def _box(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    _rounded(picture, (0.0, 0.0, 1.0, 1.0), 0.02, palette.main)
    _rounded(picture, (0.82, 0.0, 1.0, 1.0), 0.02, palette.dark)
    _rounded(picture, (0.08, 0.5, 0.74, 0.92), 0.5, hsv(between(rng, 0, 1), 0.7, 0.85))
    _rounded(picture, (0.0, 0.44, 0.82, 0.47), 0.02, palette.light)


def _jar(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    _rounded(picture, (0.02, 0.2, 0.98, 1.0), 0.2, hsv(between(rng, 0, 0.2), between(rng, 0.1, 0.8), 0.85))
    _rounded(picture, (0.0, 0.0, 1.0, 0.25), 0.2, palette.main)
    _rounded(picture, (0.1, 0.42, 0.9, 0.8), 0.1, palette.light)


def _tube(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    _rounded(picture, (0.0, 0.0, 1.0, 0.82), 0.05, palette.light)
    _rounded(picture, (0.0, 0.12, 1.0, 0.36), 0.02, palette.main)
    _rounded(picture, (0.2, 0.82, 0.8, 1.0), 0.2, palette.accent)


def _phone(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    _rounded(picture, (0.0, 0.0, 1.0, 1.0), 0.12, (22, 22, 26))
    _rounded(picture, (0.05, 0.03, 0.95, 0.97), 0.1, palette.main)
    for row in range(4):
        for column in range(3):
            left, top = 0.14 + column * 0.26, 0.48 + row * 0.115
            _rounded(picture, (left, top, left + 0.19, top + 0.085), 0.3, hsv(between(rng, 0, 1), 0.6, 0.9))


def _card(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    _rounded(picture, (0.0, 0.0, 1.0, 1.0), 0.08, palette.main)
    _rounded(picture, (0.08, 0.36, 0.2, 0.56), 0.2, (214, 190, 120))
    _rounded(picture, (0.08, 0.7, 0.6, 0.77), 0.1, palette.light)
    _rounded(picture, (0.74, 0.64, 0.92, 0.86), 0.5, palette.accent)


def _car(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    height, width = picture.shape[:2]
    roof = between(rng, 0.1, 0.22)
    body = [(0.02, 0.55), (0.2, 0.48), (0.33, roof), (0.66, roof), (0.8, 0.45), (0.97, 0.52), (0.99, 0.78), (0.02, 0.8)]
    glass = [(0.25, 0.46), (0.35, roof + 0.06), (0.64, roof + 0.06), (0.74, 0.45)]
    for points, colour in ((body, palette.main), (glass, (40, 52, 66))):
        cv2.fillPoly(picture, [(np.array(points) * (width, height)).astype(np.int32)], (*colour, 255), cv2.LINE_AA)
    _rounded(picture, (0.48, roof + 0.04, 0.5, 0.5), 0.02, palette.main)
    _rounded(picture, (0.04, 0.62, 0.97, 0.65), 0.02, palette.dark)
    _rounded(picture, (0.93, 0.54, 0.985, 0.6), 0.4, (255, 246, 214))
    for x in (0.22, 0.78):
        for radius, colour in ((0.2, (18, 18, 20)), (0.125, (176, 178, 184)), (0.05, (60, 60, 64))):
            cv2.circle(
                picture, (int(x * width), int(0.78 * height)), int(radius * height), (*colour, 255), -1, cv2.LINE_AA
            )


def _meal(picture: Picture, rng: np.random.Generator, palette: Palette) -> None:
    height, width = picture.shape[:2]
    centre = (width // 2, int(height * 0.6))
    cv2.ellipse(picture, centre, (width // 2 - 2, int(height * 0.38)), 0, 0, 360, (238, 238, 234, 255), -1, cv2.LINE_AA)
    cv2.ellipse(
        picture, centre, (int(width * 0.38), int(height * 0.27)), 0, 0, 360, (216, 216, 210, 255), -1, cv2.LINE_AA
    )
    for _ in range(40):
        x = centre[0] + int(rng.normal(0, width * 0.12))
        y = centre[1] - int(abs(rng.normal(0, height * 0.16)))
        colour = hsv(between(rng, 0, 0.3), between(rng, 0.5, 0.9), between(rng, 0.4, 0.95))
        size = int(between(rng, 0.04, 0.11) * height)
        cv2.ellipse(
            picture, (x, y), (size, int(size * 0.7)), int(rng.integers(180)), 0, 360, (*colour, 255), -1, cv2.LINE_AA
        )


_DRAW = {
    "bottle": _bottle,
    "can": _can,
    "box": _box,
    "jar": _jar,
    "tube": _tube,
    "phone": _phone,
    "car": _car,
    "card": _card,
    "meal": _meal,
}
