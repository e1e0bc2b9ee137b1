"""Where one item ends and the next begins: the odds, from what is heard and seen within some seconds of a moment.

    model = learn_edges([(rows, edges, weights), ...])       # [T, WIDTH], [T], [T]: a recording each
    model.log_odds(rows)                                     # float32 [T], against how often edges are

A logistic regression on few local numbers: how unlike the sound is before and after, gaps in it, black, cuts, whether
pictures go on, where repeating pieces begin. What surrounds an edge is the sequence model's affair; one that learned
both mistook being near ads for being at an edge. There are weights for each state of knowledge: with sound and without,
with an archive and without.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ml_training.detection.calibration import fit_logistic
from ml_training.detection.features import COLUMNS, Floats, group_columns, group_flag

CUES = (
    *(("sound", name) for name in ("jump_1", "jump_3", "jump_8", "flux_spread")),
    *(("separators", name) for name in ("dip", "silence", "black_near")),
    *(("shots", name) for name in ("change", "coherence")),
    ("within", "bounds"),
    ("archive", "bounds"),
)
AROUND_SECONDS = 4  # on either side, to tell a peak
FORMS = 5  # of each cue: itself, above its surroundings, whether it is a peak, a second before, a second after
KNOWLEDGE = ((True, True), (True, False), (False, True), (False, False))  # of sound and of an archive
RIDGE = 50.0  # of standardised cues: some hundred edges are enough
CLIP = 6.0
LEAST_EDGES = 5


@dataclass(frozen=True)
class EdgeModel:
    """Mean, spread [K] and, for each state of knowledge, weights [K] and offset: [4, K], [4]."""

    mean: Floats
    scale: Floats
    weights: Floats
    offsets: Floats

    def log_odds(self, rows: Floats) -> Floats:
        """Return for rows [T, WIDTH] the log odds of an edge at the start of each second, against the usual ones."""
        state = KNOWLEDGE.index((bool(_flag(rows, "sound")), bool(_flag(rows, "archive"))))
        values = _standardised(local_cues(rows), self.mean, self.scale)
        return np.asarray(values @ self.weights[state] + self.offsets[state], np.float32)

    def arrays(self) -> dict[str, Floats]:
        """Return the numbers under names of their own."""
        return {f"edges.{name}": getattr(self, name) for name in ("mean", "scale", "weights", "offsets")}

    @classmethod
    def from_arrays(cls, stored: Any) -> Self:
        """Read what ``arrays`` gave."""
        return cls(*(stored[f"edges.{name}"] for name in ("mean", "scale", "weights", "offsets")))


def learn_edges(lessons: Sequence[tuple[Floats, Floats, Floats]]) -> EdgeModel:
    """Learn from rows [T, WIDTH], edges (1 or 0) and weights [T] of recordings; weight 0 leaves a second out."""
    chosen = [weights > 0 for _, _, weights in lessons]
    wanted = np.concatenate([edges[keep] for (_, edges, _), keep in zip(lessons, chosen, strict=True)])
    whole = np.concatenate([local_cues(rows)[keep] for (rows, _, _), keep in zip(lessons, chosen, strict=True)])
    mean, scale = whole.mean(axis=0), np.maximum(whole.std(axis=0), 1e-3)
    fitted = []
    for state in KNOWLEDGE:
        cues = [local_cues(_without(rows, *state))[keep] for (rows, _, _), keep in zip(lessons, chosen, strict=True)]
        fitted.append(_fit(_standardised(np.concatenate(cues), mean, scale), wanted))
    weights, offsets = (np.array(part, np.float32) for part in zip(*fitted, strict=True))
    return EdgeModel(mean.astype(np.float32), scale.astype(np.float32), weights, offsets)


def average(models: Sequence[EdgeModel]) -> EdgeModel:
    """Return the model that says the mean of what these say of cues within their range."""
    parts = []
    for model in models:
        weights = model.weights / model.scale
        parts.append((weights, model.offsets - weights @ model.mean))
    mean, scale = (np.mean([getattr(model, name) for model in models], axis=0) for name in ("mean", "scale"))
    plain, offsets = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
    return EdgeModel(
        mean.astype(np.float32),
        scale.astype(np.float32),
        (plain * scale).astype(np.float32),
        (offsets + plain @ mean).astype(np.float32),
    )


def local_cues(rows: Floats) -> Floats:
    """Return each cue in its forms, float32 [T, K]."""
    columns = []
    for group, name in CUES:
        values = rows[:, group_columns(group)][:, COLUMNS[group].index(name)]
        padded = np.pad(values, AROUND_SECONDS, mode="edge")
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND_SECONDS + 1)
        peak = (values >= around.max(axis=1)) & (values > around.min(axis=1))
        columns += [values, values - around.mean(axis=1), peak, _shifted(values, 1), _shifted(values, -1)]
    return np.stack(columns, axis=1).astype(np.float32)


def _shifted(values: Floats, seconds: int) -> Floats:
    moved = np.pad(values, 1, mode="edge")
    return moved[1 - seconds : len(moved) - 1 - seconds]


def _fit(values: Floats, wanted: Floats) -> tuple[Floats, float]:
    if wanted.sum() < LEAST_EDGES:
        return np.zeros(values.shape[1], np.float32), 0.0
    rows = np.concatenate([values, np.ones((len(values), 1))], axis=1).astype(np.float64)
    usual = np.log(wanted.mean() / (1 - wanted.mean()))
    ridge = np.append(np.full(values.shape[1], RIDGE), 1e-6)
    found = fit_logistic(
        rows, wanted.astype(np.float64), prior=np.append(np.zeros(values.shape[1]), usual), ridge=ridge
    )
    return found[:-1].astype(np.float32), float(found[-1] - usual)


def _standardised(cues: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.clip((cues - mean) / scale, -CLIP, CLIP)


def _without(rows: Floats, sound: bool, archive: bool) -> Floats:
    changed = rows.copy()
    for name, there in (("sound", sound), ("archive", archive)):
        if not there:
            changed[:, group_columns(name)] = 0
            changed[:, group_flag(name)] = 0
    if not sound:  # without sound there are no gaps in it
        changed[:, group_columns("separators")][:, :2] = 0
    return changed


def _flag(rows: Floats, group: str) -> float:
    return float(rows[:, group_flag(group)].max())
