"""What is broadcast when: the items of a recording, in order, and the labels that follow from them.

    plan = plan_recording(seed=7, channels=10, number=3, night=1, minutes=3.5)
    plan.labels()          # [{"start": 0.0, "end": 81.6, "label": "content"}, ...]

All times are counted in ticks of 1/12.5 s; a plan costs no drawing, so labels are known at once. What fills the items
is in `items.py`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ml_training.data.synthetic.ablation import ablated
from ml_training.data.synthetic.formats import TICKS_PER_SECOND
from ml_training.data.synthetic.items import Item, ItemMaker
from ml_training.data.synthetic.profiles import Profile, draw_profile
from ml_training.data.synthetic.randomness import between, chance, pick, stream
from ml_training.data.synthetic.shows import SHOWS_PER_CHANNEL, Show, draw_show

FIRST_DATE = datetime(2026, 1, 5, 20, tzinfo=UTC)
SPOT_SECONDS = (10.0, 12.0, 15.0, 20.0)
SHORT_SPOT_SECONDS = (3.2, 4.0)  # for recordings of less than a minute, as tests make them
FRAME_SECONDS = 6.0, 10.0  # an L of advertisement around sport


@dataclass(frozen=True)
class Plan:
    """A recording before it is drawn. ``gap`` is the tick at which timestamps jump and by how many seconds."""

    recording_id: str
    seed: int
    profile: Profile
    show: Show
    start_time: datetime
    items: list[Item]
    first_timestamp_seconds: float
    gap: tuple[int, float] | None = None
    date: str = field(default="")

    @property
    def ticks(self) -> int:
        """How long the recording lasts."""
        return sum(item.ticks for item in self.items)

    @property
    def first_frame(self) -> int:
        """How many frames' durations lie between the stream's zero and the first frame."""
        return round(self.first_timestamp_seconds * self.profile.form.frame_rate)

    def frames_skipped(self, tick: int) -> int:
        """Return by how many frames' durations timestamps have jumped when ``tick`` begins."""
        return round(self.gap[1] * self.profile.form.frame_rate) if self.gap and tick >= self.gap[0] else 0

    def media_seconds(self, tick: int) -> float:
        """Return when a tick is first seen: zero at the first frame, timestamp gap included."""
        form = self.profile.form
        return round(form.seconds_of(form.frame_of(tick) + self.frames_skipped(tick)), 3)

    def labels(self) -> list[dict[str, Any]]:
        """Return the contiguous labelled intervals, in the form of ``labels.json``."""
        intervals: list[dict[str, Any]] = []
        tick = 0
        for item in self.items:
            start, tick = self.media_seconds(tick), tick + item.ticks
            interval = {"start": start, "end": self.media_seconds(tick), "label": item.label}
            intervals.append(interval | ({"creative": item.creative} if item.creative else {}))
        return intervals


def plan_recording(
    *,
    seed: int,
    channels: int,
    number: int,
    night: int,
    minutes: float,
    media: str | None = None,
    ablate: tuple[str, ...] = (),
) -> Plan:
    """Plan the ``number``-th recording (from 0) of a night; the same arguments always give the same plan.

    ``media`` is a folder whose clips join those of the packages; ``ablate`` takes cues away, not times and labels.
    """
    profile = draw_profile(seed, number % channels, media)
    start_time = FIRST_DATE + timedelta(days=night - 1, hours=number // channels)
    recording_id = f"{profile.channel}_{start_time:%Y-%m-%d_%H%M}"
    rng = stream(seed, "recording", recording_id, minutes)
    turn = number // channels + night - 1
    show = draw_show(seed, profile.channel, turn % SHOWS_PER_CHANNEL, media)
    maker = ItemMaker(rng, seed, profile, show, night, turn)
    items = ablated(_items(maker, round(minutes * 60 * TICKS_PER_SECOND)), ablate)
    total = sum(item.ticks for item in items)
    gap = (int(between(rng, 0.1, 0.9) * total), round(between(rng, 0.5, 3.0) * 25) / 25) if chance(rng, 0.2) else None
    far = chance(rng, 0.5) and profile.form.container == "ts"  # files start at zero, broadcasts anywhere
    first = round(between(rng, 100, 80_000) * 25) / 25 if far else 0.0
    return Plan(recording_id, seed, profile, show, start_time, items, first, gap, f"{start_time:%Y-%m-%d}")


def _items(maker: ItemMaker, ticks: int) -> list[Item]:
    """Return the items of a recording: stretches of programme with breaks between them."""
    rng, short = maker.rng, ticks < 60 * TICKS_PER_SECOND
    lengths = _break_lengths(maker, ticks / TICKS_PER_SECOND, short)
    breaks = [_break(maker, seconds, edges=not short) for seconds in lengths]
    if not short and chance(rng, 0.12 * ticks / TICKS_PER_SECOND / 210):
        breaks[-1].append(maker.teleshop())
    left = ticks - sum(item.ticks for part in breaks for item in part)
    shares = rng.dirichlet(np.full(len(breaks) + 1, 6.0))
    items: list[Item] = []
    for index, share in enumerate(shares):
        last = index == len(breaks)
        length = max(25, ticks - sum(i.ticks for i in items)) if last else max(25, round(left * share))
        opening = not short and length > 250 and chance(rng, 0.5 if index == 0 else 0.25)
        items += maker.programme(length, last=last, opening=opening)
        items += [] if last else breaks[index]
    return items


def _break_lengths(maker: ItemMaker, seconds: float, short: bool) -> list[list[float]]:
    """Return the lengths of the spots of each break: 17 to 28 % of the recording in all."""
    target, lengths = seconds * between(maker.rng, 0.17, 0.28), SHORT_SPOT_SECONDS if short else SPOT_SECONDS
    spots = [pick(maker.rng, lengths)]
    while sum(spots) + min(lengths) / 2 < target:
        spots.append(pick(maker.rng, lengths))
    alone = maker.show.genre == "sport" and len(spots) > 1 and chance(maker.rng, 0.6)
    breaks = [spots[:1], spots[1:]] if alone else [spots]
    return [part[i : i + 4] for part in breaks for i in range(0, len(part), 4)]


def _break(maker: ItemMaker, lengths: list[float], *, edges: bool) -> list[Item]:
    """Return a break: spots, with promos, idents and sponsor cards at its edges."""
    rng = maker.rng
    if len(lengths) == 1 and maker.show.genre == "sport" and chance(rng, 0.5):
        return [maker.frame(min(lengths[0], between(rng, *FRAME_SECONDS)))]
    before = [maker.edge(k) for k, p in (("promo", 0.25), ("sponsor", 0.2), ("ident", 0.2)) if edges and chance(rng, p)]
    after = [
        maker.edge(k) for k, p in (("promo", 0.15), ("ident", 0.25), ("sponsor", 0.15)) if edges and chance(rng, p)
    ]
    return before + [maker.spot(seconds) for seconds in lengths] + after
