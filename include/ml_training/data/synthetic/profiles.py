"""Channels: what a channel does with its logo, its breaks, its loudness, its picture and its stream.

    profile = draw_profile(seed=7, index=3)        # profile.channel == 'channel-04'

The policies are dealt out in turn, so that also ten channels hold all of them; everything else is drawn.
"""

from dataclasses import dataclass

from ml_training.data.synthetic.formats import FORMATS, Format
from ml_training.data.synthetic.overlays import Style, draw_style
from ml_training.data.synthetic.randomness import between, chance, pick, stream
from ml_training.data.synthetic.sources import Sources
from ml_training.data.synthetic.vocabulary import invented_name

# In ads the logo goes away, stays (a quarter of the channels), was never there, or fades seconds before the break.
LOGO_POLICIES = ("programme", "always", "fades", "absent", "programme", "always", "absent", "translucent")
SEPARATORS = ("black", "none", "none", "black", "none")  # between spots: a moment of black and silence, or a plain cut


@dataclass(frozen=True)
class Profile:
    """A channel. ``ad_gain_db`` is how much louder ads are (0: all at one level, as EBU R128 asks)."""

    channel: str
    style: Style
    logo_policy: str
    logo_opacity: float
    logo_corner: int
    logo_height: int
    separator: str
    ad_gain_db: float
    ticker: str
    aspect: str
    source_width: int
    grain: float
    bit_rate: int
    form: Format


def draw_profile(seed: int, index: int, media: str | None = None) -> Profile:
    """Draw the ``index``-th channel (from 0) of the world ``seed``."""
    channel = f"channel-{index + 1:02d}"
    rng = stream(seed, "channel", channel)
    turn = index + int(stream(seed, "deal").integers(40))
    policy = LOGO_POLICIES[turn % len(LOGO_POLICIES)]
    return Profile(
        channel=channel,
        style=draw_style(rng, invented_name(rng)[:6], Sources(seed, channel, media)),
        logo_policy=policy,
        logo_opacity=between(rng, 0.3, 0.5) if policy == "translucent" else between(rng, 0.65, 1.0),
        logo_corner=pick(rng, (0, 1, 1, 3)),
        logo_height=int(between(rng, 18, 30)),
        separator=SEPARATORS[turn % len(SEPARATORS)],
        ad_gain_db=pick(rng, (0.0, 0.0, 0.0, 2.0, -1.0)),
        ticker=pick(rng, ("none", "none", "none", "programme", "always")),
        aspect="4:3" if chance(rng, 0.1) else "16:9",
        source_width=pick(rng, (640, 640, 560, 480)),
        grain=between(rng, 0.5, 4.0),
        bit_rate=int(between(rng, 700_000, 1_600_000)),
        form=FORMATS[(3 * turn) % len(FORMATS)],
    )
