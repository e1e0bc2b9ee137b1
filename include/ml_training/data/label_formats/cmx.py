"""Reads CMX 3600 edit decision lists, which editing programs export: each event is a stretch of the recording.

    TITLE: news-0105
    FCM: NON-DROP FRAME
    001  AX       V     C        00:00:49:03 00:01:19:05 01:00:00:00 01:00:30:02
    * FROM CLIP NAME: promo

The source times (the first two) say where in the recording, as hours:minutes:seconds:frames; the clip's name is the
label where it is one, else the event is an ad. Drop-frame timecode (``;`` or ``FCM: DROP FRAME``) runs at 30000/1001
frames a second and skips two numbers a minute but not in each tenth (SMPTE ST 12-1); any other needs ``--fps``.
"""

import re

from ml_training.data.label_formats.batches import (
    LabelBatch,
    ReadOptions,
    in_order,
    make_segment,
    require_no_mistakes,
)
from ml_training.utils.records import LABELS, Segment

EVENT = re.compile(r"^\d{3,6}\s+\S+\s+\S+\s+\S+.*?\s(\d\d[:;]\S+)\s+(\d\d[:;]\S+)\s+\d\d[:;]\S+\s+\d\d[:;]\S+\s*$")
TIMECODE = re.compile(r"(\d\d)[:;](\d\d)[:;](\d\d)[:;.](\d\d)")
CLIP_NAME = re.compile(r"^\*\s*(?:FROM CLIP NAME|LABEL|COMMENT):\s*(.*?)\s*$", re.I)
DROP_FRAME_RATE = 30_000 / 1001


def looks_like_cmx(text: str) -> bool:
    """Tell whether a text has at least one event of a CMX list."""
    return any(EVENT.match(line) for line in text.splitlines())


def read_cmx(text: str, source: str, options: ReadOptions) -> list[LabelBatch]:
    """Return the events of one recording as segments. Raises LabelsInvalid with every mistake and its line."""
    mistakes: list[str] = []
    found: list[tuple[int, str, str, str]] = []
    drop = bool(re.search(r"^FCM:\s*DROP", text, re.M | re.I))
    for number, line in enumerate(text.splitlines(), start=1):
        event, name = EVENT.match(line), CLIP_NAME.match(line)
        if event:
            found.append((number, event.group(1), event.group(2), "ad"))
        elif name and found and name.group(1).lower() in LABELS:
            found[-1] = (*found[-1][:3], name.group(1).lower())
    segments: list[Segment | None] = []
    for number, start, end, label in found:
        try:
            times = [seconds_of(timecode, options.frames_per_second, drop=drop) for timecode in (start, end)]
        except ValueError as error:
            mistakes.append(f"line {number}: {error}")
            continue
        values = {"start_seconds": times[0], "end_seconds": times[1], "label": label}
        segments.append(make_segment(f"line {number}", values, mistakes))
    ordered = in_order(options.recording_id, segments, mistakes)
    require_no_mistakes(source, mistakes)
    return [LabelBatch(options.recording_id, ordered, lists_ads_only=True)]


def seconds_of(timecode: str, frames_per_second: float | None, *, drop: bool) -> float:
    """Return the seconds from 00:00:00:00 to a timecode. Raises ValueError when it is none or its rate is not known."""
    parts = TIMECODE.fullmatch(timecode)
    if parts is None:
        raise ValueError(f"expected a timecode hh:mm:ss:ff, received {timecode!r}")
    hours, minutes, seconds, frames = (int(part) for part in parts.groups())
    drop = drop or ";" in timecode
    rate = DROP_FRAME_RATE if drop else frames_per_second
    if not rate:
        raise ValueError(f"{timecode} counts frames: give the frame rate with --fps")
    counted = round(rate)  # timecode of 23.976, 29.97 and 59.94 counts 24, 30 and 60 a second
    if frames >= counted:
        raise ValueError(f"{timecode} has frame {frames} of a second of {counted}: is --fps right?")
    whole_minutes = hours * 60 + minutes
    skipped = 2 * (whole_minutes - whole_minutes // 10) if drop else 0
    return ((whole_minutes * 60 + seconds) * counted + frames - skipped) / rate
