"""What is broadcast when: the items of a recording, in order, and the labels that follow from them.

    plan = plan_recording(seed=7, channels=10, number=3, night=1, minutes=3.5)
    plan.labels()          # [{"start": 0.0, "end": 81.6, "label": "content"}, ...]

All times are counted in ticks of 1/12.5 s (two video frames); a plan costs no drawing, so labels are known at once.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ml_training.data.synthetic import continuity
from ml_training.data.synthetic.commercials import spot_shots
from ml_training.data.synthetic.creatives import creative_id, draw_creative
from ml_training.data.synthetic.profiles import Profile, draw_profile
from ml_training.data.synthetic.programmes import segment_shots
from ml_training.data.synthetic.randomness import between, chance, pick, stream
from ml_training.data.synthetic.shots import PlannedShot
from ml_training.data.synthetic.shows import SHOWS_PER_CHANNEL, Show, draw_show
from ml_training.data.synthetic.sound import SoundPlan

TICKS_PER_SECOND = 12.5
FRAMES_PER_TICK = 2
FIRST_DATE = datetime(2026, 1, 5, 20, tzinfo=UTC)
SPOT_SECONDS = (10.0, 12.0, 15.0, 20.0)
SHORT_SPOT_SECONDS = (3.2, 4.0)  # for recordings of less than a minute, as tests make them
ROOMS = {
    "news": "street",
    "sport": "crowd",
    "drama": "room",
    "talk": "applause",
    "documentary": "street",
    "music": "applause",
}


@dataclass(frozen=True)
class Item:
    """One thing that is broadcast: its label, its shots, its sound; ``black_ticks`` of black and silence come first."""

    label: str
    shots: list[PlannedShot]
    sound: SoundPlan
    aspect: str = "16:9"
    creative: str | None = None
    black_ticks: int = 0
    logo: bool = True
    logo_fades: bool = False
    ticker: bool = False

    @property
    def ticks(self) -> int:
        """How long the item lasts, with the black before it."""
        return self.black_ticks + sum(shot.ticks for shot in self.shots)


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

    def media_seconds(self, tick: int) -> float:
        """Return the presentation time of a tick: zero at the first frame, timestamp gap included."""
        jump = self.gap[1] if self.gap and tick >= self.gap[0] else 0.0
        return round(tick / TICKS_PER_SECOND + jump, 3)

    def labels(self) -> list[dict[str, Any]]:
        """Return the contiguous labelled intervals, in the form of ``labels.json``."""
        intervals: list[dict[str, Any]] = []
        tick = 0
        for item in self.items:
            start, tick = self.media_seconds(tick), tick + item.ticks
            interval = {"start": start, "end": self.media_seconds(tick), "label": item.label}
            intervals.append(interval | ({"creative": item.creative} if item.creative else {}))
        return intervals


def plan_recording(*, seed: int, channels: int, number: int, night: int, minutes: float) -> Plan:
    """Plan the ``number``-th recording (from 0) of a night; the same arguments always give the same plan."""
    profile = draw_profile(seed, number % channels)
    start_time = FIRST_DATE + timedelta(days=night - 1, hours=number // channels)
    recording_id = f"{profile.channel}_{start_time:%Y-%m-%d_%H%M}"
    rng = stream(seed, "recording", recording_id, minutes)
    turn = number // channels + night - 1
    show = draw_show(seed, profile.channel, turn % SHOWS_PER_CHANNEL)
    items = _Planner(rng, seed, profile, show, night, turn).items(round(minutes * 60 * TICKS_PER_SECOND))
    total = sum(item.ticks for item in items)
    gap = (int(between(rng, 0.1, 0.9) * total), round(between(rng, 0.5, 3.0) * 25) / 25) if chance(rng, 0.2) else None
    first = round(between(rng, 100, 80_000) * 25) / 25 if chance(rng, 0.5) else 0.0
    return Plan(recording_id, seed, profile, show, start_time, items, first, gap, f"{start_time:%Y-%m-%d}")


@dataclass
class _Planner:
    """Fills a recording with items; counts the spots so that each break draws others."""

    rng: np.random.Generator
    seed: int
    profile: Profile
    show: Show
    night: int
    turn: int
    spots: int = 0

    def items(self, ticks: int) -> list[Item]:
        short = ticks < 60 * TICKS_PER_SECOND
        breaks = [
            self._break(seconds, edges=not short) for seconds in self._break_lengths(ticks / TICKS_PER_SECOND, short)
        ]
        left = ticks - sum(item.ticks for part in breaks for item in part)
        shares = self.rng.dirichlet(np.full(len(breaks) + 1, 6.0))
        items: list[Item] = []
        for index, share in enumerate(shares):
            length = (
                max(25, round(left * share)) if index < len(breaks) else max(25, ticks - sum(i.ticks for i in items))
            )
            items.append(self._segment(length, last=index == len(breaks)))
            items += breaks[index] if index < len(breaks) else []
        return items

    def _break_lengths(self, seconds: float, short: bool) -> list[list[float]]:
        """Return the lengths of the spots of each break: 17 to 28 % of the recording in all."""
        target, lengths = seconds * between(self.rng, 0.17, 0.28), SHORT_SPOT_SECONDS if short else SPOT_SECONDS
        spots = [pick(self.rng, lengths)]
        while sum(spots) + min(lengths) / 2 < target:
            spots.append(pick(self.rng, lengths))
        alone = self.show.genre == "sport" and len(spots) > 1 and chance(self.rng, 0.5)
        breaks = [spots[:1], spots[1:]] if alone else [spots]
        return [part[i : i + 4] for part in breaks for i in range(0, len(part), 4)]

    def _break(self, lengths: list[float], *, edges: bool) -> list[Item]:
        before = [
            self._edge(kind)
            for kind, p in (("promo", 0.25), ("sponsor", 0.2), ("ident", 0.2))
            if edges and chance(self.rng, p)
        ]
        after = [
            self._edge(kind)
            for kind, p in (("promo", 0.15), ("ident", 0.25), ("sponsor", 0.15))
            if edges and chance(self.rng, p)
        ]
        return before + [self._spot(seconds) for seconds in lengths] + after

    def _spot(self, seconds: float) -> Item:
        name = creative_id(self.seed, self.profile.channel, self.night, 40 * (self.turn % 7) + self.spots, seconds)
        self.spots += 1
        creative = draw_creative(self.seed, name)
        rng = stream(self.seed, "spot", name)
        black = int(self.rng.integers(2, 8)) if self.profile.separator == "black" else 0
        talks = creative.script == "spokesperson" or chance(rng, 0.6)
        sound = SoundPlan(
            voice=creative.voice if talks else None,
            music=creative.music if not talks or chance(rng, 0.6) else None,
            music_level=between(rng, 0.2, 0.8),
            room=pick(rng, ("room", "room", "street", "crowd")),
            density=between(rng, 0.1, 0.8),
            gain_db=self.profile.ad_gain_db + between(rng, -2.5, 2.5),
        )
        shots = spot_shots(creative, round(seconds * TICKS_PER_SECOND) - black)
        aspect = "letterbox" if chance(rng, 0.2) else "4:3" if chance(rng, 0.05) else "16:9"
        always = self.profile.logo_policy == "always"
        return Item("ad", shots, sound, aspect, name, black, logo=always, ticker=self.profile.ticker == "always")

    def _edge(self, kind: str) -> Item:
        """A promo, an ident or a sponsor card."""
        ticks = int(between(self.rng, *{"promo": (45, 75), "ident": (20, 32), "sponsor": (30, 50)}[kind]))
        other = draw_show(self.seed, self.profile.channel, int(self.rng.integers(SHOWS_PER_CHANNEL)))
        shots = continuity.SHOTS[kind](self.profile.style, other, self.rng, ticks)
        music = f"{self.profile.channel}-music-{int(self.rng.integers(12)):02d}"
        sound = SoundPlan(
            voice=f"{self.profile.channel}-voice-00" if kind == "promo" else None, music=music, density=0.4
        )
        return Item(
            kind,
            shots,
            sound,
            creative=f"{self.profile.channel}-ident" if kind == "ident" else None,
            logo=self.profile.logo_policy != "absent" and kind == "promo",
        )

    def _segment(self, ticks: int, *, last: bool) -> Item:
        """A stretch of programme."""
        rng, genre = self.rng, self.show.genre
        owner = self.profile.channel if chance(rng, 0.8) else "national"
        with_music = genre == "music" or chance(rng, 0.35)
        with_voice = genre not in ("music",) and chance(rng, 0.9)
        sound = SoundPlan(
            voice=f"{owner}-voice-{int(rng.integers(10)):02d}" if with_voice else None,
            music=f"{owner}-music-{int(rng.integers(12)):02d}" if with_music or not with_voice else None,
            music_level=between(rng, 0.15, 0.8),
            room=ROOMS[genre],
            room_level=between(rng, 0.05, 0.5),
            density=between(rng, 0.0, 0.7),
            gain_db=between(rng, -3, 2),
        )
        shots = segment_shots(self.show, rng, ticks)
        if genre in ("drama", "documentary"):
            shots = continuity.with_black(shots, rng)
        shape = stream(self.seed, "aspect", self.show.key)
        aspect = (
            "letterbox" if chance(shape, 0.4 if genre in ("drama", "documentary") else 0.08) else self.profile.aspect
        )
        policy = self.profile.logo_policy
        return Item(
            "content",
            shots,
            sound,
            aspect,
            logo=policy != "absent",
            logo_fades=policy == "fades" and not last,
            ticker=self.profile.ticker != "none" and genre in ("news", "sport", "talk"),
        )
