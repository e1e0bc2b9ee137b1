"""Ad breaks as events: what a break is, which found ones are right, how far their boundaries are off.

    true = breaks_of([(0, 300, "content"), (300, 330, "ad"), (330, 340, "promo"), (340, 370, "ad")])    # [(300, 370)]
    matches = match_breaks(true, [(301.5, 370.0)])
    break_scores([matches]).f1.value                                                                    # 1.0

A span is (start, end) in seconds of media time, the end excluded. A found break is right when it and a true one share
at least half of the time that both cover (intersection over union, as temporal action detection is judged:
Caba Heilbron et al., ActivityNet, CVPR 2015); each counts once. Intervals are by bootstrap over recordings.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.statistics.intervals import draw_weights, interval_of
from ml_training.utils.records import SCORED_LABELS, Interval

Span = tuple[float, float]
Array = npt.NDArray[Any]

BRIDGE_SECONDS = 30.0  # of promos, idents and unlabelled time that a break may span
ROUNDING_SECONDS = 0.1  # labels of neighbouring segments may miss each other by this much
LEAST_IOU = 0.5
SECONDS_PER_HOUR, SECONDS_PER_MINUTE = 3600.0, 60.0


class BreakMatches(NamedTuple):
    """The breaks of one recording: (true, found) pairs in order of time, true ones missed, found ones that are none."""

    pairs: list[tuple[Span, Span]]
    missed: list[Span]
    false: list[Span]

    @property
    def boundary_errors(self) -> list[float]:
        """Seconds by which each start and each end of the pairs is off; two a pair."""
        return [abs(found[side] - true[side]) for true, found in self.pairs for side in (0, 1)]


class BreakScores(NamedTuple):
    """How right the breaks of some recordings are; the errors are None when no break was found."""

    precision: Interval
    recall: Interval
    f1: Interval
    median_boundary_error_seconds: Interval | None
    boundary_error_90_seconds: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """Return the scores as JSON has them."""
        return {name: value.model_dump() if value else None for name, value in self._asdict().items()}


def breaks_of(spans: Sequence[tuple[float, float, str]], bridge_seconds: float = BRIDGE_SECONDS) -> list[Span]:
    """Return the ad breaks of a recording's labels ``(start, end, label)``, in order.

    Ads make one break when at most ``bridge_seconds`` lie between them and none of it is content. What is not an ad at
    either end of a break does not belong to it.
    """
    content = [(start, end) for start, end, label in spans if label == "content"]
    found: list[Span] = []
    for start, end, _ in sorted(span for span in spans if span[2] == "ad"):
        if found and _bridged((found[-1][1], start), content, bridge_seconds):
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def unscored_of(spans: Sequence[tuple[float, float, str]], duration_seconds: float) -> list[Span]:
    """Return the stretches of 0..``duration_seconds`` that are neither ad nor content: other labels, and no label."""
    unscored, at = [], 0.0
    for start, end, _ in sorted(span for span in spans if span[2] in SCORED_LABELS):
        if start > at:
            unscored.append((at, start))
        at = max(at, end)
    return unscored + ([(at, duration_seconds)] if duration_seconds > at else [])


def trim_unscored(found: Sequence[Span], unscored: Sequence[Span]) -> list[Span]:
    """Return found breaks without the unscored time at their ends; one that lies in it entirely is left out.

    Nobody says whether a promo beside an ad belongs to the break, so a boundary anywhere in it is right.
    """
    rising = sorted(unscored)
    trimmed = [(_after(start, rising), _before(end, rising)) for start, end in found]
    return [(start, end) for start, end in trimmed if end > start]


def intersection_over_union(one: Span, other: Span) -> float:
    """Return the time that two spans share, as a share of the time that they cover; 0 when they do not touch."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(0.0, shared) / max(one[1] - one[0] + other[1] - other[0] - max(0.0, shared), 1e-9)


def match_breaks(true: Sequence[Span], found: Sequence[Span], least_iou: float = LEAST_IOU) -> BreakMatches:
    """Pair the breaks of one recording, best overlap first, each at most once; ``least_iou`` above 0."""
    overlaps = [
        (intersection_over_union(t, f), i, j)
        for i, t in enumerate(true)
        for j, f in enumerate(found)
        if min(t[1], f[1]) > max(t[0], f[0])
    ]
    partner: dict[int, int] = {}
    for overlap, i, j in sorted(overlaps, key=lambda entry: (-entry[0], entry[1:])):
        if overlap >= least_iou and i not in partner and j not in partner.values():
            partner[i] = j
    return BreakMatches(
        pairs=sorted((true[i], found[j]) for i, j in partner.items()),
        missed=[span for i, span in enumerate(true) if i not in partner],
        false=[span for j, span in enumerate(found) if j not in partner.values()],
    )


class JudgedBreaks(NamedTuple):
    """The breaks of one recording, true and found, and what came of them; times in seconds."""

    true: list[Span]
    found: list[Span]  # without their edges that are not scored
    unscored: list[Span]
    matches: BreakMatches

    @property
    def false_seconds(self) -> float:
        """Seconds of found breaks that are content."""
        return false_seconds(self.true, self.found, self.unscored)


