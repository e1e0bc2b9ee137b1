"""The shots that each genre is made of, and how often each comes.

shots = segment_shots(draw_show(7, "channel-03", 1), stream(7, "segment", 0), ticks=900)
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np

from ml_training.data.synthetic import factual, fiction, sport
from ml_training.data.synthetic.randomness import pick, stream
from ml_training.data.synthetic.shots import PlannedShot, Shot, draw_grade, shot_lengths
from ml_training.data.synthetic.shows import Show

Builder = Callable[[Show, np.random.Generator], Shot]
SHOTS: Mapping[str, Mapping[str, float]] = {
    "news": {
        "anchor": 0.24,
        "reporter": 0.16,
        "pictures": 0.26,
        "graphic": 0.12,
        "interview": 0.1,
        "goods": 0.07,
        "weather": 0.05,
    },
    "talk": {"host": 0.3, "guests": 0.28, "interview": 0.16, "audience": 0.1, "graphic": 0.07, "goods": 0.09},
    "documentary": {"pictures": 0.4, "interview": 0.2, "map": 0.1, "walk": 0.14, "goods": 0.12, "title": 0.04},
    "drama": {"dialogue": 0.48, "together": 0.2, "walk": 0.16, "establishing": 0.12, "title": 0.02, "credit": 0.02},
    "music": {"singer": 0.38, "band": 0.3, "establishing": 0.12, "audience": 0.1, "title": 0.1},
    "sport": {"pitch": 0.55, "player": 0.16, "stand": 0.08, "line-up": 0.08, "interview": 0.07, "host": 0.06},
}
ARCHIVE_SHARE = 0.08  # shots of factual shows that have bars which their neighbours have not
BUILDERS: Mapping[str, Builder] = {**factual.BUILDERS, **fiction.BUILDERS, **sport.BUILDERS}


def segment_shots(show: Show, rng: np.random.Generator, ticks: int) -> list[PlannedShot]:
    """Return the shots of a segment of ``show`` that lasts ``ticks``."""
    kinds = SHOTS[show.genre]
    pace = show.shot_seconds * (0.45 if show.genre in ("news", "sport") and rng.random() < 0.3 else 1.0)  # a montage
    planned = []
    for index, length in enumerate(shot_lengths(rng, ticks, pace * 12.5)):
        kind = str(rng.choice(list(kinds), p=list(kinds.values())))
        number = int(rng.integers(2**31)) + index
        archive = show.genre in ("news", "documentary", "talk") and kind != "anchor" and rng.random() < ARCHIVE_SHARE
        aspect = pick(rng, ("4:3", "4:3", "letterbox")) if archive else None
        planned.append(PlannedShot(length, functools.partial(_build, show, kind, number), aspect))
    return planned


def title_sequence(show: Show) -> list[PlannedShot]:
    """Return the opening of ``show``: the same film every time."""
    rng = stream(show.seed, "opening", show.key)
    scenes = [kind for kind in SHOTS[show.genre] if kind not in ("title", "credit", "weather")]
    kinds = [pick(rng, scenes) for _ in range(int(rng.integers(2, 5)))]
    shots = [PlannedShot(int(rng.integers(9, 16)), functools.partial(_build, show, k, i)) for i, k in enumerate(kinds)]
    return [*shots, PlannedShot(int(rng.integers(16, 26)), functools.partial(_build, show, "title", 99))]


def _build(show: Show, kind: str, number: int) -> Shot:
    rng = stream(show.seed, "shot", show.key, number)
    shot = BUILDERS[kind](show, rng)
    return shot.graded(draw_grade(stream(show.seed, "grade", show.key, pick(rng, (0, 1))), 0.2))
