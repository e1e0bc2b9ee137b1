"""Teleshopping: a host, goods, a price, a number to call, for longer than any spot. A class of its own, not scored.

shots = teleshop_shots(channel_style, stream(7, "teleshop", "channel-03", 2), ticks=150)
"""

import functools

import numpy as np

from ml_training.data.synthetic import vocabulary as words
from ml_training.data.synthetic.backdrops import BACKDROPS
from ml_training.data.synthetic.overlays import WHITE, Style, on_plate, plate, price_tag, readable
from ml_training.data.synthetic.people import Look, bust, draw_look
from ml_training.data.synthetic.products import KINDS, product
from ml_training.data.synthetic.randomness import Palette, between, chance, draw_palette, pick, stream
from ml_training.data.synthetic.shots import HEIGHT, WIDTH, Camera, Layer, PlannedShot, Shot, draw_camera, shot_lengths
from ml_training.data.synthetic.typography import text_sprite


def teleshop_shots(style: Style, rng: np.random.Generator, ticks: int) -> list[PlannedShot]:
    """Return the shots of one offer on the channel of ``style``."""
    number, host = int(rng.integers(2**31)), draw_look(rng)
    goods = pick(rng, [kind for kind in KINDS if kind != "car"]), draw_palette(rng)
    lengths = shot_lengths(rng, ticks, 4.0 * 12.5)
    return [PlannedShot(t, functools.partial(_shot, style, host, goods, number, i)) for i, t in enumerate(lengths)]


def _shot(style: Style, host: Look, goods: tuple[str, Palette], number: int, index: int) -> Shot:
    fixed, rng = stream("teleshop", number), stream("teleshop", number, index)
    kind, palette = goods
    canvas = BACKDROPS[pick(fixed, ("room", "studio", "shop"))](fixed, style)
    near = chance(rng, 0.4)
    height = int(between(rng, 250, 320) if near else between(rng, 110, 150))
    item = product(kind, stream("teleshop goods", number), height, palette, None)
    item = item.resized(min(1.0, 380 / item.width))
    layers = [Layer((item,), between(rng, 300, 400) - item.width / 3, 300 - item.height, sway=(2, 0))]
    if not near:
        faces = bust(host, 280), bust(host, 280, mouth_open=True)
        layers.insert(0, Layer(faces, between(rng, 0, 60), HEIGHT - 280 - 40, sway=(4, 2), rate=6))
    return Shot(canvas, draw_camera(rng, 0.5) if near else Camera((1.15, 1.17)), [*layers, *_panel(style, fixed)])


def _panel(style: Style, rng: np.random.Generator) -> list[Layer]:
    """What stays on the screen for the whole offer: order number, price, a telephone number."""
    palette = style.palette
    call = text_sprite(f"0800 555 {int(rng.integers(10)):02d} {int(rng.integers(100)):02d}", style.typeface, size=26,
                       colour=readable(palette.main))  # fmt: skip
    order = text_sprite(f"Order no. {int(rng.integers(100_000, 999_999))}", style.second, size=15,
                        colour=readable(palette.light))  # fmt: skip
    was = text_sprite(f"was {words.price(rng)}", style.second, size=15, colour=WHITE, shadow=True)
    layers = [Layer((plate(WIDTH, 52, palette.main),), 0, HEIGHT - 52), Layer((call,), 24, HEIGHT - 42)]
    layers.append(Layer((on_plate(order, palette.light, 5),), 400, HEIGHT - 40))
    layers.append(Layer((price_tag(rng, style, words.price(rng), 36),), 500, 40))
    return [*layers, Layer((was,), 510, 20)] if chance(rng, 0.5) else layers
