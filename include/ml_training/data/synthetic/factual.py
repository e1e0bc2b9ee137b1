"""The shots of news, talk shows and documentaries.

    shot = BUILDERS["anchor"](show, rng)

These carry most of what ads carry too: products, prices, QR codes, small print, big words on a plain ground.
"""

from collections.abc import Callable

import numpy as np

from ml_training.data.synthetic import vocabulary as words
from ml_training.data.synthetic.backdrops import BACKDROPS, scene
from ml_training.data.synthetic.overlays import (
    WHITE,
    caption,
    chart,
    mark,
    on_plate,
    plate,
    price_tag,
    qr_code,
    readable,
    small_print,
    strap,
)
from ml_training.data.synthetic.people import Look, bust, crowd, draw_look, standing
from ml_training.data.synthetic.pictures import Picture, Sprite, gradient, mix, noise, paste, photograph
from ml_training.data.synthetic.products import KINDS, product
from ml_training.data.synthetic.randomness import between, chance, draw_palette, pick, stream
from ml_training.data.synthetic.shots import HEIGHT, WIDTH, Camera, Layer, Shot, draw_camera
from ml_training.data.synthetic.shows import Show
from ml_training.data.synthetic.typography import text_sprite

OUTSIDE = ("hills", "street", "photo", "shop", "stage")


def set_of(show: Show, angle: int) -> Picture:
    """Return the studio of ``show`` as one of its cameras sees it: always the same."""
    return BACKDROPS["studio"](stream(show.seed, "set", show.key, angle), show.style)


def speaker(look: Look, height: int, x: float, *, rate: float = 6.0, phase: float = 0.0) -> Layer:
    """Return a person who talks, cut off by the lower edge of the screen."""
    return Layer(
        (bust(look, height), bust(look, height, mouth_open=True)),
        x,
        HEIGHT - height + 4,
        sway=(3, 2),
        rate=rate,
        phase=phase,
    )


def desk(show: Show) -> list[Layer]:
    """Return the presenter's desk."""
    name = text_sprite(show.title, show.style.typeface, size=22, colour=readable(show.style.palette.main), widest=260)
    top = HEIGHT - 46
    return [
        Layer((plate(560, 60, show.style.palette.main, radius=10),), 40, top),
        Layer((plate(540, 6, show.style.palette.light),), 50, top - 3),
        Layer((name,), WIDTH / 2 - name.width / 2, top + 12),
    ]


def anchor(show: Show, rng: np.random.Generator) -> Shot:
    """A presenter behind the desk, often with a strap or a picture beside."""
    canvas, side = set_of(show, int(rng.integers(3))), between(rng, 30, 320)
    layers = [speaker(show.cast[int(rng.integers(2))], int(between(rng, 230, 300)), side)]
    if chance(rng, 0.7):
        layers += desk(show)
    if chance(rng, 0.35):
        layers.append(Layer((_inset(rng, show, 210, 140),), 400 if side < 170 else 30, 60))
    if chance(rng, 0.55):
        layers += strap(rng, show.style, pick(rng, words.HEADLINES), pick(rng, words.HEADLINES))
    return Shot(canvas, Camera((1.2, 1.25)), layers)


