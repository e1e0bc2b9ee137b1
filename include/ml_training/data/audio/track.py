"""Sound of a recording as it is decoded: 16 kHz mono in its place in media time, and its loudness.

    track = SoundTrack(buffer, seconds_of=lambda pts: float(pts * time_base) - zero_seconds)
    for packet in packets:
        track.feed(packet)
    track.finish()

Sound is placed by its own timestamps. While they go on as the samples do (within 20 ms: containers round, clocks
drift), it is one run; a larger step begins a new run, so that holes stay holes and nothing slides. Each run passes
libavfilter's ``ebur128`` (BS.1770 on all channels of the original) and then the resampler.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from ml_training.data.audio.loudness import BLOCK_SECONDS, LoudnessMarks
from ml_training.data.audio.sound import SAMPLE_RATE, Sound

RESYNC_SECONDS = 0.02
PUSHES_BEFORE_PULL = 16  # to fetch costs as much as a frame: do it for some at once
LOUDNESS = "metadata=1:peak=none:framelog=quiet"
STORED = f"sample_rates={SAMPLE_RATE}:channel_layouts=mono:sample_fmts=s16"


class SoundBuffer:
    """Samples [first, end) of media time, zero where nothing was placed; ``runs`` are the stretches that were."""

    def __init__(self, first: int, end: int) -> None:
        self.first = first
        self.samples: Sound = np.zeros(end - first, np.int16)
        self.runs: list[list[int]] = []

    def place(self, at: int, samples: Sound) -> None:
        """Put samples at their place; what lies outside is dropped."""
        begin, end = max(at, self.first), min(at + len(samples), self.first + len(self.samples))
        if begin >= end:
            return
        self.samples[begin - self.first : end - self.first] = samples[begin - at : end - at]
        if self.runs and self.runs[-1][0] <= begin <= self.runs[-1][1] + 1:
            self.runs[-1][1] = max(self.runs[-1][1], end)
        else:
            self.runs.append([begin, end])


class SoundTrack:
    """Decodes the packets of one track. ``errors`` counts those that could not be decoded."""

    def __init__(
        self, place: Callable[[int, Sound], None], marks: LoudnessMarks, seconds_of: Callable[[int], float]
    ) -> None:
        self._place, self._marks, self._seconds_of = place, marks, seconds_of
        self._run: _Run | None = None
        self.errors = 0

    def feed(self, packet: Any) -> None:
        """Decode one packet and place what it holds."""
        try:
            frames = packet.decode()
        except FFmpegError:
            self.errors += 1
            return
        for frame in frames:
            self._add(frame)

    def finish(self) -> None:
        """Place what is still on its way."""
        if self._run is not None:
            self._run.finish()
            self._run = None

    def _add(self, frame: Any) -> None:
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        if not frame.samples or not frame.sample_rate:
            return
        run = self._run
        if frame.pts is None and run is None:
            return
        seconds = self._seconds_of(frame.pts) if frame.pts is not None else run.end_seconds  # type: ignore[union-attr]
        if run is None or run.kind != kind or abs(seconds - run.end_seconds) > RESYNC_SECONDS:
            self.finish()
            run = self._run = _Run(kind, seconds, self._place, self._marks)
        run.push(frame)


class _Run:
    """Sound without a break, on its way through the filters."""

    def __init__(
        self, kind: tuple[int, str, str], seconds: float, place: Callable[[int, Sound], None], marks: LoudnessMarks
    ) -> None:
        self.kind, self._start, self._place, self._marks = kind, seconds, place, marks
        self._pushed = self._pushes = self._blocks = 0
        self._at = round(seconds * SAMPLE_RATE)
        self._graph = av.filter.Graph()
        rate, layout, sample_format = kind
        self._time_base = Fraction(1, rate)
        self._source = self._graph.add_abuffer(
            sample_rate=rate, layout=layout, format=sample_format, time_base=self._time_base
        )
        loudness, stored = self._graph.add("ebur128", LOUDNESS), self._graph.add("aformat", STORED)
        self._sink = self._graph.add("abuffersink")
        self._source.link_to(loudness)
        loudness.link_to(stored)
        stored.link_to(self._sink)
        self._graph.configure()

    @property
    def end_seconds(self) -> float:
        """Where the newest frame ends."""
        return self._start + self._pushed / self.kind[0]

    def push(self, frame: Any) -> None:
        frame.pts, frame.time_base = self._pushed, self._time_base
        self._pushed += frame.samples
        self._pushes += 1
        self._source.push(frame)
        if self._pushes % PUSHES_BEFORE_PULL == 0:
            self._pull()

    def finish(self) -> None:
        self._source.push(None)
        self._pull()

    def _pull(self) -> None:
        while True:
            try:
                frame: Any = self._sink.pull()
            except (BlockingIOError, EOFError):
                return
            self._blocks += 1
            if loudness := frame.metadata.get("lavfi.r128.M"):
                self._marks.add(self._start + self._blocks * BLOCK_SECONDS, self._blocks, float(loudness))
            self._place(self._at, frame.to_ndarray().ravel())
            self._at += frame.samples
