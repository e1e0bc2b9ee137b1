"""How long spots and programme last, learned from labels: the prior of the decoder.

    model = learn_durations([[(0.0, 300.0, "content"), (300.0, 330.0, "ad"), (330.0, 350.0, "ad")]])
    model.spots[29]                    # share of the spots that last 30 seconds

Spots are sold in 10, 15, 20 and 30 seconds; what the labels show is mixed with that custom and with a broad share for
everything else, so that a detector learned on one broadcaster's lengths still finds those of another. Stretches that a
recording cuts off count as at least as long as they are seen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ml_training.statistics.breaks import breaks_of
from ml_training.utils.records import Record

Floats = npt.NDArray[np.float64]
LabelSpan = tuple[float, float, str]

LONGEST_SPOT, LONGEST_CONTENT = 120, 600  # seconds that are told apart; beyond, the chance of an end stays the same
CUSTOMARY = (10.0, 15.0, 20.0, 30.0, 45.0, 60.0)  # seconds; shares as a spot log of many broadcasters has them
CUSTOMARY_SHARES = (0.12, 0.2, 0.24, 0.32, 0.05, 0.07)
SPREAD_SECONDS = 0.8  # of a spot around its nominal length, the rounding to seconds included
LEARNED, CUSTOM, BROAD = 0.6, 0.25, 0.15  # shares of the mixture; without labels what is learned goes to custom
BROAD_MEDIAN, BROAD_SIGMA = 20.0, 0.9
CONTENT_MEDIAN, CONTENT_SIGMA = 360.0, 1.0  # seconds; sigma of the logarithm
CONTENT_WEIGHT = 8  # stretches that the custom counts as
LEAST_SIGMA = 0.7
SPOTS_A_BREAK, AD_SHARE = 4.0, 0.2
LEAST_HAZARD, GREATEST_HAZARD = 1e-6, 0.95


class DurationModel(Record):
    """Shares of spots that last 1, 2, ... seconds, and of programme between breaks; both sum to one with their tails.

    ``another_spot`` is the chance that a spot is followed by a spot, ``ad_share`` that a recording begins in one.
    """

    spots: tuple[float, ...]
    content: tuple[float, ...]
    another_spot: float = Field(gt=0, lt=1)
    ad_share: float = Field(gt=0, lt=1)
    learned_spots: int = 0
    learned_stretches: int = 0


class Hazards(NamedTuple):
    """The chance, at each age in seconds, that a stretch ends then; float64 [ages]."""

    spots: Floats
    content: Floats


def hazards(model: DurationModel) -> Hazards:
    """Return the hazards that the durations give."""
    return Hazards(_hazard(np.array(model.spots)), _hazard(np.array(model.content)))


def customary() -> DurationModel:
    """Return the prior alone: what a detector uses that has learned nothing."""
    return learn_durations([])


def learn_durations(recordings: Sequence[Sequence[LabelSpan]]) -> DurationModel:
    """Learn from the labels (start, end, label) of recordings, each in order of time."""
    spots = [end - start for spans in recordings for start, end, label in spans if label == "ad"]
    breaks = [breaks_of(spans) for spans in recordings]
    stretches = [length for spans, own in zip(recordings, breaks, strict=True) for length in _between(spans, own)]
    many = sum(map(len, breaks))
    seconds = sum(spans[-1][1] - spans[0][0] for spans in recordings if spans)
    a_break = (len(spots) + SPOTS_A_BREAK * 2) / (many + 2)
    share = (sum(spots) + AD_SHARE * 600) / (seconds + 600)
    return DurationModel(
        spots=tuple(_spot_shares(np.array(spots)).tolist()),
        content=tuple(_content_shares(np.array(stretches)).tolist()),
        another_spot=float(np.clip(1 - 1 / max(a_break, 1.05), 0.2, 0.95)),
        ad_share=float(np.clip(share, 0.02, 0.6)),
        learned_spots=len(spots),
        learned_stretches=len(stretches),
    )


def _between(spans: Sequence[LabelSpan], breaks: Sequence[tuple[float, float]]) -> list[float]:
    """Return the lengths of programme between breaks and before and after them, in one recording."""
    if not spans:
        return []
    times = [spans[0][0], *(time for pair in breaks for time in pair), spans[-1][1]]
    lengths = np.diff(times)[::2]
    return [float(length) for length in lengths if length >= 1.0]


def _spot_shares(lengths: Floats) -> Floats:
    ages = np.arange(1, LONGEST_SPOT + 1, dtype=np.float64)
    custom = _bells(ages, np.array(CUSTOMARY)) @ np.array(CUSTOMARY_SHARES)
    broad = np.exp(-0.5 * (np.log(ages / BROAD_MEDIAN) / BROAD_SIGMA) ** 2) / ages
    short = lengths[lengths <= LONGEST_SPOT + 1]
    learned = _bells(ages, short).sum(axis=1)
    parts = [(LEARNED, learned), (CUSTOM, custom), (BROAD, broad)] if len(short) else [(0.8, custom), (0.2, broad)]
    return np.sum([weight * part / part.sum() for weight, part in parts], axis=0)


def _bells(ages: Floats, middles: Floats) -> Floats:
    """Return how near each age is to each length, [ages, lengths]."""
    return np.asarray(np.exp(-0.5 * ((ages[:, None] - middles[None]) / SPREAD_SECONDS) ** 2), np.float64)


def _content_shares(lengths: Floats) -> Floats:
    logs = np.log(np.maximum(lengths, 5.0))
    weight = len(logs) + CONTENT_WEIGHT
    middle = (logs.sum() + CONTENT_WEIGHT * np.log(CONTENT_MEDIAN)) / weight
    variance = (np.sum((logs - middle) ** 2) + CONTENT_WEIGHT * CONTENT_SIGMA**2) / weight
    sigma = max(LEAST_SIGMA, float(np.sqrt(variance)))
    ages = np.arange(1, LONGEST_CONTENT + 1, dtype=np.float64)
    density = np.exp(-0.5 * ((np.log(ages) - middle) / sigma) ** 2) / ages
    far = np.exp(np.linspace(np.log(LONGEST_CONTENT + 1), middle + 5 * sigma, 200))
    tail = np.trapezoid(np.exp(-0.5 * ((np.log(far) - middle) / sigma) ** 2) / far, far) if far[-1] > far[0] else 0.0
    return np.asarray(density / (density.sum() + max(0.0, float(tail))), np.float64)


def _hazard(shares: Floats) -> Floats:
    alive = 1 - np.concatenate([[0.0], np.cumsum(shares)[:-1]])
    return np.clip(shares / np.maximum(alive, 1e-9), LEAST_HAZARD, GREATEST_HAZARD)
