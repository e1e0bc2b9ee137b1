"""The shots of a match: pitch, players, stands, tables; boards with brands stand along every pitch.

shot = BUILDERS["pitch"](show, rng)
"""

from collections.abc import Callable

import cv2
import numpy as np

from ml_training.data.synthetic import vocabulary as words
from ml_training.data.synthetic.backdrops import BACKDROPS
from ml_training.data.synthetic.overlays import Style, draw_style, mark, on_plate, plate, readable, score_bug, strap
from ml_training.data.synthetic.people import Look, bust, crowd, draw_look, standing
from ml_training.data.synthetic.pictures import Picture, noise, paste
from ml_training.data.synthetic.randomness import between, chance, hsv, pick, stream
from ml_training.data.synthetic.shots import HEIGHT, WIDTH, Camera, Layer, Shot, draw_camera
from ml_training.data.synthetic.shows import Show
from ml_training.data.synthetic.sources import Sources
from ml_training.data.synthetic.typography import text_sprite


def ground(rng: np.random.Generator, sources: Sources) -> Picture:
    """Return a pitch with its stand and its boards, [450, 800]."""
    picture = np.zeros((450, 800, 3), np.uint8)
    hue, light, top = between(rng, 0.22, 0.36), between(rng, 0.4, 0.7), int(between(rng, 70, 150))
    picture[:top] = crowd(rng, top, 800, int(between(rng, 7, 13)))
    stripe = int(between(rng, 40, 110))
    for x in range(0, 800, stripe):
        cv2.rectangle(
            picture, (x, top), (x + stripe, 450), hsv(hue, 0.6, light * (1.0 if x // stripe % 2 else 0.88)), -1
        )
    grass = 0.88 + 0.24 * noise(rng, 450 - top, 800, 7, 0.9)
    picture[top:] = np.clip(picture[top:] * grass[:, :, None], 0, 255).astype(np.uint8)
    cv2.line(picture, (0, top + 60), (800, top + 60), (228, 234, 226), 3, cv2.LINE_AA)
    cv2.ellipse(
        picture, (int(rng.integers(100, 700)), top + 180), (130, 50), 0, 0, 360, (228, 234, 226), 3, cv2.LINE_AA
    )
    _boards(picture, rng, sources, top)
    return picture


def _boards(picture: Picture, rng: np.random.Generator, sources: Sources, top: int) -> None:
    x = 0
    while x < 800:
        brand: Style = draw_style(rng, words.invented_name(rng), sources)
        board = on_plate(mark(brand, 16, readable(brand.palette.main), widest=130), brand.palette.main, 5)
        paste(picture, board, x, top - 4)
        x += board.width + 4


def players(show: Show, rng: np.random.Generator, count: int, low: int, high: int) -> list[Layer]:
    """Return players of both sides, running, those behind first."""
    layers = []
    kits = [show.style.palette.main, show.style.palette.accent]
    for y in sorted(between(rng, 150, 330) for _ in range(count)):
        base = draw_look(rng)
        look = Look(**{**base.__dict__, "clothes": kits[int(rng.integers(2))]})
        height = int(low + (high - low) * (y - 150) / 180)
        steps = tuple(standing(look, height, stride=s) for s in (-1.3, 0.2, 1.3))
        layers.append(
            Layer(
                steps,
                between(rng, 0, 600),
                y - height + 30,
                drift=(between(rng, -150, 150), between(rng, -12, 12)),
                rate=6,
                phase=between(rng, 0, 1),
            )
        )
    return layers


def teams(show: Show) -> tuple[str, str]:
    """Return the two sides of the match."""
    rng = stream(show.seed, "teams", show.key)
    return words.invented_name(rng), words.invented_name(rng)


def pitch(show: Show, rng: np.random.Generator) -> Shot:
    """The match from the main camera."""
    canvas = ground(stream(show.seed, "ground", show.key, int(rng.integers(3))), show.style.sources)
    shot = Shot(canvas, draw_camera(rng, 1.6), players(show, rng, int(rng.integers(5, 10)), 40, 110))
    if chance(rng, 0.85):
        shot.layers += score_bug(rng, show.style, teams(show), int(rng.integers(90)))
    return shot


def player(show: Show, rng: np.random.Generator) -> Shot:
    """One player near, the stand behind."""
    canvas = crowd(rng, 450, 800, int(between(rng, 16, 26))) if chance(rng, 0.6) else ground(rng, show.style.sources)
    canvas = cv2.blur(canvas, (9, 9))
    base = draw_look(rng)
    look = Look(
        **{**base.__dict__, "clothes": pick(rng, (show.style.palette.main, show.style.palette.accent)), "suit": False}
    )
    height = int(between(rng, 240, 340))
    shot = Shot(
        canvas,
        draw_camera(rng, 1.5),
        [
            Layer(
                (bust(look, height), bust(look, height, mouth_open=True)),
                between(rng, 40, 300),
                HEIGHT - height + 4,
                sway=(10, 6),
                rate=1,
            )
        ],
    )
    if chance(rng, 0.6):
        shot.layers += score_bug(rng, show.style, teams(show), int(rng.integers(90)))
    if chance(rng, 0.3):
        shot.layers += strap(rng, show.style, words.person_name(rng), f"Goals: {int(rng.integers(20))}")
    return shot


def stand(show: Show, rng: np.random.Generator) -> Shot:
    """The crowd."""
    shot = Shot(crowd(rng, 450, 800, int(between(rng, 18, 50))), draw_camera(rng, 1.5))
    if chance(rng, 0.6):
        shot.layers += score_bug(rng, show.style, teams(show), int(rng.integers(90)))
    return shot


def line_up(show: Show, rng: np.random.Generator) -> Shot:
    """A full screen of names or a table, with the sponsor's mark at times."""
    canvas = (
        cv2.blur(ground(rng, show.style.sources), (31, 31)) if chance(rng, 0.5) else BACKDROPS["plain"](rng, show.style)
    )
    palette = show.style.palette
    layers = [Layer((plate(460, 280, palette.dark, 0.85, radius=8),), 90, 40)]
    head = text_sprite(
        f"{teams(show)[0]} - {teams(show)[1]}", show.style.typeface, size=26, colour=readable(palette.dark), widest=420
    )
    layers.append(Layer((head,), 110, 54))
    for row in range(6):
        line = text_sprite(
            f"{row + 1}  {words.person_name(rng)}", show.style.second, size=17, colour=readable(palette.dark)
        )
        layers.append(Layer((line,), 116, 100 + row * 30, appears=0.08 * row))
    if chance(rng, 0.35):
        brand = draw_style(rng, words.invented_name(rng), show.style.sources)
        sponsor = on_plate(mark(brand, 20, readable(brand.palette.light), widest=140), brand.palette.light, 6)
        layers.append(Layer((sponsor,), WIDTH - sponsor.width - 110, 280))
    return Shot(canvas, Camera((1.1, 1.1)), layers)


BUILDERS: dict[str, Callable[[Show, np.random.Generator], Shot]] = {
    "pitch": pitch,
    "player": player,
    "stand": stand,
    "line-up": line_up,
}
