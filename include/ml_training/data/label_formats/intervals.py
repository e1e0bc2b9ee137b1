"""Reads interval files: JSON that gives each recording its segments.

    read_intervals('{"news-0105": [{"start": 0, "end": 49.1, "label": "content"}]}', "labels.json")

A segment has ``start`` and ``end`` (or ``start_seconds`` and ``end_seconds``) in seconds of media time, a ``label`` and
perhaps a ``creative``; what detection writes beside them is passed over. All mistakes of a file are told at once, each
with its place.
"""

import json
from typing import Any

from ml_training.data.label_formats.batches import LabelBatch, in_order, make_segment, require_no_mistakes
from ml_training.utils.errors import LabelsInvalid
from ml_training.utils.records import Segment

KEYS = {"start": "start_seconds", "end": "end_seconds"}
PASSED_OVER = {"confidence", "spots"}


def read_intervals(text: str | bytes, source: str) -> list[LabelBatch]:
    """Return one batch a recording.

    Raises LabelsInvalid when the text is not JSON, has another form, an unknown label, a segment that ends before it
    starts, or two segments of one recording that overlap and say different things.
    """
    mistakes: list[str] = []
    batches: list[LabelBatch] = []
    for recording_id, items in _parse_json(text, source).items():
        if not isinstance(items, list):
            mistakes.append(f"{recording_id}: expected a list of segments, received {type(items).__name__}")
            continue
        segments = [_segment(f"{recording_id}[{at}]", item, mistakes) for at, item in enumerate(items)]
        batches.append(LabelBatch(recording_id, in_order(recording_id, segments, mistakes)))
    require_no_mistakes(source, mistakes)
    return batches


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
    values = {KEYS.get(str(key), str(key)): value for key, value in item.items() if key not in PASSED_OVER}
    return make_segment(place, values, mistakes)
