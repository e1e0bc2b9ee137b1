"""Reads files of labels: JSON that gives each recording its segments.

    parse_labels('{"news-0105": [{"start": 0, "end": 49.1, "label": "content"}]}', source="labels.json")

A segment has ``start`` and ``end`` (or ``start_seconds`` and ``end_seconds``) in seconds of media time, a ``label`` and
perhaps a ``creative``. All mistakes of a file are told at once, each with its place.
"""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from ml_training.utils.errors import LabelsInvalid
from ml_training.utils.records import LABELS, Segment

OVERLAP_SECONDS = 0.001  # rounding of the written times
KEYS = {"start": "start_seconds", "end": "end_seconds"}
MOST_MISTAKES_SHOWN = 20


def parse_labels(text: str | bytes, *, source: str) -> dict[str, list[Segment]]:
    """Return the segments of each recording, in order of start.

    Raises LabelsInvalid when the text is not JSON, has another form, an unknown label, a segment that ends before it
    starts, or two segments of one recording that overlap and say different things.
    """
    content = _parse_json(text, source)
    mistakes: list[str] = []
    labels: dict[str, list[Segment]] = {}
    for recording_id, items in content.items():
        if not isinstance(items, list):
            mistakes.append(f"{recording_id}: expected a list of segments, received {type(items).__name__}")
            continue
        segments = [_segment(f"{recording_id}[{at}]", item, mistakes) for at, item in enumerate(items)]
        labels[recording_id] = sorted((s for s in segments if s), key=lambda s: (s.start_seconds, s.end_seconds))
        mistakes += _contradictions(recording_id, labels[recording_id])
    if mistakes:
        shown = "\n".join(f"  {mistake}" for mistake in mistakes[:MOST_MISTAKES_SHOWN])
        raise LabelsInvalid(f"{source} has {len(mistakes)} mistake(s):\n{shown}", source=source, mistakes=mistakes)
    return labels


def _parse_json(text: str | bytes, source: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise LabelsInvalid(f"{source} is not JSON: {error}", source=source) from error
    if not isinstance(content, dict):
        raise LabelsInvalid(
            f"{source} must be an object of recordings, each with its list of segments, received "
            f"{type(content).__name__}",
            source=source,
        )
    return content


def _segment(place: str, item: Any, mistakes: list[str]) -> Segment | None:
    if not isinstance(item, dict):
        mistakes.append(f"{place}: expected an object with start, end and label, received {item!r}")
        return None
    try:
        return Segment.model_validate({KEYS.get(key, key): value for key, value in item.items()})
    except ValidationError as error:
        mistakes += [f"{place}: {_explain(mistake)}" for mistake in error.errors()]
        return None


def _explain(mistake: Any) -> str:
    field = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "literal_error":
        return f"unknown label {mistake['input']!r}{_nearest(str(mistake['input']), LABELS)}"
    if mistake["type"] == "extra_forbidden":
        return f"unknown key {field!r}{_nearest(field, ('start', 'end', 'label', 'creative'))}"
    if mistake["type"] == "missing":
        return f"{field} is missing"
    message = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}, received {mistake['input']!r}" if field else message


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _contradictions(recording_id: str, segments: list[Segment]) -> list[str]:
    """Compare each segment with what reaches furthest of each label before it; ``segments`` are in order of start."""
    found: list[str] = []
    furthest: dict[str, Segment] = {}
    for segment in segments:
        for other in furthest.values():
            if other.label != segment.label and other.end_seconds - segment.start_seconds > OVERLAP_SECONDS:
                both = f"{_describe(other)} and {_describe(segment)}"
                found.append(f"{recording_id}: {both} overlap and contradict each other")
        reach = furthest.get(segment.label)
        if reach is None or segment.end_seconds > reach.end_seconds:
            furthest[segment.label] = segment
    return found


def _describe(segment: Segment) -> str:
    return f"{segment.label} {segment.start_seconds:g}..{segment.end_seconds:g}"
