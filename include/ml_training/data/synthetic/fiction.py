"""The shots of drama and music.

shot = BUILDERS["dialogue"](show, rng)
"""

from collections.abc import Callable

import numpy as np

from ml_training.data.synthetic import vocabulary as words
from ml_training.data.synthetic.backdrops import BACKDROPS, scene
from ml_training.data.synthetic.factual import speaker, walkers
from ml_training.data.synthetic.overlays import caption, readable
from ml_training.data.synthetic.people import bust, standing
from ml_training.data.synthetic.pictures import Picture, saturated
from ml_training.data.synthetic.products import product
from ml_training.data.synthetic.randomness import between, chance, draw_palette, pick, stream
from ml_training.data.synthetic.shots import HEIGHT, Camera, Layer, Shot, draw_camera
from ml_training.data.synthetic.shows import Show
from ml_training.data.synthetic.typography import text_sprite


def _place(show: Show, rng: np.random.Generator) -> Picture:
    """One of the few places where the story of ``show`` goes on; dark in part of the scenes."""
    number = int(rng.integers(5))
    scene = stream(show.seed, "place", show.key, number)
    canvas = BACKDROPS[pick(scene, ("room", "room", "street", "hills", "blurred", "shop"))](scene, show.style)
    dark = between(scene, 0.6, 1.0)
    return saturated((canvas * dark).astype(np.uint8), between(scene, 0.5, 1.1))


def dialogue(show: Show, rng: np.random.Generator) -> Shot:
    """One actor in close-up, subtitled in part."""
    actor = show.cast[int(rng.integers(len(show.cast)))]
    layers = [speaker(actor, int(between(rng, 300, 430)), between(rng, -30, 280), rate=5)]
    if chance(rng, 0.15):
        layers += caption(
            rng, show.style, pick(rng, ("I told you so.", "Where were you last night?", "We have to leave.")), size=18
        )
    return Shot(_place(show, rng), Camera((1.2, 1.25), shake=1.0 if chance(rng, 0.3) else 0.0), layers)


def together(show: Show, rng: np.random.Generator) -> Shot:
    """Two actors; things on the table now and then."""
    first, second = show.cast[int(rng.integers(2))], show.cast[2 + int(rng.integers(3))]
    height = int(between(rng, 210, 300))
    layers = [speaker(first, height, between(rng, 0, 80)), speaker(second, height, between(rng, 300, 380), phase=0.4)]
    if chance(rng, 0.25):
        kind, tall = pick(rng, ("bottle", "jar", "meal", "phone", "box")), int(between(rng, 60, 110))
        item = product(kind, rng, tall, draw_palette(rng), None)
        layers.append(Layer((item,), between(rng, 220, 360), HEIGHT - tall - between(rng, 0, 20)))
    return Shot(_place(show, rng), draw_camera(rng, 0.5), layers)


def walk(show: Show, rng: np.random.Generator) -> Shot:
    """Somebody goes, drives or runs through the picture."""
    shot = Shot(_place(show, rng), draw_camera(rng))
    if chance(rng, 0.25):
        car = product("car", rng, int(between(rng, 90, 170)), draw_palette(rng), None)
        shot.layers.append(
            Layer(
                (car,),
                between(rng, 0, 150),
                HEIGHT - car.height - between(rng, 0, 40),
                drift=(between(rng, 100, 300), 0),
            )
        )
    else:
        shot.layers += walkers(rng, 1)
    return shot


def establishing(show: Show, rng: np.random.Generator) -> Shot:
    """Where the next scene plays, without people."""
    canvas = scene(rng, show.style, ("hills", "street", "photo", "room"), "content")
    layers = (
        caption(rng, show.style, f"{words.invented_name(rng)}, {int(rng.integers(1950, 2030))}")
        if chance(rng, 0.15)
        else []
    )
    return Shot(canvas, draw_camera(rng, 1.2), layers).saturated(between(rng, 0.6, 1.0))


def _performer(show: Show, rng: np.random.Generator, height: int, x: float) -> Layer:
    look = show.cast[int(rng.integers(len(show.cast)))]
    steps = tuple(standing(look, height, stride=s) for s in (-1.0, 0.3, 1.0))
    return Layer(steps, x, HEIGHT - height + 8, sway=(12, 8), rate=5, phase=between(rng, 0, 1))


def singer(show: Show, rng: np.random.Generator) -> Shot:
    """A singer in close-up, with the song's title or a line of its text at times."""
    canvas = BACKDROPS[pick(rng, ("stage", "stage", "plain", "street", "blurred"))](rng, show.style)
    look, height = show.cast[int(rng.integers(2))], int(between(rng, 260, 420))
    layers = [
        Layer(
            (bust(look, height), bust(look, height, mouth_open=True)),
            between(rng, -20, 300),
            HEIGHT - height + 4,
            sway=(14, 8),
            rate=7,
        )
    ]
    if chance(rng, 0.2):
        layers += caption(rng, show.style, f"{words.invented_name(rng)} - {words.show_title(rng)}", size=22)
    return Shot(canvas, draw_camera(rng, 1.8), layers)


def band(show: Show, rng: np.random.Generator) -> Shot:
    """Several people on a stage."""
    canvas = BACKDROPS[pick(rng, ("stage", "stage", "street", "hills"))](rng, show.style)
    count = int(rng.integers(2, 5))
    layers = [_performer(show, rng, int(between(rng, 200, 290)), 20 + i * 560 / count) for i in range(count)]
    return Shot(canvas, draw_camera(rng, 1.8), layers)


def credit(show: Show, rng: np.random.Generator) -> Shot:
    """Names over a picture, as in opening and closing titles."""
    canvas = _place(show, rng)
    colour = readable(tuple(int(v) for v in np.mean(canvas, axis=(0, 1))))  # type: ignore[arg-type]
    layers = [
        Layer(
            (text_sprite(words.person_name(rng), show.style.typeface, size=26, colour=colour),),
            60,
            120 + 50 * i,
            appears=0.3 * i,
        )
        for i in range(int(rng.integers(1, 4)))
    ]
    return Shot(canvas, draw_camera(rng), layers)


BUILDERS: dict[str, Callable[[Show, np.random.Generator], Shot]] = {
    "dialogue": dialogue,
    "together": together,
    "walk": walk,
    "establishing": establishing,
    "singer": singer,
    "band": band,
    "credit": credit,
}
