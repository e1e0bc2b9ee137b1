"""Several models that judge together, usable wherever one model is.

    model = open_model(Path("ensemble.yaml"))          # models, voting, weights: config.ensemble
    model.score(stretch)

Members have thresholds of their own. A weighted vote first moves each member's probability so that its threshold comes
to lie at 0.5 (the same distance in log-odds), then takes the weighted mean: a member that is right about everything at
0.2 and one that is at 0.8 do not talk past each other. A majority vote is the weighted share of members that say ad;
half of it is enough. The threshold of both is 0.5.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ml_training.config.ensemble import read_ensemble
from ml_training.inference.models import Reading, StretchScorer, open_model
from ml_training.inference.stretch import Stretch

Floats = npt.NDArray[np.float32]
Voting = Literal["weighted", "majority"]

THRESHOLD = 0.5
SMALLEST = 1e-6  # a probability of 0 or 1 has no log-odds


def open_ensemble(path: Path, *, threads: int = 1) -> "Ensemble":
    """Open an ensemble by its YAML file; members are folders or files, relative to it. Raises what ``open_model`` does.

    ``models.ensemble.fetch`` makes such a file of one whose members are registered versions.
    """
    config = read_ensemble(path)
    members = [open_model(path.parent / name, threads=threads) for name in config.models]
    return Ensemble(members, voting=config.voting, weights=config.weights)


class Ensemble:
    """The vote of several models; single frames, windows and clips may be mixed."""

    def __init__(
        self, members: Sequence[StretchScorer], *, voting: Voting = "weighted", weights: Sequence[float] | None = None
    ) -> None:
        self.threshold = THRESHOLD
        self.class_names: tuple[str, ...] = ("content", "ad")
        self._members, self._voting = members, voting
        given = np.ones(len(members)) if weights is None else np.asarray(weights, float)
        self._weights = given / given.sum()

    def score(self, stretch: Stretch) -> Floats:
        """Return the vote for an ad, float32 [N]."""
        return self._vote([member.score(stretch) for member in self._members])

    def embeddings(self, stretch: Stretch) -> Floats:
        """Return the embeddings of all members side by side, float32 [N, sum of D]."""
        return np.concatenate([member.embeddings(stretch) for member in self._members], axis=1)

    def read(self, stretch: Stretch) -> Reading:
        """Return scores, the two classes and embeddings."""
        readings = [member.read(stretch) for member in self._members]
        scores = self._vote([reading.scores for reading in readings])
        embeddings = np.concatenate([reading.embeddings for reading in readings], axis=1)
        return Reading(scores, np.stack([1.0 - scores, scores], axis=1), embeddings)

    def _vote(self, scores: Sequence[Floats]) -> Floats:
        thresholds = [member.threshold for member in self._members]
        if self._voting == "majority":
            votes = [(s >= np.float32(t)).astype(float) for s, t in zip(scores, thresholds, strict=True)]
        else:
            votes = [centred(s, t) for s, t in zip(scores, thresholds, strict=True)]
        return np.asarray(np.tensordot(self._weights, np.stack(votes), 1), np.float32)


def centred(scores: Floats, threshold: float) -> npt.NDArray[np.float64]:
    """Move probabilities [N] by the same log-odds, so that ``threshold`` becomes 0.5."""
    safe = np.clip(scores.astype(np.float64), SMALLEST, 1 - SMALLEST)
    middle = float(np.clip(threshold, SMALLEST, 1 - SMALLEST))
    odds = safe / (1 - safe) * (1 - middle) / middle
    return np.asarray(odds / (1 + odds))
