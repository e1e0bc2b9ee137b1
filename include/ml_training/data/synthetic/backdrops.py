"""What stands behind people and things: rooms, streets, hills, studios, stages, pitches, plain colours, photographs.

    canvas = BACKDROPS["room"](rng, style)       # uint8 [450, 800, 3]: a quarter larger than the screen, to pan over

Every backdrop is open to programmes and to ads; only how often each is drawn differs.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ml_training.data.synthetic.footage import Footage, draw_footage
from ml_training.data.synthetic.overlays import Style
from ml_training.data.synthetic.people import crowd
from ml_training.data.synthetic.pictures import Picture, gradient, mix, noise, photograph, textured, vignette
from ml_training.data.synthetic.randomness import between, chance, hsv, pick

HEIGHT, WIDTH = 450, 800
FOOTAGE_SHARE, FOOTAGE_SHARE_OF_MEDIA = 0.22, 0.5  # with clips of packages only, with clips of one's own


def photo(rng: np.random.Generator, style: Style) -> Picture:
    """A photograph: buildings, flowers, country seen from the air."""
    return photograph(rng, style.sources, HEIGHT, WIDTH)


def blurred(rng: np.random.Generator, style: Style) -> Picture:
    """A photograph or a room out of focus, behind something near."""
    picture = photograph(rng, style.sources, HEIGHT, WIDTH) if chance(rng, 0.5) else room(rng, style)
    return cv2.blur(cv2.blur(picture, (25, 25)), (25, 25))


def plain(rng: np.random.Generator, style: Style) -> Picture:
    """A gradient in the colours of the palette."""
    palette = style.palette
    pairs = (
        (palette.main, palette.dark),
        (palette.light, palette.main),
        (palette.dark, palette.main),
        (palette.dark, (10, 10, 14)),
        (palette.light, (255, 255, 255)),
    )
    first, second = pairs[int(rng.integers(len(pairs)))]
    return gradient(rng, HEIGHT, WIDTH, first, second)


def hills(rng: np.random.Generator, style: Style) -> Picture:
    """Hills under a sky, by day or at dusk, sometimes with a lake or a road."""
    hue, light = between(rng, 0.5, 0.68) if chance(rng, 0.7) else between(rng, 0.95, 1.1), between(rng, 0.4, 1.0)
    horizon = between(rng, 0.35, 0.6)
    sky_noise = noise(rng, HEIGHT, WIDTH, 6)
    picture = mix(
        hsv(hue, 0.6, light),
        hsv(hue, 0.12, min(1, light + 0.2)),
        np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None] * 0.7 + sky_noise * 0.4,
    )
    ground_hue = between(rng, 0.12, 0.4)
    grain = noise(rng, HEIGHT, WIDTH, 7, 0.85)
    for layer in range(4):
        base = (horizon + layer * (1 - horizon) / 4) * HEIGHT
        ridge = base - noise(rng, 1, WIDTH, 5 + layer, 0.5)[0] * HEIGHT * (0.3 - 0.05 * layer)
        mask = np.arange(HEIGHT)[:, None] > ridge[None, :]
        near = layer / 3
        colour = hsv(ground_hue + (1 - near) * (0.55 - ground_hue), 0.25 + 0.35 * near, light * (0.75 - 0.35 * near))
        texture = mix(tuple(int(c * 0.6) for c in colour), colour, np.roll(grain, 97 * layer, axis=1))  # type: ignore[arg-type]
        picture[mask] = texture[mask]
    if chance(rng, 0.35):
        _road(picture, rng, horizon)
    return picture


def _road(picture: Picture, rng: np.random.Generator, horizon: float) -> None:
    middle, top = int(between(rng, 0.3, 0.7) * WIDTH), int((horizon + 0.2) * HEIGHT)
    cv2.fillPoly(
        picture,
        [np.array([(middle - 8, top), (middle + 8, top), (WIDTH - 80, HEIGHT), (80, HEIGHT)])],
        (84, 84, 88),
        cv2.LINE_AA,
    )
    cv2.line(picture, (middle, top), (WIDTH // 2, HEIGHT), (226, 226, 214), 3, cv2.LINE_AA)


def street(rng: np.random.Generator, style: Style) -> Picture:
    """A town by day or at night."""
    night = chance(rng, 0.4)
    light = 0.25 if night else between(rng, 0.6, 1.0)
    picture = gradient(rng, HEIGHT, WIDTH, hsv(0.6, 0.5, light), hsv(between(rng, 0.55, 0.65), 0.2, light))
    x = -20
    while x < WIDTH:
        width, height = int(between(rng, 50, 130)), int(between(rng, 120, 380))
        wall = hsv(between(rng, 0, 0.15), between(rng, 0.05, 0.4), light * between(rng, 0.45, 0.9))
        cv2.rectangle(picture, (x, HEIGHT - height), (x + width, HEIGHT), wall, -1)
        for wx in range(x + 8, x + width - 10, 18):
            for wy in range(HEIGHT - height + 10, HEIGHT - 60, 24):
                lit = chance(rng, 0.5) if night else chance(rng, 0.1)
                cv2.rectangle(
                    picture, (wx, wy), (wx + 9, wy + 14), (250, 222, 150) if lit else hsv(0.6, 0.3, light * 0.45), -1
                )
        x += width
    cv2.rectangle(picture, (0, HEIGHT - 50), (WIDTH, HEIGHT), hsv(0.6, 0.05, light * 0.45), -1)
    return textured(picture, rng, 0.25)


def room(rng: np.random.Generator, style: Style) -> Picture:
    """A room with a window, pictures, shelves and furniture."""
    hue, light = between(rng, 0, 1), between(rng, 0.3, 0.95)
    picture = gradient(
        rng, HEIGHT, WIDTH, hsv(hue, between(rng, 0.03, 0.4), light), hsv(hue, between(rng, 0.03, 0.4), light * 0.7)
    )
    floor = int(between(rng, 0.72, 0.85) * HEIGHT)
    cv2.rectangle(picture, (0, floor), (WIDTH, HEIGHT), hsv(0.08, between(rng, 0.2, 0.6), light * 0.55), -1)
    for _ in range(int(rng.integers(2, 6))):
        _furnish(picture, rng, style, light, floor)
    return vignette(textured(picture, rng, 0.22), between(rng, 0, 0.5))


def _furnish(picture: Picture, rng: np.random.Generator, style: Style, light: float, floor: int) -> None:
    x, y = int(rng.integers(0, WIDTH - 160)), int(rng.integers(30, 150))
    kind = int(rng.integers(4))
    if kind == 0:
        view = photograph(rng, style.sources, 170, 140)
        picture[y : y + 170, x : x + 140] = view
        cv2.rectangle(picture, (x, y), (x + 140, y + 170), (236, 234, 228), 6)
    elif kind == 1:
        for shelf in range(3):
            top = y + shelf * 60
            for book in range(x, x + 150, 12):
                cv2.rectangle(
                    picture,
                    (book, top + int(rng.integers(6, 22))),
                    (book + 9, top + 50),
                    hsv(between(rng, 0, 1), 0.5, light * 0.7),
                    -1,
                )
            cv2.rectangle(picture, (x - 6, top + 50), (x + 158, top + 57), hsv(0.08, 0.5, light * 0.45), -1)
    elif kind == 2:
        colour = hsv(between(rng, 0, 1), between(rng, 0.2, 0.6), light * 0.6)
        cv2.rectangle(picture, (x, floor - 70), (x + 240, floor + 20), colour, -1)
        cv2.rectangle(picture, (x - 18, floor - 40), (x + 12, floor + 24), colour, -1)
    else:
        cv2.line(picture, (x, y + 40), (x, floor), (60, 56, 50), 4)
        cv2.fillPoly(
            picture,
            [np.array([(x - 34, y + 40), (x + 34, y + 40), (x + 20, y), (x - 20, y)])],
            (255, 236, 190),
            cv2.LINE_AA,
        )


def studio(rng: np.random.Generator, style: Style) -> Picture:
    """A studio: panels, light bars, a large screen with a picture."""
    palette = style.palette
    picture = gradient(rng, HEIGHT, WIDTH, palette.dark, palette.main)
    count = int(rng.integers(4, 9))
    for index in range(count):
        x = int(index * WIDTH / count)
        shade = between(rng, 0.6, 1.3)
        panel = picture[:, x : x + WIDTH // count - 6]
        panel[:] = np.clip(panel * shade, 0, 255)
        if chance(rng, 0.5):
            cv2.rectangle(picture, (x, 0), (x + 5, HEIGHT), palette.light if chance(rng, 0.6) else palette.accent, -1)
    if chance(rng, 0.7):
        x, y, width = int(rng.integers(30, 400)), int(rng.integers(20, 70)), int(rng.integers(240, 380))
        picture[y : y + width * 9 // 16, x : x + width] = photograph(rng, style.sources, width * 9 // 16, width)
        cv2.rectangle(picture, (x, y), (x + width, y + width * 9 // 16), (16, 18, 24), 5)
    cv2.rectangle(picture, (0, HEIGHT - 60), (WIDTH, HEIGHT), tuple(int(c * 0.5) for c in palette.dark), -1)
    return vignette(textured(picture, rng, 0.1), 0.3)


def stage(rng: np.random.Generator, style: Style) -> Picture:
    """A stage or a club: beams of light and spots out of focus."""
    picture = gradient(rng, HEIGHT, WIDTH, (8, 8, 14), hsv(between(rng, 0.55, 0.95), 0.7, 0.3))
    glow = np.zeros_like(picture)
    for _ in range(int(rng.integers(4, 9))):
        top, foot = int(rng.integers(WIDTH)), int(rng.integers(WIDTH))
        colour = hsv(between(rng, 0, 1), between(rng, 0.3, 0.9), between(rng, 0.3, 0.7))
        cv2.fillPoly(
            glow,
            [np.array([(top - 4, 0), (top + 4, 0), (foot + 60, HEIGHT), (foot - 60, HEIGHT)])],
            colour,
            cv2.LINE_AA,
        )
    for _ in range(int(rng.integers(5, 30))):
        centre = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        cv2.circle(
            glow,
            centre,
            int(rng.integers(4, 20)),
            hsv(between(rng, 0, 1), 0.5, between(rng, 0.3, 0.9)),
            -1,
            cv2.LINE_AA,
        )
    picture = cv2.add(picture, cv2.blur(glow, (9, 9)))
    if chance(rng, 0.5):
        heads = crowd(rng, 90, WIDTH, 30)
        picture[-90:] = cv2.addWeighted(picture[-90:], 0.3, heads, 0.25, 0)
    return textured(picture, rng, 0.15)


def shop(rng: np.random.Generator, style: Style) -> Picture:
    """Shelves full of goods: a shop, a warehouse, a laboratory."""
    picture = gradient(rng, HEIGHT, WIDTH, hsv(between(rng, 0, 1), 0.08, between(rng, 0.6, 0.95)), (150, 150, 154))
    step = int(between(rng, 80, 130))
    for shelf in range(step, HEIGHT + step, step):
        x = 4
        while x < WIDTH:
            width, height = int(between(rng, 14, 40)), int(between(rng, 0.4, 0.85) * step)
            cv2.rectangle(
                picture,
                (x, shelf - height),
                (x + width - 3, shelf - 8),
                hsv(between(rng, 0, 1), between(rng, 0.2, 0.9), between(rng, 0.4, 0.95)),
                -1,
            )
            x += width
        cv2.rectangle(picture, (0, shelf - 8), (WIDTH, shelf), (96, 92, 90), -1)
    return textured(picture, rng, 0.25)


BACKDROPS: dict[str, Callable[[np.random.Generator, Style], Picture]] = {
    "photo": photo, "blurred": blurred, "plain": plain, "hills": hills, "street": street,
    "room": room, "studio": studio, "stage": stage, "shop": shop,
}  # fmt: skip


def scene(rng: np.random.Generator, style: Style, names: Sequence[str], use: str) -> Picture | Footage:
    """Return footage of the owner's that the class ``use`` may show, at times; else one of the named backdrops."""
    if chance(rng, FOOTAGE_SHARE_OF_MEDIA if style.sources.media else FOOTAGE_SHARE):
        return draw_footage(rng, style.sources, use)
    return BACKDROPS[pick(rng, names)](rng, style)
