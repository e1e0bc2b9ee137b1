"""The pictures of an advertisement: what a spot shows, from its first shot to its end card.

    shots = spot_shots(draw_creative(7, "channel-03-ad-012-10s"), ticks=125)

A viewer tells an ad from the whole picture: a thing set off against a clean ground, a brand, a claim, small print. Each
of these is left out in part of the shots, and each is found in programmes too.
"""

import functools

import cv2
import numpy as np

from ml_training.data.synthetic import sport
from ml_training.data.synthetic import vocabulary as words
from ml_training.data.synthetic.backdrops import BACKDROPS, scene
from ml_training.data.synthetic.creatives import Creative
from ml_training.data.synthetic.overlays import (
    WHITE,
    Style,
    caption,
    chart,
    mark,
    on_plate,
    plate,
    price_tag,
    qr_code,
    readable,
    small_print,
)
from ml_training.data.synthetic.people import bust, standing
from ml_training.data.synthetic.pictures import Picture, Sprite
from ml_training.data.synthetic.products import product
from ml_training.data.synthetic.randomness import Colour, between, chance, pick, stream
from ml_training.data.synthetic.shots import (
    HEIGHT,
    WIDTH,
    Camera,
    Layer,
    PlannedShot,
    Shot,
    draw_camera,
    draw_grade,
    shot_lengths,
)
from ml_training.data.synthetic.shows import Show
from ml_training.data.synthetic.typography import broken, text_sprite

PLACES = ("hills", "street", "room", "shop", "photo", "blurred", "stage")


def spot_shots(creative: Creative, ticks: int) -> list[PlannedShot]:
    """Return the shots of ``creative`` when it lasts ``ticks``; the same id always gives the same film."""
    rng = stream(creative.seed, "film", creative.creative_id)
    if creative.script == "static":
        return [PlannedShot(ticks, functools.partial(_build, creative, "end card", 0))]
    lengths = shot_lengths(rng, ticks, creative.shot_seconds * 12.5)
    kinds, barred = _script(creative, rng, len(lengths)), _barred(rng, len(lengths))
    return [
        PlannedShot(t, functools.partial(_build, creative, kind, i), "letterbox" if i in barred else None)
        for i, (t, kind) in enumerate(zip(lengths, kinds, strict=True))
    ]


