"""Moves the boundaries that were found, to the second, to where they are: cuts, black, silence, ends of what repeats.

    exact = snap([612.0, 733.0], cues)                          # [612.36, 732.92]
    exact = snap([612.0, 733.0], cues, closer=[(cuts_612, ...)])      # with frames that were decoded around each

Each cue gives moments with a weight; moments of several cues that coincide count together. A moment has to be worth its
distance from where the decoder put the boundary. Black and silence count in their middle, as an editor cuts there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ml_training.detection.features import Cues, Floats, Times
from ml_training.detection.sound_cues import LEVELS, SILENT_DB

REACH_SECONDS = 2.5  # a boundary moves no farther
PER_SECOND = 0.5  # weight that a second of distance costs
TOGETHER_SECONDS = 0.12  # cues nearer than this speak of the same moment
CUT_LEAST = 0.25  # change of colours from frame to frame, above the usual
DIP_DB = 20.0  # below the loudest second around: a gap between items, if not silence
SHORTEST_DIP, LONGEST_DIP = 2, 100  # frames of 20 ms
WEIGHTS = {"piece": 2.0, "cut": 1.5, "stored cut": 0.7, "black": 1.5, "dip": 1.0}


class Moment(NamedTuple):
    """A time at which something changes, and how much it weighs."""

    seconds: float
    weight: float


class CloseLook(NamedTuple):
    """All frames around a boundary: their times, their change to the frame before, whether they are black. [n] each."""

    seconds: Times
    change: Floats
    black: Floats


def snap(boundaries: Sequence[float], cues: Cues, closer: Sequence[CloseLook | None] | None = None) -> list[float]:
    """Return each boundary (seconds, rising) where it is; one without a cue nearby stays.

    ``closer`` has a look at the frames around each boundary, or None.
    """
    looks = closer if closer is not None else [None] * len(boundaries)
    return [_best(time, moments(time, cues, look)) for time, look in zip(boundaries, looks, strict=True)]


def moments(time: float, cues: Cues, look: CloseLook | None = None) -> list[Moment]:
    """Return the moments within reach of a boundary."""
    low, high = time - REACH_SECONDS, time + REACH_SECONDS
    found = [Moment(float(t), WEIGHTS["piece"]) for t in cues.pieces if low <= t <= high]
    found += _dips(cues, low, high)
    if look is not None and len(look.seconds) > 2:
        found += _cuts(look)
        found += _middles(look.seconds, look.black > 0.5, WEIGHTS["black"])
    else:
        found += _stored_cuts(cues, low, high)
    return [moment for moment in found if low <= moment.seconds <= high]


def _best(time: float, found: Sequence[Moment]) -> float:
    best, best_worth = time, 0.0
    for moment in found:
        near = [other for other in found if abs(other.seconds - moment.seconds) <= TOGETHER_SECONDS]
        weight = moment.weight + sum(0.7 * other.weight for other in near if other is not moment)
        worth = weight - PER_SECOND * abs(moment.seconds - time)
        if worth > best_worth:
            best, best_worth = moment.seconds, worth
    return best


def _cuts(look: CloseLook) -> list[Moment]:
    """Return the frames that differ from the one before far more than their neighbours do."""
    usual = np.array([np.median(look.change[max(1, i - 12) : i + 13]) for i in range(len(look.change))])
    rise = look.change - usual
    rise[0] = 0
    peaks = [i for i in np.flatnonzero(rise > CUT_LEAST).tolist() if rise[i] == rise[max(0, i - 3) : i + 4].max()]
    return [Moment(float(look.seconds[i]), WEIGHTS["cut"] * float(min(1.0, rise[i] / 0.6))) for i in peaks]


def _stored_cuts(cues: Cues, low: float, high: float) -> list[Moment]:
    """Return half-way times between stored frames of different shots: right to half their distance."""
    first, last = (int(place) for place in np.searchsorted(cues.frame_seconds, (low, high)))
    found = []
    for i in range(max(1, first), last):
        if cues.shot_change[i] > CUT_LEAST:
            middle = float(cues.frame_seconds[i - 1] + cues.frame_seconds[i]) / 2
            found.append(Moment(middle, WEIGHTS["stored cut"] * float(cues.shot_change[i])))
    return found + _middles(cues.frame_seconds[first:last], cues.black[first:last], WEIGHTS["black"] / 2)


def _dips(cues: Cues, low: float, high: float) -> list[Moment]:
    """Return the middles of short gaps in the sound."""
    if not len(cues.level):
        return []
    first, last = max(0, round(low * LEVELS)), min(len(cues.level), round(high * LEVELS))
    around = cues.level[first:last].astype(np.float32)
    if not len(around):
        return []
    quiet = around < max(SILENT_DB, float(np.percentile(around, 80)) - DIP_DB)
    found = []
    for start, end in _stretches(quiet):
        if SHORTEST_DIP <= end - start <= LONGEST_DIP:
            depth = float(np.percentile(around, 80) - around[start:end].min())
            weight = WEIGHTS["dip"] * min(2.0, depth / 30)
            found.append(Moment((first + (start + end) / 2) / LEVELS, weight))
    return found


def _middles(seconds: Times, black: np.ndarray, weight: float) -> list[Moment]:
    return [
        Moment(float(seconds[start] + seconds[end - 1]) / 2, weight) for start, end in _stretches(np.asarray(black))
    ]


def _stretches(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
