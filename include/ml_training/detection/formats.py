"""Writes the ad breaks of a recording for players, editing programs and other programs.

    write_breaks(breaks, "s3://adbreak/out/news-0105.edl", frame_rate=25.0, duration=1800.0)
    write_breaks(breaks, "news-0105.edl", format="cmx", frame_rate=29.97, duration=1800.0)

| format | ending | who reads it |
| --- | --- | --- |
| ``edl`` | ``.edl`` | MPlayer, Kodi: start, end, 0 (cut) |
| ``kodi`` | ``.edl`` | Kodi: start, end, 3 (commercial break, skipped once) |
| ``cmx`` | ``.cmx`` | CMX 3600: editing programs, in timecode |
| ``comskip`` | ``.txt`` | what reads comskip's default output, in frame numbers |
| ``chapters`` | ``.ffmetadata`` | ffmpeg: the whole recording as chapters, ``ad`` and ``content`` |
| ``json`` | ``.json`` | programs: with confidence and the starts of the spots |
| ``csv`` | ``.csv`` | tables: with confidence |

``data.label_formats`` reads each of them again. Times are media times; timecode and frame numbers come from the frame
rate, and are right for recordings of constant rate only.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ml_training.cloud import storage
from ml_training.detection.records import Break
from ml_training.detection.timecode import edit_rate, timecode
from ml_training.utils.errors import UsageError

CUT, COMMERCIAL_BREAK = 0, 3  # actions of an .edl: kodi.wiki/view/Edit_decision_list
SHORTEST_CHAPTER_SECONDS = 0.001
RECORD_START_SECONDS = 3600  # edited programmes begin at 01:00:00:00 by custom


class RecordingFacts(NamedTuple):
    """What a file of breaks says of its recording. ``frame_rate`` is 0 where it is not known."""

    recording_id: str
    frame_rate: float
    duration: float  # seconds


class BreakFormat(NamedTuple):
    """How a format is written; ``counts_frames``: its times are frame numbers."""

    ending: str
    write: Callable[[Sequence[Break], RecordingFacts], str]
    counts_frames: bool = False


def format_of(name: str) -> str:
    """Return the format that the ending of a file's name stands for. Raises UsageError for any other ending."""
    ending = PurePosixPath(name).suffix.lower()
    for name_of_format, known in FORMATS.items():
        if known.ending == ending:
            return name_of_format
    endings = ", ".join(dict.fromkeys(known.ending for known in FORMATS.values()))
    raise UsageError(f"no format ends in {ending or 'nothing'!r}: expected one of {endings}, received {name}")


def write_breaks(
    breaks: Sequence[Break],
    path_or_uri: str,
    *,
    format: str | None = None,
    frame_rate: float | None = None,
    duration: float,
    recording_id: str | None = None,
) -> None:
    """Write the breaks of one recording to a file or to ``s3://bucket/key``; no breaks make a file that says so.

    ``format`` is by default what the name's ending stands for, ``recording_id`` the name without it; ``duration`` is
    the recording's, in seconds. Raises UsageError for a format or an ending that is not known, and when a format
    counts frames and ``frame_rate`` (frames a second) is not given.
    """
    chosen = format or format_of(path_or_uri)
    if chosen not in FORMATS:
        raise UsageError(f"expected a format of {', '.join(FORMATS)}, received {chosen!r}")
    if FORMATS[chosen].counts_frames and not frame_rate:
        raise UsageError(f"{chosen} counts frames, and the frame rate of the recording is not known: take edl or json")
    facts = RecordingFacts(recording_id or PurePosixPath(path_or_uri).stem, frame_rate or 0.0, duration)
    ordered = sorted(breaks, key=lambda found: found.start_seconds)
    storage.write_bytes(path_or_uri, FORMATS[chosen].write(ordered, facts).encode())


