"""One thing that is broadcast: a spot, a stretch of programme, a promo, an offer; its pictures, its sound, its label.

maker = ItemMaker(rng, 7, profile, show, night=1, turn=0)
items = [*maker.programme(900, last=False), maker.spot(15.0), maker.edge("promo")]

What recurs (spots, promos, sponsor cards, idents, openings of shows) is the same film with the same sound each time:
its name in ``creative`` fixes both.
"""

from dataclasses import dataclass

import numpy as np

from ml_training.data.synthetic import continuity
from ml_training.data.synthetic.commercials import spot_shots
from ml_training.data.synthetic.creatives import Creative, creative_id, draw_creative
from ml_training.data.synthetic.formats import TICKS_PER_SECOND
from ml_training.data.synthetic.profiles import Profile
from ml_training.data.synthetic.programmes import segment_shots, title_sequence
from ml_training.data.synthetic.randomness import between, chance, pick, stream
from ml_training.data.synthetic.shots import PlannedShot
from ml_training.data.synthetic.shows import SHOWS_PER_CHANNEL, Show, draw_show
from ml_training.data.synthetic.sound import SoundPlan
from ml_training.data.synthetic.squeeze import Squeeze, double_box, l_frame
from ml_training.data.synthetic.teleshop import teleshop_shots

VOICES, BEDS = 10, 12  # of each owner
PROMOS, IDENTS = 4, 2  # films of a channel that recur
EDGE_TICKS = {"promo": (45, 75), "ident": (20, 32), "sponsor": (30, 50)}
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
    squeeze: Squeeze | None = None

    @property
    def ticks(self) -> int:
        """How long the item lasts, with the black before it."""
        return self.black_ticks + sum(shot.ticks for shot in self.shots)


