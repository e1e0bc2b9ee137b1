"""Which label holds where people, files and models said something, and where they contradict each other.

    segments = resolve(events)                    # in order, without overlaps
    conflicts = find_conflicts(events)            # what each labeler says where they differ, and which word holds

The rule: a person on the spot, over a person on the creative (one label holds for all its airings), over a file or an
edit list, over a generator or a model, over a model on the creative. Among equals the newest.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.utils.records import LabelEvent, Segment

RANK = {"generator": 1, "model": 1, "file": 2, "edl": 2, "creative": 3, "person": 4}
OF_CREATIVE = "creative:"  # the author of what a model says of a creative
JITTER_SECONDS = 0.5  # two labelers who set the same boundary differ by less


class Conflict(NamedTuple):
    """A stretch of a recording of which labelers say different things; ``holds`` is the labeler whose word counts."""

    start_seconds: float
    end_seconds: float
    said: dict[str, str]  # labeler (source:author) -> label
    holds: str
    because: str  # 'rank' or 'newest'


def rank(event: LabelEvent) -> int:
    """Return how much an event weighs against others."""
    return 0 if event.source == "model" and event.author.startswith(OF_CREATIVE) else RANK[event.source]


def labeler(event: LabelEvent) -> str:
    """Return who says it, such as ``person:ann``."""
    return f"{event.source}:{event.author}"


def resolve(events: Iterable[LabelEvent]) -> list[Segment]:
    """Return the segments that hold, in order and without overlaps.

    What is left of an event that a stronger one cuts keeps its label.
    """
    ordered = sorted(events, key=_strength)
    if not ordered:
        return []
    bounds = np.unique([time for event in ordered for time in (event.start_seconds, event.end_seconds)])
    owners = np.full(len(bounds) - 1, -1)
    for number, event in enumerate(ordered):
        first, last = np.searchsorted(bounds, (event.start_seconds, event.end_seconds))
        owners[first:last] = number
    starts = np.flatnonzero(np.diff(owners, prepend=-2))
    ends = np.append(starts[1:], len(owners))
    return [
        segment_of(ordered[owners[start]]).model_copy(
            update={"start_seconds": float(bounds[start]), "end_seconds": float(bounds[end])}
        )
        for start, end in zip(starts, ends, strict=True)
        if owners[start] >= 0
    ]


def find_conflicts(events: Iterable[LabelEvent], *, shortest_seconds: float = JITTER_SECONDS) -> list[Conflict]:
    """Return the stretches, of ``shortest_seconds`` or more, where labelers differ; in order.

    A labeler's later word replaces their own earlier one: correcting oneself is no conflict.
    """
    by_labeler: dict[str, list[LabelEvent]] = {}
    for event in events:
        by_labeler.setdefault(labeler(event), []).append(event)
    if len(by_labeler) < 2:
        return []
    ordered = sorted((event for own in by_labeler.values() for event in own), key=_strength)
    bounds = np.unique([time for event in ordered for time in (event.start_seconds, event.end_seconds)])
    said: list[dict[str, LabelEvent]] = [{} for _ in bounds[1:]]
    for event in ordered:  # the strongest comes last, so a dict's last entry holds
        first, last = np.searchsorted(bounds, (event.start_seconds, event.end_seconds))
        for words in said[first:last]:
            words.pop(labeler(event), None)
            words[labeler(event)] = event
    found: list[Conflict] = []
    for words, start, end in zip(said, bounds[:-1], bounds[1:], strict=True):
        if len({event.label for event in words.values()}) > 1:
            _add(found, _conflict(words, float(start), float(end)))
    return [conflict for conflict in found if conflict.end_seconds - conflict.start_seconds >= shortest_seconds]


def segment_numbers(segments: Sequence[Segment], pts_seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return for each time the number of the segment that contains it, -1 where there is none.

    ``segments`` are ordered and do not overlap, as ``resolve`` gives them; a segment's end is excluded.
    """
    if not segments:
        return np.full(len(pts_seconds), -1, np.int64)
    numbers = np.searchsorted([segment.start_seconds for segment in segments], pts_seconds, side="right") - 1
    ends = np.array([segment.end_seconds for segment in segments])
    return np.where((numbers >= 0) & (pts_seconds < ends[numbers]), numbers, -1)


def segment_of(event: LabelEvent) -> Segment:
    """Return what an event says, without who says it."""
    return Segment(
        start_seconds=event.start_seconds, end_seconds=event.end_seconds, label=event.label, creative=event.creative
    )


def _strength(event: LabelEvent) -> tuple[int, object, str]:
    return rank(event), event.created_at, event.event_id


def _conflict(words: dict[str, LabelEvent], start: float, end: float) -> Conflict:
    *weaker, holds = words.values()
    others = [event for event in weaker if event.label != holds.label]
    because = "rank" if all(rank(event) < rank(holds) for event in others) else "newest"
    return Conflict(start, end, {who: words[who].label for who in sorted(words)}, labeler(holds), because)


def _add(found: list[Conflict], new: Conflict) -> None:
    """Append a conflict, or lengthen the one before it when that says the same."""
    if found and found[-1].end_seconds == new.start_seconds and found[-1][2:] == new[2:]:
        found[-1] = found[-1]._replace(end_seconds=new.end_seconds)
    else:
        found.append(new)