def _edl(breaks: Sequence[Break], action: int) -> str:
    return "".join(f"{found.start_seconds:.3f}\t{found.end_seconds:.3f}\t{action}\n" for found in breaks)


def _comskip(breaks: Sequence[Break], facts: RecordingFacts) -> str:
    frames = round(facts.duration * facts.frame_rate)
    header = f"FILE PROCESSING COMPLETE {frames:6d} FRAMES AT {round(facts.frame_rate * 100):5d}\n{'-' * 19}\n"
    spans = ((round(b.start_seconds * facts.frame_rate), round(b.end_seconds * facts.frame_rate)) for b in breaks)
    return header + "".join(f"{start}\t{end}\n" for start, end in spans)


def _cmx(breaks: Sequence[Break], facts: RecordingFacts) -> str:
    rate = edit_rate(facts.frame_rate)
    lines = [f"TITLE: {facts.recording_id}", f"FCM: {'DROP FRAME' if rate.drop else 'NON-DROP FRAME'}", ""]
    record = round(RECORD_START_SECONDS * rate.frames_per_second)
    for number, found in enumerate(breaks, start=1):
        first, end = (round(t * rate.frames_per_second) for t in (found.start_seconds, found.end_seconds))
        times = (first, end, record, record + end - first)
        lines.append(f"{number:03d}  AX       V     C        {' '.join(timecode(time, rate) for time in times)}")
        lines.append("* FROM CLIP NAME: ad")
        record += end - first
    return "\n".join(lines) + "\n"


def _chapters(breaks: Sequence[Break], facts: RecordingFacts) -> str:
    """The form of ffmpeg.org/ffmpeg-formats.html#Metadata-2; chapters touch each other."""
    text = ";FFMETADATA1\n"
    for start, end, title in _covering(breaks, facts.duration):
        times = f"START={round(start * 1000)}\nEND={round(end * 1000)}"
        text += f"[CHAPTER]\nTIMEBASE=1/1000\n{times}\ntitle={title}\n"
    return text


def _covering(breaks: Sequence[Break], duration: float) -> Iterator[tuple[float, float, str]]:
    reached = 0.0
    for found in breaks:
        if found.start_seconds - reached >= SHORTEST_CHAPTER_SECONDS:
            yield reached, found.start_seconds, "content"
        yield found.start_seconds, found.end_seconds, "ad"
        reached = found.end_seconds
    if duration - reached >= SHORTEST_CHAPTER_SECONDS:
        yield reached, duration, "content"


def _json(breaks: Sequence[Break], facts: RecordingFacts) -> str:
    segments = [
        {
            "start": round(found.start_seconds, 3),
            "end": round(found.end_seconds, 3),
            "label": "ad",
            "confidence": round(found.confidence, 4),
            "spots": [round(spot, 3) for spot in found.spots],
        }
        for found in breaks
    ]
    return json.dumps({facts.recording_id: segments}, indent=1) + "\n"


def _csv(breaks: Sequence[Break], facts: RecordingFacts) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("recording", "start", "end", "label", "confidence"))
    for found in breaks:
        times = (f"{found.start_seconds:.3f}", f"{found.end_seconds:.3f}")
        rows.writerow((facts.recording_id, *times, "ad", f"{found.confidence:.4f}"))
    return text.getvalue()


FORMATS: dict[str, BreakFormat] = {  # the first of an ending is what the ending stands for
    "edl": BreakFormat(".edl", lambda breaks, facts: _edl(breaks, CUT)),
    "kodi": BreakFormat(".edl", lambda breaks, facts: _edl(breaks, COMMERCIAL_BREAK)),
    "cmx": BreakFormat(".cmx", _cmx, counts_frames=True),
    "comskip": BreakFormat(".txt", _comskip, counts_frames=True),
    "chapters": BreakFormat(".ffmetadata", _chapters),
    "json": BreakFormat(".json", _json),
    "csv": BreakFormat(".csv", _csv),
}