@dataclass
class ItemMaker:
    """Makes the items of one recording; counts the spots so that each break draws others."""

    rng: np.random.Generator
    seed: int
    profile: Profile
    show: Show
    night: int
    turn: int
    spots: int = 0

    @property
    def media(self) -> str | None:
        """The folder of one's own clips."""
        return self.profile.style.sources.media

    def spot(self, seconds: float) -> Item:
        """An advertisement; in sport at times in a box beside the match."""
        creative = self._creative(seconds)
        shots, ticks = spot_shots(creative, round(seconds * TICKS_PER_SECOND)), round(seconds * TICKS_PER_SECOND)
        always = self.profile.logo_policy == "always"
        if self.show.genre == "sport" and chance(self.rng, 0.15):
            squeeze = double_box(creative, self.rng, segment_shots(self.show, self.rng, ticks))
            return Item("ad", shots, self._spot_sound(creative), creative=creative.creative_id, squeeze=squeeze,
                        logo=always)  # fmt: skip
        rng = stream(self.seed, "spot shape", creative.creative_id)
        aspect = "letterbox" if chance(rng, 0.2) else "4:3" if chance(rng, 0.05) else "16:9"
        black = int(self.rng.integers(2, 8)) if self.profile.separator == "black" else 0
        return Item("ad", shots, self._spot_sound(creative), aspect, creative.creative_id, black, logo=always,
                    ticker=self.profile.ticker == "always")  # fmt: skip

    def frame(self, seconds: float) -> Item:
        """A match that goes on in a corner, framed by an advertisement; no film, so it has no creative."""
        creative, ticks = self._creative(round(seconds)), round(seconds * TICKS_PER_SECOND)
        match = self._segment(ticks, last=True)
        return Item("ad", match.shots, match.sound, squeeze=l_frame(creative, self.rng), logo=match.logo)

    def edge(self, kind: str) -> Item:
        """A promo, an ident or a sponsor card."""
        channel, index = self.profile.channel, int(self.rng.integers(SHOWS_PER_CHANNEL))
        number = {"promo": self.night + int(self.rng.integers(PROMOS)), "ident": int(self.rng.integers(IDENTS)),
                  "sponsor": index}[kind]  # fmt: skip
        name = f"{channel}-{kind}-{number:03d}"
        rng = stream(self.seed, "film", name)
        index = index if kind == "sponsor" else int(rng.integers(SHOWS_PER_CHANNEL))
        show = draw_show(self.seed, channel, index, self.media)
        shots = continuity.SHOTS[kind](self.profile.style, show, rng, int(between(rng, *EDGE_TICKS[kind])))
        voice = f"{channel}-voice-00" if kind == "promo" else None
        sound = SoundPlan(voice, name, f"{channel}-music-{int(rng.integers(BEDS)):02d}", density=0.4)
        shown = self.profile.logo_policy != "absent" and kind == "promo"
        return Item(kind, shots, sound, creative=name, logo=shown)

    def teleshop(self) -> Item:
        """An offer of the channel's teleshopping."""
        channel = self.profile.channel
        rng = stream(self.seed, "teleshop", channel, self.night, self.turn)
        sound = SoundPlan(f"{channel}-voice-{int(rng.integers(VOICES)):02d}", f"teleshop/{self.night}/{self.turn}",
                          f"{channel}-music-{int(rng.integers(BEDS)):02d}", music_level=0.25, density=0.5)  # fmt: skip
        shots = teleshop_shots(self.profile.style, rng, int(between(rng, 110, 170)))
        return Item("teleshopping", shots, sound, logo=self.profile.logo_policy != "absent")

    def programme(self, ticks: int, *, last: bool, opening: bool = False) -> list[Item]:
        """A stretch of programme, with the opening of the show before it or without; ``last`` ends no break."""
        items: list[Item] = []
        if opening:
            rng, channel = stream(self.seed, "opening sound", self.show.key), self.profile.channel
            sound = SoundPlan(music=f"{channel}-music-{int(rng.integers(BEDS)):02d}", density=between(rng, 0.1, 0.6))
            name = f"{self.show.key.lower().replace(' ', '-').replace('/', '-opening-')}"
            items.append(Item("content", title_sequence(self.show), sound, self.profile.aspect, name,
                              logo=self.profile.logo_policy != "absent"))  # fmt: skip
        return [*items, self._segment(ticks - sum(item.ticks for item in items), last=last)]

    def _creative(self, seconds: float) -> Creative:
        name = creative_id(self.seed, self.profile.channel, self.night, 40 * (self.turn % 7) + self.spots, seconds)
        self.spots += 1
        return draw_creative(self.seed, name, self.media)

    def _spot_sound(self, creative: Creative) -> SoundPlan:
        rng = stream(self.seed, "spot", creative.creative_id)
        talks = creative.script == "spokesperson" or chance(rng, 0.6)
        return SoundPlan(
            voice=creative.voice if talks else None,
            utterance=creative.creative_id,
            music=creative.music if not talks or chance(rng, 0.6) else None,
            music_level=between(rng, 0.2, 0.8),
            room="crowd" if creative.script == "match" else pick(rng, ("room", "room", "street", "crowd")),
            density=between(rng, 0.1, 0.8),
            gain_db=self.profile.ad_gain_db + between(rng, -2.5, 2.5),
        )

    def _segment(self, ticks: int, *, last: bool) -> Item:
        rng, genre, policy = self.rng, self.show.genre, self.profile.logo_policy
        sound = self._segment_sound()
        shots = segment_shots(self.show, rng, ticks)
        if genre in ("drama", "documentary"):
            shots = continuity.with_black(shots, rng)
        shape = stream(self.seed, "aspect", self.show.key)
        barred = chance(shape, 0.4 if genre in ("drama", "documentary") else 0.08)
        return Item(
            "content",
            shots,
            sound,
            "letterbox" if barred else self.profile.aspect,
            logo=policy != "absent",
            logo_fades=policy == "fades" and not last,
            ticker=self.profile.ticker != "none" and genre in ("news", "sport", "talk"),
        )

    def _segment_sound(self) -> SoundPlan:
        rng, genre = self.rng, self.show.genre
        owner = self.profile.channel if chance(rng, 0.8) else "national"
        with_music = genre == "music" or chance(rng, 0.35)
        with_voice = genre not in ("music",) and chance(rng, 0.9)
        return SoundPlan(
            voice=f"{owner}-voice-{int(rng.integers(VOICES)):02d}" if with_voice else None,
            utterance=f"{self.show.key}/{int(rng.integers(2**31))}",
            music=f"{owner}-music-{int(rng.integers(BEDS)):02d}" if with_music or not with_voice else None,
            music_level=between(rng, 0.15, 0.8),
            room=ROOMS[genre],
            room_level=between(rng, 0.05, 0.5),
            density=between(rng, 0.0, 0.7),
            gain_db=between(rng, -3, 2),
        )
