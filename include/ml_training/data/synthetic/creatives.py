"""Who advertises, and which spots they have made.

    creative = draw_creative(seed=7, creative_id="channel-03-ad-012-10s")

A creative is the same film each time it is aired: its id fixes brand, script, pictures and music. Most creatives belong
to one channel (``channel-03-ad-012``), the rest are national (``national-ad-004``) and aired on all. So a channel that
is held out shows mostly ads, brands, typefaces and music that no other channel shows. A length is part of the id: a
ten-second cut is another film than the twenty-second one.
"""

from dataclasses import dataclass

from ml_training.data.synthetic.overlays import Style, draw_style
from ml_training.data.synthetic.people import Look, draw_look
from ml_training.data.synthetic.products import KINDS
from ml_training.data.synthetic.randomness import between, chance, pick, stream
from ml_training.data.synthetic.sources import Sources
from ml_training.data.synthetic.vocabulary import invented_name

NATIONAL_SHARE = 0.22
POOL_SIZE = 9  # creatives that a channel airs in one night
NEW_PER_NIGHT = 3  # how far the pool moves on from night to night

# How spots are made, and how often. A spokesperson talks without any text until the end card; a static card is one
# picture for the whole spot; a story shows people and places with the brand coming late; a match looks like sport.
SCRIPTS = {
    "product": 0.31, "offer": 0.19, "story": 0.22, "car": 0.11, "spokesperson": 0.06, "static": 0.05, "match": 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class Creative:
    """An advertisement: id, brand, script, the thing sold, the actor, the length of its shots and its music."""

    creative_id: str
    seed: int
    brand: Style
    script: str
    product: str
    actor: Look
    shot_seconds: float
    music: str
    voice: str


def creative_id(seed: int, channel: str, night: int, index: int, seconds: float) -> str:
    """Return the id of the ``index``-th spot that ``channel`` airs in a night; it recurs in later spots and nights."""
    rng = stream(seed, "airing", channel, night, index)
    owner = "national" if chance(rng, NATIONAL_SHARE) else channel
    number = (night - 1) * NEW_PER_NIGHT + int(rng.integers(POOL_SIZE))
    return f"{owner}-ad-{number:03d}-{seconds:g}s"


def draw_creative(seed: int, creative_id: str, media: str | None = None) -> Creative:
    """Draw the creative with this id; the part before the length fixes brand, script, product and actor."""
    campaign = creative_id.rpartition("-")[0]
    owner = campaign.partition("-ad-")[0]
    rng = stream(seed, "campaign", campaign)
    script = str(rng.choice(list(SCRIPTS), p=list(SCRIPTS.values())))
    return Creative(
        creative_id=creative_id,
        seed=seed,
        brand=draw_style(rng, invented_name(rng), Sources(seed, owner, media)),
        script=script,
        product="car" if script == "car" else pick(rng, KINDS),
        actor=draw_look(rng),
        shot_seconds=between(rng, 4.0, 7.0) if script in ("spokesperson", "static") else between(rng, 2.0, 4.6),
        music=f"{owner}-music-{int(rng.integers(12)):02d}",
        voice=f"{owner}-voice-{int(rng.integers(10)):02d}",
    )
