"""Finds the most likely course of a recording: programme and spots, each as long as such things last.

    course = decode(ads, edges, durations)               # log odds float [T] each
    course.runs                                          # [Run(0, 300, is_ad=False), Run(300, 330, True), ...]
    course.ad_share                                      # float64 [T]: chance that an ad is on air, all courses weighed

A hidden semi-Markov model: the state is what is on air and for how long already, so a duration is anything that was
learned (Rabiner, A tutorial on hidden Markov models, 1989, section IV.D; Viterbi for the course, forward-backward for
the chances). A change costs what the durations say and gains what the edge's own evidence says.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.detection.durations import DurationModel, hazards

Floats = npt.NDArray[np.float64]

CONTENT, SPOT = 0, 1


class Run(NamedTuple):
    """Seconds ``start`` to ``end`` of programme, or of one spot."""

    start: int
    end: int
    is_ad: bool


class Course(NamedTuple):
    """What was on air: the most likely runs in order, and the chance of an ad in every second, float64 [T]."""

    runs: list[Run]
    ad_share: Floats


class _Chances(NamedTuple):
    """The logarithms of all chances: to go on and to end at each age, and what follows a spot."""

    stay: tuple[Floats, Floats]
    end: tuple[Floats, Floats]
    to_spot: float
    to_content: float
    first: tuple[Floats, Floats]  # of each age in the first second


def decode(ads: npt.ArrayLike, edges: npt.ArrayLike, durations: DurationModel) -> Course:
    """Decode log odds of an ad in each second [T] and of a change at the start of each second [T].

    ``ads`` are used as they are: temper them first where neighbouring seconds say the same thing twice.
    """
    evidence, changes = np.asarray(ads, np.float64), np.asarray(edges, np.float64)
    if evidence.ndim != 1 or evidence.shape != changes.shape or not len(evidence):
        raise ValueError(f"expected two arrays [T], received {evidence.shape} and {changes.shape}")
    chances = _chances(durations)
    return Course(_viterbi(evidence, changes, chances), _posterior(evidence, changes, chances))


def _chances(model: DurationModel) -> _Chances:
    ends = hazards(model)
    ordered = (ends.content, ends.spots)
    alive = [np.cumprod(np.concatenate([[1.0], 1 - ending[:-1]])) for ending in ordered]
    alive[CONTENT][-1] /= ordered[CONTENT][-1]  # the last age stands for all beyond
    alive[SPOT][-1] /= ordered[SPOT][-1]
    share = (1 - model.ad_share, model.ad_share)
    first = [np.log(share[kind] * alive[kind] / alive[kind].sum() + 1e-300) for kind in (CONTENT, SPOT)]
    return _Chances(
        stay=(np.log1p(-ends.content), np.log1p(-ends.spots)),
        end=(np.log(ends.content), np.log(ends.spots)),
        to_spot=float(np.log(model.another_spot)),
        to_content=float(np.log1p(-model.another_spot)),
        first=(first[CONTENT], first[SPOT]),
    )


def _aged(values: Floats) -> tuple[Floats, Floats]:
    """Return what reaches each age from the age before, and what stays at the last age. The first age gets nothing."""
    moved = np.empty_like(values)
    moved[0] = -np.inf
    moved[1:] = values[:-1]
    return moved, values[-1]


def _viterbi(evidence: Floats, changes: Floats, c: _Chances) -> list[Run]:
    count = len(evidence)
    content, spot = c.first[CONTENT].copy(), c.first[SPOT] + evidence[0]
    before_spot = np.zeros((count, 2), np.int32)  # kind and age that a spot beginning here follows
    before_content = np.zeros(count, np.int32)  # age of the spot that programme beginning here follows
    stayed = np.zeros((count, 2), bool)  # whether the last age was reached from the last age
    for t in range(1, count):
        ending, ended = content + c.end[CONTENT], spot + c.end[SPOT]
        from_content, from_spot = int(np.argmax(ending)), int(np.argmax(ended))
        follows_content = ending[from_content] >= ended[from_spot] + c.to_spot
        before_spot[t] = (CONTENT, from_content) if follows_content else (SPOT, from_spot)
        before_content[t] = from_spot
        content, last = _aged(content + c.stay[CONTENT])
        stayed[t, CONTENT] = last > content[-1]
        content[-1] = max(last, content[-1])
        content[0] = ended[from_spot] + c.to_content + changes[t]
        spot, last = _aged(spot + c.stay[SPOT])
        stayed[t, SPOT] = last > spot[-1]
        spot[-1] = max(last, spot[-1])
        spot[0] = max(ending[from_content], ended[from_spot] + c.to_spot) + changes[t]
        spot += evidence[t]
    return _trace(content, spot, before_spot, before_content, stayed)


def _trace(
    content: Floats,
    spot: Floats,
    before_spot: npt.NDArray[np.int32],
    before_content: npt.NDArray[np.int32],
    stayed: npt.NDArray[np.bool_],
) -> list[Run]:
    """Go back from the best end and return the runs in order of time."""
    kind = SPOT if spot.max() > content.max() else CONTENT
    age = int(np.argmax(spot if kind == SPOT else content))
    last_age = (len(content) - 1, len(spot) - 1)
    runs: list[Run] = []
    end = len(stayed)
    for t in range(len(stayed) - 1, 0, -1):
        if age == 0:
            runs.append(Run(t, end, kind == SPOT))
            end = t
            kind, age = (int(value) for value in before_spot[t]) if kind == SPOT else (SPOT, int(before_content[t]))
        elif not (age == last_age[kind] and stayed[t, kind]):
            age -= 1
    return [Run(0, end, kind == SPOT), *reversed(runs)]


def _posterior(evidence: Floats, changes: Floats, c: _Chances) -> Floats:
    """Return the chance of an ad in each second: forward, then backward."""
    forward = _forward(evidence, changes, c)
    content, spot = np.zeros(len(c.end[CONTENT])), np.zeros(len(c.end[SPOT]))
    shares = np.empty(len(evidence))
    for t in range(len(evidence) - 1, -1, -1):
        of_content, of_spot = (
            _total(values + later) for values, later in zip(forward[t], (content, spot), strict=True)
        )
        shares[t] = 1 / (1 + np.exp(np.clip(of_content - of_spot, -700, 700)))
        if t:
            begin_spot, begin_content = changes[t] + evidence[t] + spot[0], changes[t] + content[0]
            older_content, older_spot = np.append(content[1:], content[-1]), np.append(spot[1:], spot[-1])
            after_spot = np.logaddexp(c.to_spot + begin_spot, c.to_content + begin_content)
            content = np.logaddexp(c.stay[CONTENT] + older_content, c.end[CONTENT] + begin_spot)
            spot = np.logaddexp(c.stay[SPOT] + older_spot + evidence[t], c.end[SPOT] + after_spot)
            least = max(content.max(), spot.max())
            content, spot = content - least, spot - least
    return shares


def _forward(evidence: Floats, changes: Floats, c: _Chances) -> list[tuple[Floats, Floats]]:
    content, spot = c.first[CONTENT].copy(), c.first[SPOT] + evidence[0]
    found = [(content, spot)]
    for t in range(1, len(evidence)):
        ending, ended = _total(content + c.end[CONTENT]), _total(spot + c.end[SPOT])
        content, last = _aged(content + c.stay[CONTENT])
        content[-1] = np.logaddexp(content[-1], last)
        content[0] = ended + c.to_content + changes[t]
        spot, last = _aged(spot + c.stay[SPOT])
        spot[-1] = np.logaddexp(spot[-1], last)
        spot[0] = np.logaddexp(ending, ended + c.to_spot) + changes[t]
        spot += evidence[t]
        greatest = max(content.max(), spot.max())
        content, spot = content - greatest, spot - greatest
        found.append((content.astype(np.float32), spot.astype(np.float32)))
    return found


def _total(values: Floats) -> float:
    greatest = values.max()
    return float(greatest + np.log(np.exp(values - greatest).sum()))