def _inset(rng: np.random.Generator, show: Show, width: int, height: int) -> Sprite:
    """A framed picture beside the presenter: a photograph, or the thing that the item is about."""
    picture = np.dstack([photograph(rng, show.style.sources, height, width), np.full((height, width), 255, np.uint8)])
    if chance(rng, 0.4):
        kind = pick(rng, KINDS)
        item = product(kind, rng, height * (2 if kind != "car" else 1) // 3, draw_palette(rng), None)
        base = gradient(rng, height, width, (235, 235, 240), (150, 160, 180))
        return on_plate(_over(base, item), WHITE, 3)
    return on_plate(Sprite.of(picture), WHITE, 3)


def _over(base: Picture, item: Sprite) -> Sprite:
    paste(base, item, (base.shape[1] - item.width) / 2, (base.shape[0] - item.height) / 2)
    return Sprite(base, np.zeros_like(base))


def reporter(show: Show, rng: np.random.Generator) -> Shot:
    """A reporter outside with a strap and sometimes the word LIVE."""
    canvas = BACKDROPS[pick(rng, OUTSIDE)](rng, show.style)
    layers = [speaker(draw_look(rng), int(between(rng, 220, 320)), between(rng, 60, 320))]
    if chance(rng, 0.6):
        layers += strap(
            rng, show.style, words.person_name(rng), f"{pick(rng, words.ROLES)}, {words.invented_name(rng)}"
        )
    if chance(rng, 0.4):
        live = on_plate(text_sprite("LIVE", show.style.second, size=15, colour=WHITE), (206, 22, 30), 5)
        layers.append(Layer((live,), pick(rng, (26.0, 560.0)), 52))
    return Shot(canvas, draw_camera(rng, 0.6), layers)


def pictures(show: Show, rng: np.random.Generator) -> Shot:
    """Pictures without a speaker in them: places, crowds, buildings, country."""
    canvas = scene(rng, show.style, (*OUTSIDE, "room", "photo", "hills"), "content")
    if chance(rng, 0.12):
        canvas = crowd(rng, 450, 800, int(between(rng, 14, 46)))
    layers: list[Layer] = []
    if chance(rng, 0.35):
        layers += walkers(rng, int(rng.integers(1, 4)))
    if chance(rng, 0.22):
        layers += strap(rng, show.style, pick(rng, words.HEADLINES), words.invented_name(rng))
    elif chance(rng, 0.25):
        layers += caption(
            rng, show.style, f"{words.invented_name(rng)}, {pick(rng, ('today', '1987', 'north coast', 'yesterday'))}"
        )
    if chance(rng, 0.15):
        layers += small_print(rng, show.style, pick(rng, words.SOURCES))
    return Shot(canvas, draw_camera(rng, 1.3), layers)


def walkers(rng: np.random.Generator, count: int) -> list[Layer]:
    """Return people who cross the picture."""
    layers = []
    for _ in range(count):
        height, look = int(between(rng, 120, 260)), draw_look(rng)
        steps = tuple(standing(look, height, stride=s) for s in (-1.0, 0.0, 1.0))
        layers.append(
            Layer(
                steps,
                between(rng, 0, 540),
                HEIGHT - height + 12,
                drift=(between(rng, -160, 160), 0),
                rate=4,
                phase=between(rng, 0, 1),
            )
        )
    return layers


def graphic(show: Show, rng: np.random.Generator) -> Shot:
    """A full screen of words, numbers or a chart on a plain ground; prices, an address or a QR code at times."""
    canvas = BACKDROPS["plain"](stream(show.seed, "graphic", show.key), show.style)
    colour = readable(tuple(int(v) for v in canvas[225, 400]))  # type: ignore[arg-type]
    title = text_sprite(pick(rng, words.HEADLINES), show.style.typeface, size=30, colour=colour, widest=540)
    layers = [Layer((title,), 40, 36)]
    for row in range(int(rng.integers(2, 5))):
        value = words.price(rng) if chance(rng, 0.4) else f"{between(rng, 1, 99):.1f} %"
        line = text_sprite(f"{words.invented_name(rng)}   {value}", show.style.second, size=22, colour=colour)
        layers.append(Layer((line,), 50, 100 + 44 * row, appears=0.2 + 0.4 * row))
    if chance(rng, 0.6):
        layers.append(Layer((chart(rng, show.style, 150, 230),), 360, 120))
    elif chance(rng, 0.5):
        layers.append(Layer((qr_code(rng, 110),), 440, 140))
    if chance(rng, 0.5):
        layers += small_print(rng, show.style, pick(rng, words.SOURCES), colour)
    return Shot(canvas, Camera((1.05, 1.08)), layers)


def interview(show: Show, rng: np.random.Generator) -> Shot:
    """One person who speaks to somebody beside the camera."""
    canvas = BACKDROPS[pick(rng, ("room", "blurred", "street", "room", "shop"))](rng, show.style)
    layers = [speaker(draw_look(rng), int(between(rng, 270, 370)), between(rng, 20, 290))]
    if chance(rng, 0.45):
        layers += strap(rng, show.style, words.person_name(rng), pick(rng, words.ROLES))
    return Shot(canvas, Camera((1.15, 1.17)), layers)


def goods(show: Show, rng: np.random.Generator) -> Shot:
    """Things that are made, sold or tested: a factory, a shop, a test with prices. A brand's name may be on them."""
    canvas = scene(rng, show.style, ("shop", "blurred", "room", "shop", "photo"), "content")
    kind, palette = pick(rng, KINDS), draw_palette(rng)
    label = (
        text_sprite(words.invented_name(rng), show.style.second, size=22, colour=readable(palette.light))
        if chance(rng, 0.5)
        else None
    )
    height = int(between(rng, 120, 420) * (0.5 if kind in ("car", "card", "meal") else 1.0))
    layers = [
        Layer(
            (product(kind, rng, height, palette, label),),
            between(rng, 60, 340),
            HEIGHT - height + between(rng, -60, 40),
            drift=(between(rng, -40, 40), 0),
        )
    ]
    if chance(rng, 0.5):
        person = draw_look(rng)
        layers.insert(0, speaker(person, 290, between(rng, 0, 330)))
    if chance(rng, 0.25):
        layers.append(
            Layer((price_tag(rng, show.style, words.price(rng), 28),), between(rng, 60, 480), between(rng, 50, 180))
        )
    if chance(rng, 0.6):
        layers += strap(rng, show.style, pick(rng, words.HEADLINES), f"from {words.price(rng)}")
    return Shot(canvas, draw_camera(rng), layers)


def weather(show: Show, rng: np.random.Generator) -> Shot:
    """A map with temperatures, with or without a presenter."""
    canvas = land_map(rng, show)
    layers = []
    for _ in range(7):
        value = on_plate(
            text_sprite(f"{int(rng.integers(-5, 35))}", show.style.typeface, size=18, colour=WHITE),
            (30, 60, 130),
            5,
            radius=6,
        )
        layers.append(Layer((value,), between(rng, 40, 560), between(rng, 40, 280)))
    if chance(rng, 0.6):
        layers.append(speaker(show.cast[2], 280, between(rng, 300, 380)))
    return Shot(canvas, Camera((1.15, 1.15)), layers)


def land_map(rng: np.random.Generator, show: Show) -> Picture:
    """Return a map: land and sea, with a little relief."""
    field = noise(rng, 450, 800, 6)
    sea, land = (58, 98, 150), tuple(int(v) for v in rng.integers((90, 120, 60), (190, 180, 130)))
    picture = mix(tuple(int(v * 0.8) for v in land), land, np.clip(field * 2 - 0.6, 0, 1))  # type: ignore[arg-type]
    picture[field < between(rng, 0.35, 0.55)] = sea
    return picture


def map_shot(show: Show, rng: np.random.Generator) -> Shot:
    """A map of a documentary, with names of places."""
    shot = Shot(land_map(rng, show), draw_camera(rng))
    for _ in range(int(rng.integers(1, 4))):
        name = text_sprite(words.invented_name(rng), show.style.second, size=18, colour=WHITE, shadow=True)
        shot.layers.append(Layer((name,), between(rng, 60, 480), between(rng, 60, 280), appears=between(rng, 0, 0.5)))
    return shot


def host(show: Show, rng: np.random.Generator) -> Shot:
    """The host of a talk show; a book, a mug or a hashtag may be in the picture."""
    layers = [speaker(show.cast[0], int(between(rng, 250, 350)), between(rng, 60, 300))]
    if chance(rng, 0.25):
        palette = draw_palette(rng)
        label = text_sprite(words.show_title(rng), show.style.second, size=20, colour=readable(palette.main))
        layers.append(
            Layer(
                (product(pick(rng, ("box", "jar", "phone")), rng, 120, palette, label),),
                between(rng, 380, 520),
                226,
                sway=(3, 2),
            )
        )
    if chance(rng, 0.3):
        layers += strap(rng, show.style, words.person_name(rng), pick(rng, words.ROLES))
    if chance(rng, 0.3):
        tag = text_sprite(
            f"#{show.title.replace(' ', '').lower()}", show.style.second, size=18, colour=WHITE, shadow=True
        )
        layers.append(Layer((tag,), 40, 28))
    if chance(rng, 0.12):
        layers += small_print(rng, show.style, pick(rng, words.SOURCES))
    return Shot(set_of(show, int(rng.integers(3))), Camera((1.15, 1.2)), layers)


def guests(show: Show, rng: np.random.Generator) -> Shot:
    """Two or three people on the set."""
    count = int(rng.integers(2, 4))
    height = int(between(rng, 190, 260))
    layers = [
        speaker(
            show.cast[1 + i],
            height,
            10 + i * (620 - height) / max(count - 1, 1),
            phase=0.3 * i,
            rate=6 if i == 0 else 0.5,
        )
        for i in range(count)
    ]
    if chance(rng, 0.4):
        layers += desk(show)
    return Shot(set_of(show, int(rng.integers(3))), Camera((1.05, 1.1)), layers)


def audience(show: Show, rng: np.random.Generator) -> Shot:
    """The people in the hall."""
    return Shot(crowd(rng, 450, 800, int(between(rng, 34, 70))), draw_camera(rng))


def title(show: Show, rng: np.random.Generator) -> Shot:
    """The title of the show over a picture or a plain ground."""
    canvas = BACKDROPS[pick(rng, ("plain", "blurred", "hills", "photo", "stage"))](rng, show.style)
    middle = np.mean(canvas, axis=(0, 1))
    sprite = mark(show.style, int(between(rng, 34, 56)), readable(tuple(int(v) for v in middle)), widest=480)  # type: ignore[arg-type]
    return Shot(
        canvas,
        Camera((1.05, 1.2)),
        [Layer((sprite,), (WIDTH - sprite.width) / 2 - 20, between(rng, 110, 200), appears=0.2)],
    )


BUILDERS: dict[str, Callable[[Show, np.random.Generator], Shot]] = {
    "anchor": anchor,
    "reporter": reporter,
    "pictures": pictures,
    "graphic": graphic,
    "interview": interview,
    "goods": goods,
    "weather": weather,
    "map": map_shot,
    "host": host,
    "guests": guests,
    "audience": audience,
    "title": title,
}
