"""Reads exports of Label Studio (JSON and JSON-MIN): each annotator of each task becomes a labeler of their own.

    [{"data": {"video": "/data/upload/1/ab12cd34-news-0105.mp4"},
      "annotations": [{"completed_by": {"email": "ann@example.org"},
                       "result": [{"type": "timelinelabels",
                                   "value": {"ranges": [{"start": 1, "end": 750}], "timelinelabels": ["Ad"]}}]}]}]

Regions of the ``Audio`` tag (``labels``) have seconds. Those of ``TimelineLabels`` have frame numbers, counted from 1,
the last included, at the frame rate of the project's ``Video`` tag: say it with ``--fps`` (24 where the tag has none).
Predictions and cancelled annotations are passed over; of two annotations by one person the later counts.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_training.data.label_formats.batches import (
    LabelBatch,
    ReadOptions,
    in_order,
    make_segment,
    recording_of,
    require_no_mistakes,
)
from ml_training.data.recordings import MEDIA_ENDINGS
from ml_training.utils.records import Segment

LABEL_KEYS = ("timelinelabels", "labels")
NO_FRAME_RATE = (
    "frame numbers need the frame rate of the project's Video tag: give it with --fps (24 where it has none)"
)


def looks_like_label_studio(content: Any) -> bool:
    """Tell whether parsed JSON is an export: a list of tasks."""
    return isinstance(content, list) and all(isinstance(task, dict) for task in content)


def read_label_studio(tasks: list[dict[str, Any]], source: str, options: ReadOptions) -> list[LabelBatch]:
    """Return one batch for each task and annotator. Raises LabelsInvalid with every mistake and its place."""
    mistakes: list[str] = []
    batches: dict[tuple[str, str | None], LabelBatch] = {}
    for number, task in enumerate(tasks):
        place = f"task {task.get('id', number)}"
        name = _media_name(task.get("data", task))
        if name is None:
            mistakes.append(f"{place}: expected the address of a recording in its data, received {_keys(task)}")
            continue
        for author, regions in _annotations(task):
            recording_id = recording_of(name)
            segments = [s for region in regions for s in _segments(place, region, options, mistakes)]
            ordered = in_order(f"{place} by {author or 'unknown'}", segments, mistakes)
            if ordered:
                batches[recording_id, author] = LabelBatch(recording_id, ordered, author)
    if not batches and not mistakes:
        mistakes.append("no task has a region with a time and a label")
    require_no_mistakes(source, mistakes)
    return list(batches.values())


def _media_name(data: Mapping[str, Any]) -> str | None:
    texts = [value for value in data.values() if isinstance(value, str)]
    return next((t for t in texts if t.lower().split("&")[0].endswith(tuple(MEDIA_ENDINGS))), None)


def _keys(task: Mapping[str, Any]) -> str:
    return ", ".join(map(str, task.get("data", task))) or "nothing"


def _annotations(task: Mapping[str, Any]) -> Iterator[tuple[str | None, list[Mapping[str, Any]]]]:
    """Yield each annotator with the values of the regions, the earliest annotation first."""
    if "annotations" in task:
        done = [a for a in task["annotations"] if isinstance(a, dict) and not a.get("was_cancelled")]
        for annotation in sorted(done, key=lambda a: str(a.get("updated_at") or a.get("created_at") or "")):
            regions = [r.get("value") for r in annotation.get("result", []) if isinstance(r, dict)]
            yield _author(annotation.get("completed_by")), [v for v in regions if isinstance(v, dict)]
        return
    for value in task.values():  # JSON-MIN: the regions stand under the name of their control
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield _author(task.get("annotator")), value


def _author(who: Any) -> str | None:
    if isinstance(who, dict):
        return str(who.get("email") or who.get("username") or f"label-studio:{who.get('id')}")
    return None if who is None else who if isinstance(who, str) else f"label-studio:{who}"


def _segments(
    place: str, value: Mapping[str, Any], options: ReadOptions, mistakes: list[str]
) -> Iterator[Segment | None]:
    labels = next((value[key] for key in LABEL_KEYS if value.get(key)), None)
    if not isinstance(labels, list):
        return
    for start, end in _times(place, value, options.frames_per_second, mistakes):
        for label in labels:
            yield make_segment(
                place, {"start_seconds": start, "end_seconds": end, "label": str(label).lower()}, mistakes
            )


def _times(
    place: str, value: Mapping[str, Any], rate: float | None, mistakes: list[str]
) -> Iterator[tuple[float, float]]:
    try:
        if "ranges" not in value:
            if "start" in value and "end" in value:
                yield float(value["start"]), float(value["end"])
            return
        for frames in value["ranges"]:
            if not rate:
                mistakes.append(f"{place}: {NO_FRAME_RATE}")
                return
            yield max(0, int(frames["start"]) - 1) / rate, int(frames["end"]) / rate
    except (KeyError, TypeError, ValueError) as error:
        mistakes.append(f"{place}: expected start and end of a region, received {value!r} ({error})")