def _barred(rng: np.random.Generator, count: int) -> range:
    """Return the shots that have bars where the film opens or closes them: none in most films."""
    if not chance(rng, 0.12):
        return range(0)
    return range(count // 2) if chance(rng, 0.7) else range(count // 2, count)


def _script(creative: Creative, rng: np.random.Generator, count: int) -> list[str]:
    """Return the kind of each shot: the body by script, then the pack shot and the end card."""
    bodies = {
        "product": ("pack shot", "close-up", "lifestyle", "claim", "lifestyle", "pack shot"),
        "offer": ("offer", "offer", "claim", "pack shot", "lifestyle"),
        "story": ("lifestyle", "lifestyle", "lifestyle", "close-up", "claim"),
        "car": ("car", "car", "car", "claim", "lifestyle"),
        "spokesperson": ("spokesperson",),
        "match": ("match", "match", "match", "close-up"),
    }[creative.script]
    kinds = [pick(rng, bodies) for _ in range(count)]
    kinds[-1] = "end card"
    if count > 2 and creative.script in ("product", "story") and chance(rng, 0.5):
        kinds[-2] = "pack shot"
    return kinds


def _build(creative: Creative, kind: str, index: int) -> Shot:
    rng = stream(creative.seed, "shot", creative.creative_id, index)
    shot = _SHOTS[kind](creative, rng).saturated(between(rng, 0.85, 1.3))
    return shot.graded(draw_grade(stream(creative.seed, "grade", creative.creative_id)))


def pack_of(creative: Creative, height: int) -> Sprite:
    """The thing that is sold; its own generator keeps it the same in every shot."""
    label = text_sprite(
        creative.brand.name,
        creative.brand.typeface,
        size=max(8, height // 7),
        colour=readable(creative.brand.palette.light),
    )
    return product(
        creative.product, stream(creative.seed, "pack", creative.brand.emblem), height, creative.brand.palette, label
    )


def _fitted(creative: Creative, rng: np.random.Generator, low: int, high: int) -> Sprite:
    height = int(between(rng, low, high))
    return pack_of(
        creative, int(height * {"car": 0.6, "card": 0.6, "meal": 0.7, "jar": 0.8}.get(creative.product, 1.0))
    )


def _shadow(width: int) -> Sprite:
    picture = np.zeros((max(8, width // 6), width, 4), np.uint8)
    cv2.ellipse(
        picture,
        (width // 2, picture.shape[0] // 2),
        (int(width * 0.45), picture.shape[0] // 3),
        0,
        0,
        360,
        (0, 0, 0, 130),
        -1,
    )
    return Sprite.of(cv2.blur(picture, (9, 5)))


def _placed(sprite: Sprite, x: float, foot: float, sway: float = 0.0, drift: float = 0.0) -> list[Layer]:
    """A thing standing at (x, foot) with its shadow; x is its middle."""
    shadow = _shadow(sprite.width)
    return [
        Layer((shadow,), x - sprite.width / 2, foot - shadow.height * 0.6, drift=(drift, 0), sway=(sway, 0)),
        Layer((sprite,), x - sprite.width / 2, foot - sprite.height, drift=(drift, 0), sway=(sway, 0)),
    ]


def _ground(creative: Creative, rng: np.random.Generator) -> tuple[Picture, Colour]:
    """A clean ground and the colour of text that reads on it."""
    canvas = BACKDROPS["plain" if chance(rng, 0.65) else "blurred"](rng, creative.brand)
    middle = cv2.mean(canvas)[:3]
    return canvas, readable((int(middle[0]), int(middle[1]), int(middle[2])))


def _claim_layers(
    creative: Creative, rng: np.random.Generator, x: float, y: float, size: int, colour: Colour, letters: int
) -> list[Layer]:
    lines = broken(pick(rng, words.CLAIMS), letters)
    sprites = [
        text_sprite(line, creative.brand.typeface, size=size, colour=colour, shadow=colour == WHITE, widest=360)
        for line in lines
    ]
    return [Layer((s,), x, y + i * size * 1.25, appears=between(rng, 0, 0.4)) for i, s in enumerate(sprites)]


def _legal(creative: Creative, rng: np.random.Generator, probability: float, colour: Colour = WHITE) -> list[Layer]:
    return small_print(rng, creative.brand, pick(rng, words.LEGAL), colour) if chance(rng, probability) else []


def _corner_mark(
    creative: Creative, rng: np.random.Generator, probability: float, colour: Colour = WHITE
) -> list[Layer]:
    if not chance(rng, probability):
        return []
    sprite = mark(creative.brand, int(between(rng, 18, 30)), colour, widest=150)
    if chance(rng, 0.4):
        sprite = on_plate(
            mark(creative.brand, 20, readable(creative.brand.palette.main), widest=150),
            creative.brand.palette.main,
            6,
            radius=4,
        )
    spots = (
        (24.0, 20.0),
        (WIDTH - sprite.width - 24.0, 20.0),
        (WIDTH - sprite.width - 24.0, HEIGHT - sprite.height - 40.0),
    )
    x, y = pick(rng, spots)
    return [Layer((sprite,), x, y)]


def _pack_shot(creative: Creative, rng: np.random.Generator) -> Shot:
    canvas, colour = _ground(creative, rng)
    side = pick(rng, (0.3, 0.5, 0.7))
    pack = _fitted(creative, rng, 170, 250)
    layers = _placed(pack, side * WIDTH, between(rng, 285, 325), sway=between(rng, 0, 4))
    if chance(rng, 0.3) and pack.width < 150:
        layers = _placed(pack.resized(0.8), side * WIDTH - pack.width, 285) + layers
    text_x = 330.0 if side < 0.5 else 36.0
    if side != 0.5:
        layers += _claim_layers(creative, rng, text_x, between(rng, 110, 170), int(between(rng, 24, 36)), colour, 15)
    if chance(rng, 0.8):
        sprite = mark(creative.brand, int(between(rng, 26, 40)), colour, widest=270)
        layers.append(Layer((sprite,), (WIDTH - sprite.width) / 2 if side == 0.5 else text_x, between(rng, 24, 60)))
    return Shot(canvas, Camera((1.1, 1.1 + between(rng, 0, 0.1))), layers + _legal(creative, rng, 0.4, colour))


def _close_up(creative: Creative, rng: np.random.Generator) -> Shot:
    canvas = scene(rng, creative.brand, ("blurred",) * 14 + PLACES, "ad")
    pack = _fitted(creative, rng, 380, 560)
    x, y = between(rng, 0.3, 0.7) * WIDTH - pack.width / 2, between(rng, -60, 40)
    layers = [Layer((pack,), x, y, drift=(between(rng, -40, 40), between(rng, -20, 20)))]
    if chance(rng, 0.25):
        layers += caption(rng, creative.brand, pick(rng, words.CLAIMS), size=26)
    return Shot(canvas, draw_camera(rng), layers + _corner_mark(creative, rng, 0.5) + _legal(creative, rng, 0.25))


def _lifestyle(creative: Creative, rng: np.random.Generator) -> Shot:
    canvas = scene(rng, creative.brand, PLACES, "ad")
    shot = Shot(canvas, draw_camera(rng, 1.2))
    if chance(rng, 0.7):
        height = int(between(rng, 260, 380))
        x, figure = between(rng, 20, 300), creative.actor
        shot.layers.append(
            Layer(
                (bust(figure, height), bust(figure, height, mouth_open=True)),
                x,
                HEIGHT - height + 4,
                sway=(between(rng, 2, 8), 3),
                rate=3,
            )
        )
    else:
        height = int(between(rng, 220, 320))
        x = between(rng, 60, 380)
        steps = tuple(standing(creative.actor, height, stride=s) for s in (-1.0, 0.0, 1.0))
        shot.layers.append(Layer(steps, x, HEIGHT - height + 10, drift=(between(rng, -80, 80), 0), rate=3))
    if chance(rng, 0.85):
        pack = _fitted(creative, rng, 110, 190)
        shot.layers += _placed(
            pack, (x + height * 0.9 + pack.width / 2) % (WIDTH - 80) + 30, HEIGHT - between(rng, 0, 30), sway=3
        )
    if chance(rng, 0.4):
        shot.layers += caption(rng, creative.brand, pick(rng, words.CLAIMS), size=int(between(rng, 22, 34)))
    shot.layers += _corner_mark(creative, rng, 0.6) + _legal(creative, rng, 0.4)
    return shot


def _claim(creative: Creative, rng: np.random.Generator) -> Shot:
    canvas, colour = _ground(creative, rng)
    layers = _claim_layers(
        creative, rng, between(rng, 40, 120), between(rng, 80, 130), int(between(rng, 38, 58)), colour, 14
    )
    if chance(rng, 0.45):
        pack = _fitted(creative, rng, 120, 190)
        layers += _placed(pack, between(rng, 470, 560), 320)
    if chance(rng, 0.15):
        layers.append(Layer((chart(rng, creative.brand, 140, 200),), 400, 160))
    return Shot(
        canvas,
        Camera((1.05, 1.15)),
        layers + _corner_mark(creative, rng, 0.7, colour) + _legal(creative, rng, 0.45, colour),
    )


def _offer(creative: Creative, rng: np.random.Generator) -> Shot:
    canvas, colour = _ground(creative, rng)
    count = int(rng.integers(1, 4))
    layers: list[Layer] = []
    for index in range(count):
        pack = _fitted(creative, rng, 110, 170)
        x = WIDTH * (index + 0.5) / count
        layers += _placed(pack, x, 270)
        tag = price_tag(rng, creative.brand, words.price(rng), int(between(rng, 22, 38)))
        layers.append(Layer((tag,), x + between(rng, 10, 40), between(rng, 60, 190), appears=between(rng, 0.1, 0.7)))
    if chance(rng, 0.7):
        title = text_sprite(
            pick(rng, words.CLAIMS),
            creative.brand.typeface,
            size=28,
            colour=readable(creative.brand.palette.main),
            widest=560,
        )
        layers.append(Layer((on_plate(title, creative.brand.palette.main, 8),), 28, 24))
    if chance(rng, 0.6):
        base = plate(WIDTH, 50, creative.brand.palette.main)
        name = mark(creative.brand, 30, readable(creative.brand.palette.main), widest=300)
        layers += [Layer((base,), 0, 310), Layer((name,), 30, 320)]
    return Shot(canvas, Camera((1.05, 1.05)), layers + _legal(creative, rng, 0.4, colour))


def _car(creative: Creative, rng: np.random.Generator) -> Shot:
    canvas = scene(rng, creative.brand, ("hills", "street", "hills", "photo"), "ad")
    car = pack_of(creative, int(between(rng, 110, 210)))
    reach = between(rng, 60, 260)
    layers = _placed(car, between(rng, 0.25, 0.5) * WIDTH, between(rng, 300, 350), drift=reach)
    if chance(rng, 0.3):
        layers += caption(rng, creative.brand, pick(rng, words.CLAIMS), size=28)
    return Shot(canvas, draw_camera(rng, 1.3), layers + _corner_mark(creative, rng, 0.45) + _legal(creative, rng, 0.5))


def _spokesperson(creative: Creative, rng: np.random.Generator) -> Shot:
    setting = stream(creative.seed, "setting", creative.creative_id)
    canvas = BACKDROPS[pick(setting, ("room", "plain", "blurred", "shop"))](setting, creative.brand)
    height = int(between(rng, 290, 380))
    talking = bust(creative.actor, height), bust(creative.actor, height, mouth_open=True)
    layer = Layer(talking, between(rng, 60, 280), HEIGHT - height + 4, sway=(4, 3), rate=6)
    return Shot(canvas, Camera((1.15, 1.2)), [layer, *_legal(creative, rng, 0.15)])


def _match(creative: Creative, rng: np.random.Generator) -> Shot:
    """Sport as the ad shows it, often under a score that no match has."""
    side = Show(creative.seed, creative.brand.sources.owner, "sport", creative.brand.name, creative.brand,
                (creative.actor,) * 5, creative.shot_seconds)  # fmt: skip
    shot = sport.BUILDERS[pick(rng, ("pitch", "player", "player", "stand"))](side, rng)
    if chance(rng, 0.3):
        shot.layers += caption(rng, creative.brand, pick(rng, words.CLAIMS), size=30)
    shot.layers += _corner_mark(creative, rng, 0.35) + _legal(creative, rng, 0.3)
    return shot


def _end_card(creative: Creative, rng: np.random.Generator) -> Shot:
    canvas, colour = _ground(creative, rng)
    brand: Style = creative.brand
    sign = mark(brand, int(between(rng, 48, 76)), colour, widest=440)
    y = between(rng, 70, 130)
    slogan = text_sprite(pick(rng, words.SLOGANS), brand.second, size=int(between(rng, 18, 28)), colour=colour)
    call = pick(rng, (words.web_address(brand.name), pick(rng, words.CALLS), "0800 555 01 23"))
    action = on_plate(
        text_sprite(call, brand.second, size=18, colour=readable(brand.palette.accent)),
        brand.palette.accent,
        7,
        radius=8,
    )
    with_pack = chance(rng, 0.5)
    middle = WIDTH * (0.38 if with_pack else 0.5)
    layers = [
        Layer((s,), middle - s.width / 2, top, appears=a)
        for s, top, a in ((sign, y, 0.0), (slogan, y + sign.height + 22, 0.3), (action, y + sign.height + 66, 0.5))
    ]
    if with_pack:
        pack = _fitted(creative, rng, 130, 210)
        layers += _placed(pack, min(WIDTH * 0.84, WIDTH - pack.width / 2), 310)
    if chance(rng, 0.25):
        layers.append(Layer((qr_code(rng, 70),), 30, 260))
    return Shot(canvas, Camera((1.05, 1.1)), layers + _legal(creative, rng, 0.45, colour))


_SHOTS = {
    "pack shot": _pack_shot,
    "close-up": _close_up,
    "lifestyle": _lifestyle,
    "claim": _claim,
    "offer": _offer,
    "car": _car,
    "spokesperson": _spokesperson,
    "match": _match,
    "end card": _end_card,
}
