"""Pictures and sound of a planned recording, item by item, with what the channel lays over them.

for picture in pictures(plan): ...          # uint8 RGB [360, 640, 3], 12.5 a second
samples = soundtrack(plan)                  # float32 mono, 48 kHz

A shot draws a new picture at its start and then at every second tick, as animation on fours; what the channel lays over
it moves at every tick. Two ticks that show the same yield the same array, which spares the encoder its work.
"""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np

from ml_training.data.synthetic.continuity import black_shot
from ml_training.data.synthetic.formats import TICKS_PER_SECOND
from ml_training.data.synthetic.items import Item
from ml_training.data.synthetic.overlays import mark, plate, readable
from ml_training.data.synthetic.pictures import Picture, Sprite, paste
from ml_training.data.synthetic.profiles import Profile
from ml_training.data.synthetic.randomness import pick, stream
from ml_training.data.synthetic.schedule import Plan
from ml_training.data.synthetic.shots import HEIGHT, WIDTH, PlannedShot
from ml_training.data.synthetic.sound import SAMPLE_RATE, Samples, mix_sound
from ml_training.data.synthetic.typography import text_sprite
from ml_training.data.synthetic.vocabulary import HEADLINES

FADE_TICKS = 40  # a logo that fades is gone three seconds before the break
TICKER_SPEED = 4  # pixels a tick
LETTERBOX = 46
PILLAR = 80
TICKS_PER_DRAWING = 2
BLACK_LEVEL = 4


def pictures(plan: Plan) -> Iterator[Picture]:
    """Yield the pictures of a recording, one a tick."""
    logo, tape = _logo(plan.profile), _tape(plan)
    tick = 0
    for item in plan.items:
        shown: tuple[Picture, float] | None = None
        for index, picture in enumerate(_item_pictures(item)):
            opacity = 0.0 if index < item.black_ticks else _logo_opacity(plan.profile, item, item.ticks - index)
            if shown is None or picture is not shown[0] or opacity != shown[1] or item.ticker:
                finished = picture.copy()
                if opacity > 0:
                    paste(finished, logo.faded(opacity), *_corner(plan.profile, logo))
                if item.ticker:
                    _draw_tape(finished, tape, plan.profile, tick)
                shown = picture, opacity
            yield finished
            tick += 1


def _item_pictures(item: Item) -> Iterator[Picture]:
    """Yield what an item shows, without what the channel lays over it."""
    black = black_shot().draw(0.0, 1.0)
    for _ in range(item.black_ticks):
        yield black
    if item.squeeze is None:
        yield from _drawn(item.shots, item.aspect)
        return
    surround, last = item.squeeze.surround(), None
    beside = _drawn(item.squeeze.inset, "16:9") if item.squeeze.inset else itertools.repeat(None)
    for pair in zip(_drawn(item.shots, item.aspect), beside, strict=False):
        if last is None or pair[0] is not last[0] or pair[1] is not last[1]:
            screen, last = item.squeeze.composed(surround, *pair), pair
        yield screen


def _drawn(shots: list[PlannedShot], aspect: str) -> Iterator[Picture]:
    for planned in shots:
        shot, length = planned.build(), planned.ticks / TICKS_PER_SECOND
        for tick in range(planned.ticks):
            if tick % TICKS_PER_DRAWING == 0:
                drawing = _framed(shot.draw(tick / TICKS_PER_SECOND, length), planned.aspect or aspect)
            yield drawing


def _framed(picture: Picture, aspect: str) -> Picture:
    """Put bars around a picture that is wider or narrower than the screen."""
    if aspect == "letterbox":
        picture[:LETTERBOX], picture[-LETTERBOX:] = BLACK_LEVEL, BLACK_LEVEL
    elif aspect == "4:3":
        narrow = cv2.resize(picture, (WIDTH - 2 * PILLAR, HEIGHT), interpolation=cv2.INTER_LINEAR)
        picture[:] = BLACK_LEVEL
        picture[:, PILLAR : WIDTH - PILLAR] = narrow
    return picture


def _logo(profile: Profile) -> Sprite:
    return mark(profile.style, profile.logo_height, (250, 250, 250), widest=110)


def _corner(profile: Profile, logo: Sprite) -> tuple[float, float]:
    x = 22.0 if profile.logo_corner in (0, 2) else WIDTH - logo.width - 22.0
    return x, 18.0 if profile.logo_corner < 2 else HEIGHT - logo.height - 28.0


def _logo_opacity(profile: Profile, item: Item, ticks_left: int) -> float:
    if not item.logo:
        return 0.0
    if not item.logo_fades:
        return profile.logo_opacity
    return profile.logo_opacity * float(np.clip((ticks_left - FADE_TICKS) / 12, 0, 1))


def _tape(plan: Plan) -> Sprite:
    rng = stream(plan.seed, "ticker", plan.recording_id)
    text = "   +++   ".join(pick(rng, HEADLINES) for _ in range(6))
    return text_sprite(
        text, plan.profile.style.second, size=14, colour=readable(plan.profile.style.palette.dark), widest=3000
    )


def _draw_tape(picture: Picture, tape: Sprite, profile: Profile, tick: int) -> None:
    paste(picture, plate(WIDTH, 24, profile.style.palette.dark, 0.9), 0, HEIGHT - 24)
    paste(picture, tape, WIDTH - (tick * TICKER_SPEED) % (tape.width + WIDTH), HEIGHT - 12 - tape.height / 2)


def soundtrack(plan: Plan) -> Samples:
    """Return the sound of a recording, silent in every moment of black; it changes with the frames."""
    parts, tick, sources = [], 0, plan.profile.style.sources
    for number, item in enumerate(plan.items):
        first, seen = _sample(plan, tick), _sample(plan, tick + item.black_ticks)
        after = _sample(plan, tick + item.ticks)
        use = "ad" if item.label == "ad" else "content"
        offset = 0 if item.creative else number * 7919 * 13
        sound = mix_sound(item.sound, sources, after - seen, offset=offset, use=use)
        at = tick + item.black_ticks
        for planned in item.shots:
            if planned.build is black_shot:
                sound[_sample(plan, at) - seen : _sample(plan, at + planned.ticks) - seen] = 0
            at += planned.ticks
        parts += [np.zeros(seen - first, np.float32), sound]
        tick += item.ticks
    return np.concatenate(parts)


def _sample(plan: Plan, tick: int) -> int:
    """Return the sample that sounds when the first frame of a tick is shown."""
    return round(plan.profile.form.frame_of(tick) / plan.profile.form.frame_rate * SAMPLE_RATE)
