"""What stands between programmes and spots: promos, idents, sponsor cards, moments of black.

shots = SHOTS["promo"](channel_style, show, rng, ticks=60)
"""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ml_training.data.synthetic import vocabulary as words
from ml_training.data.synthetic.backdrops import BACKDROPS
from ml_training.data.synthetic.overlays import Style, caption, draw_style, mark, readable
from ml_training.data.synthetic.programmes import segment_shots
from ml_training.data.synthetic.randomness import chance, pick, stream
from ml_training.data.synthetic.shots import HEIGHT, WIDTH, Camera, Layer, PlannedShot, Shot
from ml_training.data.synthetic.shows import Show
from ml_training.data.synthetic.typography import text_sprite

TIMES = ("Tomorrow 20:15", "Sunday 21:45", "Next: 22:30", "Coming up", "Friday, 8 pm")


def promo(style: Style, show: Show, rng: np.random.Generator, ticks: int) -> list[PlannedShot]:
    """Return a trailer: shots of a show with its title, the time and the channel's mark."""
    number = int(rng.integers(2**31))
    return [replace(planned, build=functools.partial(_announced, style, show, planned, number + i))
            for i, planned in enumerate(segment_shots(show, rng, ticks))]  # fmt: skip


def _announced(style: Style, show: Show, planned: PlannedShot, number: int) -> Shot:
    shot, rng = planned.build(), stream(show.seed, "promo", number)
    shot.layers = [*shot.layers, *caption(rng, show.style, show.title, size=34)]
    time = text_sprite(pick(rng, TIMES), style.typeface, size=22, colour=(250, 250, 250), shadow=True)
    shot.layers.append(Layer((time,), 40, 318))
    return shot


def ident(style: Style, show: Show, rng: np.random.Generator, ticks: int) -> list[PlannedShot]:
    """Return the channel's own mark, large."""
    return [PlannedShot(ticks, functools.partial(_card, style, style, None, int(rng.integers(2**31))))]


def sponsor(style: Style, show: Show, rng: np.random.Generator, ticks: int) -> list[PlannedShot]:
    """Return a card that names who pays for a show."""
    number = int(rng.integers(2**31))
    brand = draw_style(rng, words.invented_name(rng), style.sources)
    return [PlannedShot(ticks, functools.partial(_card, brand, style, f"{show.title} is presented by", number))]


def _card(shown: Style, channel: Style, line: str | None, number: int) -> Shot:
    rng = stream("card", channel.emblem, number)
    canvas = BACKDROPS[pick(rng, ("plain", "blurred", "hills", "photo", "stage"))](rng, shown)
    middle = np.mean(canvas, axis=(0, 1))
    colour = readable((int(middle[0]), int(middle[1]), int(middle[2])))
    sign = mark(shown, 64, colour, widest=460)
    layers = [Layer((sign,), (WIDTH - sign.width) / 2, (HEIGHT - sign.height) / 2)]
    if line:
        words_above = text_sprite(line, channel.typeface, size=20, colour=colour, shadow=True)
        layers.append(Layer((words_above,), (WIDTH - words_above.width) / 2, 90))
    return Shot(canvas, Camera((1.05, 1.25)), layers)


def black_shot() -> Shot:
    """Return a black picture."""
    return Shot(np.full((HEIGHT, WIDTH, 3), 4, np.uint8), Camera((1.0, 1.0)))


def with_black(shots: list[PlannedShot], rng: np.random.Generator) -> list[PlannedShot]:
    """Replace the start of some shots by a moment of black, as between two scenes."""
    out: list[PlannedShot] = []
    for shot in shots:
        length = int(rng.integers(3, 9))
        if chance(rng, 0.12) and shot.ticks > 20:
            out += [PlannedShot(length, black_shot), replace(shot, ticks=shot.ticks - length)]
        else:
            out.append(shot)
    return out


SHOTS: dict[str, Callable[[Style, Show, np.random.Generator, int], list[PlannedShot]]] = {
    "promo": promo,
    "ident": ident,
    "sponsor": sponsor,
}
