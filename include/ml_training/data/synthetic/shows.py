"""Shows: what a channel broadcasts between the breaks.

    show = draw_show(7, "channel-03", 1)        # show.genre, show.title, show.cast

A show keeps its set, cast, typefaces and colours from recording to recording.
"""

from dataclasses import dataclass

from ml_training.data.synthetic.overlays import Style, draw_style
from ml_training.data.synthetic.people import Look, draw_look
from ml_training.data.synthetic.randomness import between, stream
from ml_training.data.synthetic.sources import Sources
from ml_training.data.synthetic.vocabulary import show_title

GENRES = ("news", "sport", "drama", "talk", "documentary", "music")
SHOWS_PER_CHANNEL = 3
# mean seconds of a shot
PACE = {"news": 3.0, "sport": 4.0, "drama": 3.0, "talk": 3.4, "documentary": 3.6, "music": 1.6}


@dataclass(frozen=True)
class Show:
    """A show of a channel: genre, title, graphic style, cast and pace (mean seconds of a shot)."""

    seed: int
    channel: str
    genre: str
    title: str
    style: Style
    cast: tuple[Look, ...]
    shot_seconds: float

    @property
    def key(self) -> str:
        """What the show's set and sound are drawn from."""
        return f"{self.channel}/{self.title}"


def draw_show(seed: int, channel: str, index: int, media: str | None = None) -> Show:
    """Draw the ``index``-th show of a channel."""
    rng = stream(seed, "show", channel, index)
    genre = GENRES[(int(stream(seed, "genres", channel).integers(len(GENRES))) + 2 * index + index // 3) % len(GENRES)]
    title = show_title(rng)
    return Show(
        seed=seed,
        channel=channel,
        genre=genre,
        title=title,
        style=draw_style(rng, title, Sources(seed, channel, media)),
        cast=tuple(draw_look(rng) for _ in range(5)),
        shot_seconds=PACE[genre] * between(rng, 0.55, 1.5),
    )