def judge_found(
    labels: Sequence[tuple[float, float, str]], found: Sequence[Span], duration_seconds: float
) -> JudgedBreaks:
    """Judge the breaks found in a recording by its labels (start, end, label)."""
    true, unscored = breaks_of(labels), unscored_of(labels, duration_seconds)
    trimmed = trim_unscored(found, unscored)
    return JudgedBreaks(true, trimmed, unscored, match_breaks(true, trimmed))


def break_scores(matches: Sequence[BreakMatches], *, seed: int = 0) -> BreakScores:
    """Score the breaks of all recordings together, one ``BreakMatches`` a recording, also one without breaks.

    Precision, recall and F1 are 0 where nothing was found or nothing is there. Boundary errors are of matched breaks:
    their median and the value that nine in ten stay within.
    """
    counts = np.array([(len(m.pairs), len(m.false), len(m.missed)) for m in matches], float).reshape(-1, 3)
    weights = draw_weights(len(counts), seed)
    drawn = _shares(weights @ counts)
    shares = [
        interval_of(float(value), draws, len(counts))
        for value, draws in zip(_shares(counts.sum(axis=0)), drawn, strict=True)
    ]
    errors = [_error_quantile(matches, quantile, weights) for quantile in (0.5, 0.9)]
    return BreakScores(*shares, *errors)


def break_f1_difference(first: Sequence[BreakMatches], second: Sequence[BreakMatches], *, seed: int = 0) -> Interval:
    """Return the F1 of ``first`` minus that of ``second`` on the same recordings in the same order, drawn together."""
    tables = [np.array([(len(m.pairs), len(m.false), len(m.missed)) for m in side], float) for side in (first, second)]
    one, other = (table.reshape(-1, 3) for table in tables)
    weights = draw_weights(len(one), seed)
    value = _shares(one.sum(axis=0))[2] - _shares(other.sum(axis=0))[2]
    return interval_of(float(value), _shares(weights @ one)[2] - _shares(weights @ other)[2], len(one))


def false_seconds(true: Sequence[Span], found: Sequence[Span], unscored: Sequence[Span] = ()) -> float:
    """Return how many seconds of one recording's found breaks are no ads, those of ``unscored`` stretches left out."""
    bounds = np.unique([time for span in (*true, *found, *unscored) for time in span])
    if len(bounds) < 2:
        return 0.0
    middles = (bounds[1:] + bounds[:-1]) / 2
    wrong = _covers(found, middles) & ~_covers(true, middles) & ~_covers(unscored, middles)
    return float(np.sum(np.diff(bounds)[wrong]))


def false_minutes_per_hour(
    wrong_seconds: Sequence[float], duration_seconds: Sequence[float], *, seed: int = 0
) -> Interval:
    """Return the minutes wrongly called ads in an hour, from ``false_seconds`` and the length of every recording."""
    table = np.stack([np.asarray(wrong_seconds, float), np.asarray(duration_seconds, float)], axis=1)
    values = [
        sums[..., 0] / SECONDS_PER_MINUTE / np.maximum(sums[..., 1] / SECONDS_PER_HOUR, 1e-9)
        for sums in (table.sum(axis=0), draw_weights(len(table), seed) @ table)
    ]
    return interval_of(float(values[0]), values[1], len(table))


def _bridged(gap: Span, content: Sequence[Span], bridge_seconds: float) -> bool:
    """Tell whether ads before and after a gap make one break."""
    between = sum(max(0.0, min(gap[1], end) - max(gap[0], start)) for start, end in content)
    return gap[1] - gap[0] <= bridge_seconds and between <= ROUNDING_SECONDS


def _after(time: float, rising: Sequence[Span]) -> float:
    """Return the end of the unscored stretch that holds a time, else the time."""
    for low, high in rising:
        time = high if low <= time < high else time
    return time


def _before(time: float, rising: Sequence[Span]) -> float:
    """Return the start of the unscored stretch that a time ends, else the time."""
    for low, high in reversed(rising):
        time = low if low < time <= high else time
    return time


def _shares(counts: Array) -> tuple[Array, Array, Array]:
    """Return precision, recall and F1 of (right, false, missed) [..., 3]."""
    right, false, missed = (counts[..., i] for i in range(3))
    return (
        right / np.maximum(1, right + false),
        right / np.maximum(1, right + missed),
        2 * right / np.maximum(1, 2 * right + false + missed),
    )


def _error_quantile(matches: Sequence[BreakMatches], quantile: float, weights: Array) -> Interval | None:
    """Return a quantile of all boundary errors; ``weights`` [D, R] say how often a draw took each recording."""
    owners = np.array([number for number, m in enumerate(matches) for _ in m.boundary_errors], int)
    errors = np.array([error for m in matches for error in m.boundary_errors])
    if not len(errors):
        return None
    order = np.argsort(errors, kind="stable")
    errors, owners = errors[order], owners[order]
    sums = np.cumsum(weights[:, owners], axis=1)
    drawn = sums[:, -1] > 0
    places = np.argmax(sums >= quantile * sums[:, -1:], axis=1)
    return interval_of(float(np.quantile(errors, quantile)), errors[places][drawn], len(matches))


def _covers(spans: Sequence[Span], times: Array) -> Array:
    covered = np.zeros(len(times), bool)
    for start, end in spans:
        covered |= (times >= start) & (times < end)
    return covered
