"""Reads labels from CSV: a header, then a row a segment.

    recording,start,end,label,creative
    news-0105,49.12,00:01:19.2,ad,soap-7

Separated by commas, semicolons or tabs. ``recording`` may be a file name, and the column may be absent where the file
is named like its recording. Times are seconds, h:mm:ss or ``#frame``; ``duration`` may stand in the place of ``end``.
"""

import csv
import io
from collections.abc import Mapping

from ml_training.data.label_formats.batches import (
    LabelBatch,
    ReadOptions,
    in_order,
    make_segment,
    nearest,
    parse_time,
    recording_of,
    require_no_mistakes,
)
from ml_training.utils.errors import LabelsInvalid
from ml_training.utils.records import Segment

COLUMNS = {
    "recording": "recording", "recording_id": "recording", "file": "recording", "filename": "recording",
    "video": "recording",
    "start": "start", "start_seconds": "start", "end": "end", "end_seconds": "end",
    "duration": "duration", "duration_seconds": "duration",
    "label": "label", "class": "label", "creative": "creative",
    "note": "", "notes": "", "comment": "", "confidence": "",  # for people: passed over
}  # fmt: skip
SEPARATORS = ",;\t"


def read_csv(text: str, source: str, options: ReadOptions) -> list[LabelBatch]:
    """Return one batch a recording. Raises LabelsInvalid with every mistake and its line."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=header.count)
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    names = _columns([name.strip().lower() for name in next((row for row in rows if row), [])], source)
    mistakes: list[str] = []
    segments: dict[str, list[Segment | None]] = {}
    for values in rows:
        if not any(value.strip() for value in values):
            continue
        place = f"line {rows.line_num}"
        if len(values) != len(names):
            mistakes.append(f"{place}: expected {len(names)} values, received {len(values)}")
            continue
        row = {name: value.strip() for name, value in zip(names, values, strict=True) if name and value.strip()}
        recording_id = recording_of(row["recording"]) if "recording" in row else options.recording_id
        segments.setdefault(recording_id, []).append(_segment(place, row, options.frames_per_second, mistakes))
    batches = [LabelBatch(name, in_order(name, found, mistakes)) for name, found in segments.items()]
    require_no_mistakes(source, mistakes)
    return batches


def _columns(header: list[str], source: str) -> list[str]:
    unknown = [name for name in header if name not in COLUMNS]
    names = [COLUMNS.get(name, "") for name in header]
    missing = {"start", "label"} - set(names) | (set() if {"end", "duration"} & set(names) else {"end"})
    if missing or unknown:
        told = [f"unknown column {name!r}{_near(name)}" for name in unknown]
        told += [f"there is no column {name}" for name in sorted(missing)]
        raise LabelsInvalid(
            f"{source} must begin with a header such as recording,start,end,label,creative: {'; '.join(told)}",
            source=source,
        )
    return names


def _near(name: str) -> str:
    advice = nearest(name, [known for known, meaning in COLUMNS.items() if meaning])
    return advice if "did you mean" in advice else ""


def _segment(
    place: str, row: Mapping[str, str], frames_per_second: float | None, mistakes: list[str]
) -> Segment | None:
    try:
        times = {name: parse_time(row[name], frames_per_second) for name in ("start", "end", "duration") if name in row}
    except ValueError as error:
        mistakes.append(f"{place}: {error}")
        return None
    values: dict[str, object] = {"label": row["label"]} if "label" in row else {}
    if "start" in times:
        values["start_seconds"] = times["start"]
        if "end" in times or "duration" in times:
            values["end_seconds"] = times["end"] if "end" in times else times["start"] + times["duration"]
    return make_segment(place, values | ({"creative": row["creative"]} if "creative" in row else {}), mistakes)
