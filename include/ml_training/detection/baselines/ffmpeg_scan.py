"""Runs the ffmpeg binary over a recording: where it is black, where it is silent, how long it is.

    scan = scan_recording(Path("news-0105.ts"), Sensitivity())
    scan.blacks, scan.silences                     # [(612.36, 612.68), ...] in media time

One pass over the whole file, by the filters blackdetect and silencedetect. ffmpeg counts time from the earliest stream;
the first picture's time, which showinfo tells, is the zero of media time.
"""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from ml_training.detection.baselines.outcome import find_tool
from ml_training.statistics.breaks import Span
from ml_training.utils.errors import RecordingUnreadable

BLACK = re.compile(r"black_start:\s*(-?[\d.]+)\s+black_end:\s*(-?[\d.]+)")
SILENCE = re.compile(r"silence_(start|end):\s*(-?[\d.]+)")
DURATION = re.compile(r"^\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.M)
FIRST_PICTURE = re.compile(r"showinfo.*\bn:\s*0\b.*\bpts_time:\s*(-?[\d.]+)")
MESSAGE_LINES = 5


class Sensitivity(NamedTuple):
    """What counts as black and as silent; the defaults are ffmpeg's own but for the two shortest lengths."""

    black_seconds: float = 0.1
    black_pixel: float = 0.10  # share of the range of luma
    black_share: float = 0.98  # of the pixels
    silence_seconds: float = 0.1
    silence_level_db: float = -50.0


class Scan(NamedTuple):
    """Black and silent stretches in order, and the length of the recording; seconds of media time."""

    blacks: list[Span]
    silences: list[Span]
    duration_seconds: float


def scan_recording(path: Path, sensitivity: Sensitivity) -> Scan:
    """Decode a whole recording with ffmpeg, on all cores.

    Raises UsageError where ffmpeg is not on the PATH, RecordingUnreadable with its own words where it fails.
    """
    done = subprocess.run(scan_command(path, sensitivity), capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode or not FIRST_PICTURE.search(said):
        last = " ".join(said.strip().splitlines()[-MESSAGE_LINES:])
        raise RecordingUnreadable(f"ffmpeg cannot read {path.name}: {last}", uri=str(path), tool_output=said)
    return parse_scan(said)


def scan_command(path: Path, sensitivity: Sensitivity) -> list[str]:
    """Return the command line; where there is no sound, its filter is left out by ffmpeg itself (``0:a:0?``)."""
    s = sensitivity
    video = (
        f"blackdetect=d={s.black_seconds:g}:pix_th={s.black_pixel:g}:pic_th={s.black_share:g},"
        "select='eq(n,0)',showinfo"  # only the first picture goes further, and its time is told
    )
    sound = f"silencedetect=n={s.silence_level_db:g}dB:d={s.silence_seconds:g}"
    program = [find_tool("ffmpeg"), "-hide_banner", "-nostdin", "-nostats", "-i", str(path)]
    streams = ["-map", "0:v:0", "-map", "0:a:0?", "-vf", video, "-af", sound]
    return [*program, *streams, "-f", "null", "-"]


def parse_scan(said: str) -> Scan:
    """Read what ffmpeg wrote. A silence that lasts to the end of the recording ends there."""
    first = FIRST_PICTURE.search(said)
    zero = float(first.group(1)) if first else 0.0
    length = DURATION.search(said)
    hours, minutes, seconds = (float(part) for part in length.groups()) if length else (0.0, 0.0, 0.0)
    duration = hours * 3600 + minutes * 60 + seconds
    silences: list[Span] = []
    began: float | None = None
    for edge, time in SILENCE.findall(said):
        if edge == "start":
            began = float(time)
        elif began is not None:
            silences.append((began, float(time)))
            began = None
    if began is not None:
        silences.append((began, max(began, duration)))
    blacks = [(float(start), float(end)) for start, end in BLACK.findall(said)]
    return Scan(_from_zero(blacks, zero), _from_zero(silences, zero), duration - zero)


def _from_zero(spans: list[Span], zero: float) -> list[Span]:
    return [(max(0.0, start - zero), max(0.0, end - zero)) for start, end in sorted(spans)]
