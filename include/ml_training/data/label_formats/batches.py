"""What every reader of a label file gives, and what all readers share: times, names, and mistakes with their place.

parse_time("00:01:05.5", None)        # 65.5
parse_time("#250", 25.0)              # 10.0
recording_of("/data/upload/1/ab12cd34-news-0105.mp4")     # 'news-0105'
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic import ValidationError

from ml_training.data.recordings import MEDIA_ENDINGS
from ml_training.utils.errors import LabelsInvalid
from ml_training.utils.records import LABELS, Segment

OVERLAP_SECONDS = 0.001  # rounding of the written times
MOST_MISTAKES_SHOWN = 20
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")  # [h:]m:s
UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file


class LabelBatch(NamedTuple):
    """What one labeler says of one recording, in order of start."""

    recording_id: str
    segments: list[Segment]
    author: str | None = None  # None: whoever imports the file
    lists_ads_only: bool = False  # an edit list: what it does not name is content


class ReadOptions(NamedTuple):
    """What a label file may leave open."""

    recording_id: str  # of a file that names no recording: by default its own name without the ending
    frames_per_second: float | None = None  # for times that are frame numbers


class NeedsFrameRate(ValueError):
    """A time is a frame number, and no frame rate is known."""


def parse_time(text: str, frames_per_second: float | None) -> float:
    """Return seconds from ``12.5``, ``[h:]mm:ss.sss`` or ``#frame``. Raises ValueError with what was wrong."""
    text = text.strip().replace(",", ".")
    if text.startswith("#"):
        if not frames_per_second:
            raise NeedsFrameRate(f"{text} is a frame number: give the frame rate with --fps")
        return int(text[1:]) / frames_per_second
    clock = CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = clock.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected seconds, h:mm:ss or #frame, received {text!r}") from None


def recording_of(name: str) -> str:
    """Return the recording id that a path, an address or a file name stands for."""
    last = PurePosixPath(unquote(name.strip()).replace("\\", "/").replace("?d=", "/")).name
    path = PurePosixPath(last)
    stem = path.stem if path.suffix.lower() in MEDIA_ENDINGS else last
    return UPLOADED.sub("", stem) if "/upload/" in name else stem


def make_segment(place: str, values: dict[str, Any], mistakes: list[str]) -> Segment | None:
    """Return the segment of ``start_seconds``, ``end_seconds``, ``label`` and perhaps ``creative``; None if wrong."""
    try:
        return Segment.model_validate(values)
    except ValidationError as error:
        mistakes += [f"{place}: {_explain(mistake)}" for mistake in error.errors()]
        return None


def in_order(place: str, segments: Iterable[Segment | None], mistakes: list[str]) -> list[Segment]:
    """Return the segments sorted; notes those that overlap and say different things."""
    ordered = sorted((s for s in segments if s), key=lambda s: (s.start_seconds, s.end_seconds))
    mistakes += _contradictions(place, ordered)
    return ordered


def require_no_mistakes(source: str, mistakes: Sequence[str]) -> None:
    """Raise LabelsInvalid, with all mistakes of a file, when there are any."""
    if mistakes:
        shown = "\n".join(f"  {mistake}" for mistake in mistakes[:MOST_MISTAKES_SHOWN])
        more = f"\n  ... and {len(mistakes) - MOST_MISTAKES_SHOWN} more" if len(mistakes) > MOST_MISTAKES_SHOWN else ""
        raise LabelsInvalid(
            f"{source} has {len(mistakes)} mistake(s):\n{shown}{more}", source=source, mistakes=list(mistakes)
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return advice: the nearest known word, else all of them."""
    known = list(known)
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _explain(mistake: Any) -> str:
    field = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "literal_error":
        return f"unknown label {mistake['input']!r}{nearest(str(mistake['input']), LABELS)}"
    if mistake["type"] == "extra_forbidden":
        return f"unknown key {field!r}{nearest(field, ('start', 'end', 'label', 'creative'))}"
    if mistake["type"] == "missing":
        return f"{field} is missing"
    message = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}, received {mistake['input']!r}" if field else message


def _contradictions(place: str, segments: list[Segment]) -> list[str]:
    """Compare each segment with what reaches furthest of each label before it; ``segments`` are in order of start."""
    found: list[str] = []
    furthest: dict[str, Segment] = {}
    for segment in segments:
        for other in furthest.values():
            if other.label != segment.label and other.end_seconds - segment.start_seconds > OVERLAP_SECONDS:
                both = f"{_describe(other)} and {_describe(segment)}"
                found.append(f"{place}: {both} overlap and contradict each other")
        reach = furthest.get(segment.label)
        if reach is None or segment.end_seconds > reach.end_seconds:
            furthest[segment.label] = segment
    return found


def _describe(segment: Segment) -> str:
    return f"{segment.label} {segment.start_seconds:g}..{segment.end_seconds:g}"
