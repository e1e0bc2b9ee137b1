"""Reads chapters as ffmpeg writes them (``ffmpeg -i news.mkv -f ffmetadata news.ffmetadata``): those named by a label.

    ;FFMETADATA1
    [CHAPTER]
    TIMEBASE=1/1000
    START=49120
    END=79200
    title=ad

A chapter whose title is no label says nothing. Where only ads are chapters, the rest is not known to be content.
Source: ffmpeg.org/ffmpeg-formats.html#Metadata-2; the time base is a nanosecond where a chapter gives none.
"""

import re
from fractions import Fraction

from ml_training.data.label_formats.batches import (
    LabelBatch,
    ReadOptions,
    in_order,
    make_segment,
    require_no_mistakes,
)
from ml_training.utils.records import LABELS, Segment

CHAPTERS_MARK = ";FFMETADATA1"
SECTION = re.compile(r"^\[([^]]*)\]\s*$")
DEFAULT_TIME_BASE = "1/1000000000"


def read_chapters(text: str, source: str, options: ReadOptions) -> list[LabelBatch]:
    """Return the labelled chapters of one recording. Raises LabelsInvalid with every mistake and its line."""
    mistakes: list[str] = []
    segments = [_segment(f"line {line}", values, mistakes) for line, values in _chapters(text)]
    ordered = in_order(options.recording_id, segments, mistakes)
    require_no_mistakes(source, mistakes)
    return [LabelBatch(options.recording_id, ordered)]


def _chapters(text: str) -> list[tuple[int, dict[str, str]]]:
    """Return the line and the values of each chapter whose title is a label."""
    found: list[tuple[int, dict[str, str]]] = []
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        section = SECTION.match(line)
        if section:
            values = {}
            if section.group(1).upper() == "CHAPTER":
                found.append((number, values))
        elif "=" in line and line[0] not in ";#":
            name, _, value = line.partition("=")
            values[name.strip().lower()] = value.strip()
    return [(number, values) for number, values in found if values.get("title", "").lower() in LABELS]


def _segment(place: str, values: dict[str, str], mistakes: list[str]) -> Segment | None:
    try:
        base = Fraction(values.get("timebase", DEFAULT_TIME_BASE))
        times = {f"{name}_seconds": float(int(values[name]) * base) for name in ("start", "end")}
    except (KeyError, ValueError, ZeroDivisionError):
        mistakes.append(f"{place}: expected a chapter with TIMEBASE=1/n, START and END, received {values}")
        return None
    return make_segment(place, {**times, "label": values["title"].lower()}, mistakes)
