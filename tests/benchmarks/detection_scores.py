"""What the benchmark of detection makes of scores and breaks: figures with their intervals, over recordings.

    seconds = of_breaks(recordings, found, unseen_only=seen)     # every tenth of a second of every recording
    seconds.f1, seconds.mcc                                      # Interval
    frames = of_scores(recordings, scores, threshold)

Time that is neither ad nor content is not scored; of ads whose creative a training saw, neither is what ``masked``
names. Breaks are matched by ``statistics.breaks``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from detection_world import Recorded
from ml_training.statistics.breaks import (
    BreakMatches,
    JudgedBreaks,
    Span,
    break_f1_difference,
    break_scores,
    false_minutes_per_hour,
    judge_found,
)
from ml_training.statistics.intervals import RecordingCounts, metric_intervals, paired_difference
from ml_training.utils.metrics import Counts
from ml_training.utils.records import Interval

GRID_SECONDS = 0.1
Array = npt.NDArray[Any]
Found = Mapping[str, Sequence[Span]]  # breaks by recording
Chosen = Callable[[Recorded], bool]


@dataclass(frozen=True)
class Seconds:
    """Right and wrong time of some recordings, and their breaks."""

    table: RecordingCounts
    matches: list[BreakMatches]

    def __getattr__(self, name: str) -> Any:
        if name not in ("precision", "recall", "f1", "mcc"):
            raise AttributeError(name)
        return metric_intervals(self.table)[name]

    @property
    def breaks(self) -> Any:
        """Precision, recall, F1 and boundary errors of the breaks."""
        return break_scores(self.matches)


def of_breaks(recordings: Sequence[Recorded], found: Found, *, seen: frozenset[str] = frozenset()) -> Seconds:
    """Judge found breaks; time of ads whose creative is in ``seen`` does not count, nor do breaks made only of them."""
    counts, matches = [], []
    for recording in recordings:
        spans = [tuple(span) for span in found[recording.recording_id]]
        times = np.arange(GRID_SECONDS / 2, recording.duration, GRID_SECONDS)
        labels = labels_at(recording, times, seen)
        scored = labels >= 0
        counts.append(Counts.of(labels[scored], covered(spans, times)[scored]))
        matches.append(_matches(recording, spans, seen))
    table = np.array(counts, np.int64).reshape(-1, 4)
    return Seconds(RecordingCounts(table, [r.recording_id for r in recordings]), matches)


def of_scores(
    recordings: Sequence[Recorded],
    scores: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    threshold: float,
    *,
    seen: frozenset[str] = frozenset(),
) -> RecordingCounts:
    """Judge frames: ``scores`` has the times and the scores of each recording's frames."""
    counts = []
    for recording in recordings:
        times, values = (np.asarray(part, float) for part in scores[recording.recording_id])
        labels = labels_at(recording, times, seen)
        scored = labels >= 0
        counts.append(Counts.of(labels[scored], values[scored] >= threshold))
    return RecordingCounts(np.array(counts, np.int64).reshape(-1, 4), [r.recording_id for r in recordings])


def labels_at(recording: Recorded, times: Array, seen: frozenset[str]) -> npt.NDArray[np.int8]:
    """Return 1 for an ad, 0 for content and -1 for what is not scored, int8 [N]."""
    labels = np.full(len(times), -1, np.int8)
    for start, end, label in recording.labels:
        if label in ("ad", "content"):
            labels[(times >= start) & (times < end)] = label == "ad"
    for start, end, creative in recording.creatives:
        if creative in seen:
            labels[(times >= start) & (times < end)] = -1
    return labels


def covered(spans: Sequence[Span], times: Array) -> npt.NDArray[np.bool_]:
    """Tell for each time whether it lies in a span."""
    inside = np.zeros(len(times), bool)
    for start, end in spans:
        inside |= (times >= start) & (times < end)
    return inside


def false_minutes(recordings: Sequence[Recorded], found: Found) -> Interval:
    """Return the minutes an hour that are wrongly called ads."""
    wrong = [_judged(recording, found[recording.recording_id]).false_seconds for recording in recordings]
    return false_minutes_per_hour(wrong, [r.duration for r in recordings])


def f1_gain(one: Seconds, other: Seconds) -> Interval:
    """Return the F1 of ``one`` minus that of ``other``, paired by recording."""
    return paired_difference(one.table, other.table, "f1")


def break_f1_gain(one: Seconds, other: Seconds) -> Interval:
    """Return the break F1 of ``one`` minus that of ``other``, paired by recording."""
    return break_f1_difference(one.matches, other.matches)


def shown(value: Interval | None, unit: str = "") -> str:
    """Return ``0.912 (0.871 to 0.944)``."""
    if value is None:
        return "none found"
    between = f" ({value.low:.3f} to {value.high:.3f})" if value.low is not None and value.high is not None else ""
    return f"{value.value:.3f}{unit}{between}"


def _judged(recording: Recorded, found: Sequence[Span]) -> JudgedBreaks:
    return judge_found(recording.labels, found, recording.duration)


def _matches(recording: Recorded, found: Sequence[Span], seen: frozenset[str]) -> BreakMatches:
    matches = _judged(recording, found).matches
    if not seen:
        return matches
    known = [(start, end) for start, end, creative in recording.creatives if creative in seen]

    def is_new(span: Span) -> bool:
        ads = [
            (s, e) for s, e, label in recording.labels if label == "ad" and s >= span[0] - 0.1 and e <= span[1] + 0.1
        ]
        return any(ad not in known for ad in ads)

    pairs = [pair for pair in matches.pairs if is_new(pair[0])]
    return BreakMatches(pairs, [span for span in matches.missed if is_new(span)], matches.false)
