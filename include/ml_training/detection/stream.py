"""Watches a live transport stream and says each break when it is over, with a stated delay and flat memory.

    python -m ml_training.detection.detect udp://239.0.0.1:1234 --stream --model detectors/general
    cat news.ts | python -m ml_training.detection.detect - --stream --model detectors/general --output breaks.jsonl

A break is told ``DELAY_SECONDS`` after its end at the latest, as one line of JSON: so much of what follows the sequence
model looks at, and the decoder has to see that programme goes on. Every ten seconds the last fifteen minutes are judged
anew; what is told is not taken back. A stream that ends is judged to its end.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from ml_training.cloud import storage
from ml_training.data.audio.loudness import LoudnessMarks
from ml_training.data.audio.track import SoundTrack
from ml_training.data.media_file import MediaFile
from ml_training.data.video import WholeDecoder
from ml_training.detection.features import RecordingFeatures
from ml_training.detection.gather import with_repetition
from ml_training.detection.judging import Judge
from ml_training.detection.records import Break
from ml_training.detection.window import AFTER, AT_ONCE, Window
from ml_training.utils.errors import UsageError

logger = logging.getLogger(__name__)

JUDGE_EVERY_SECONDS = 10.0
SETTLED_SECONDS = 70.0  # after a break's end until it is told: what the sequence model sees, and a little more
DELAY_SECONDS = SETTLED_SECONDS + JUDGE_EVERY_SECONDS + AFTER + AT_ONCE
LEAST_SECONDS = 60.0  # of the stream before anything is judged
LEAST_MORE_SECONDS = 8.0  # by which a break that was told has to go on to be told again
STANDARD_INPUT = "-"

Tell = Callable[[Break], None]


class _NoMarks(LoudnessMarks):
    """Keeps no loudness: nothing in a stream asks for it, and it would grow without end."""

    def add(self, end_seconds: float, blocks: int, loudness: float) -> None:
        """Forget it."""


class LiveDetector:
    """Judges a window of a stream again and again, and tells each break once."""

    def __init__(self, judge: Judge, window: Window, tell: Tell) -> None:
        self._judge, self._window, self._tell = judge, window, tell
        self._told_until = self._judged_at = 0.0
        self.breaks = 0

    def advance(self) -> None:
        """Judge when enough time has passed since the last time."""
        now = self._window.end_seconds
        if now >= LEAST_SECONDS and now - self._judged_at >= JUDGE_EVERY_SECONDS:
            self._judged_at = now
            self._tell_until(now - SETTLED_SECONDS)

    def finish(self) -> None:
        """Judge what is there to the end of the stream."""
        self._window.finish()
        if self._window.end_seconds > 0:
            self._tell_until(self._window.end_seconds + 1)

    def _tell_until(self, settled: float) -> None:
        features, start = self._features()
        for found in self._judge.detector.detect(features):
            begins, ends = found.start_seconds + start, found.end_seconds + start
            if ends > settled or ends <= self._told_until:
                continue
            if begins < self._told_until and ends - self._told_until < LEAST_MORE_SECONDS:
                continue  # the same break, judged a little longer now
            begins = max(begins, self._told_until)
            spots = tuple(spot + start for spot in found.spots if spot + start >= begins)
            whole = {"start_seconds": round(begins, 3), "end_seconds": round(ends, 3), "spots": spots}
            self._tell(found.model_copy(update=whole))
            self._told_until = ends
            self.breaks += 1

    def _features(self) -> tuple[RecordingFeatures, float]:
        features, prints, start = self._window.features()
        calibrated = self._judge.calibrated(features)
        repeats = self._judge.archive.repeats_live(prints)
        known = self._judge.archive.known(features.recording_id, repeats, features.seconds)
        return with_repetition(calibrated, repeats, has_archive=not self._judge.archive.is_empty, known=known), start


def watch_stream(location: str, judge: Judge, *, output: str | None = None) -> dict[str, Any]:
    """Watch a stream until it ends; each break is a line of JSON on standard output, or of the file ``output``.

    Returns how many seconds were watched and how many breaks told. Raises RecordingUnreadable when there is no video.
    """
    if output is not None and storage.is_s3(output):
        raise UsageError("--stream writes lines as they come: --output must be a file")
    started = time.monotonic()
    with MediaFile("pipe:0" if location == STANDARD_INPUT else location) as media:
        window = Window(score=judge.score, has_sound=media.audio is not None)
        sink = open(output, "a", encoding="utf-8") if output is not None else None  # noqa: SIM115 (closed below)
        try:
            live = LiveDetector(judge, window, lambda found: _say(found, sink))
            _run(media, window, live)
        finally:
            if sink is not None:
                sink.close()
    watched = window.end_seconds
    return {
        "stream": location,
        "watched_seconds": round(watched, 1),
        "breaks": live.breaks,
        "delay_seconds": DELAY_SECONDS,
        "times_real_time": round(watched / max(time.monotonic() - started, 1e-9), 1),
    }


def _run(media: MediaFile, window: Window, live: LiveDetector) -> None:
    decoder = WholeDecoder(media, frames_per_second=1.0)
    marks = _NoMarks()
    track = SoundTrack(window.hear, marks, decoder.sound_seconds) if media.audio is not None else None
    for frame in decoder.frames(track):
        window.see(frame)
        live.advance()
    live.finish()


def _say(found: Break, sink: Any) -> None:
    line = json.dumps(found.model_dump(mode="json"))
    print(line, file=sink or sys.stdout, flush=True)
