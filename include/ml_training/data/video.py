"""Decodes a recording and picks the frames that stand for it, by their own timestamps.

    with VideoReader(path) as video:
        for frame in video.sample(frames_per_second=1.0):
            frame.pts_seconds, frame.image          # RGB uint8 [224, 224, 3]
        video.facts().duration_seconds

The frame for a target time k / frames_per_second is the first one at or after it. Damaged packets and frames are
counted and passed over; what can be read is kept.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import av
import av.logging
from av.error import FFmpegError

from ml_training.data.frames import Image, stretch_resize
from ml_training.data.media_time import Gap, MediaClock
from ml_training.utils.errors import RecordingUnreadable

TIME_TOLERANCE = 1e-6  # seconds; far below one tick of 1/90000 s: a float's rounding, not a frame's
DEFAULT_FRAME_SECONDS = 0.04  # 25 frames a second, where a stream does not say


class SampledFrame(NamedTuple):
    """A chosen frame: its media time, and RGB uint8 [224, 224, 3]."""

    pts_seconds: float
    image: Image


class VideoFacts(NamedTuple):
    """What decoding showed; complete once all frames were sampled."""

    duration_seconds: float
    first_pts_seconds: float
    gaps: list[Gap]
    timestamp_resets: int
    decode_errors: int
    width: int
    height: int
    average_frame_rate: float
    video_codec: str
    audio_sample_rate: int | None


class VideoReader:
    """An open recording. Raises RecordingUnreadable, with the tool's own words, when there is no video to read."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self._path = path
        self._container = self._open()
        try:
            self._stream = self._video_stream()
        except RecordingUnreadable:
            self._container.close()
            raise
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = threads
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._clock = MediaClock(self._stream.time_base, float(1 / rate) if rate else DEFAULT_FRAME_SECONDS)
        self._rate = float(rate) if rate else 0.0
        self._decode_errors = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def sample(self, frames_per_second: float) -> Iterator[SampledFrame]:
        """Yield, in order, the first intact frame at or after each k / frames_per_second; each frame at most once.

        Raises RecordingUnreadable when not one frame decodes.
        """
        target = 0
        for frame in self._decoded():
            seconds = self._clock.advance(frame.pts, frame.duration)
            if seconds is None or frame.is_corrupt:
                self._decode_errors += 1
            elif seconds + TIME_TOLERANCE >= target / frames_per_second:
                yield SampledFrame(seconds, stretch_resize(frame.to_ndarray(format="rgb24")))
                target = int((seconds + TIME_TOLERANCE) * frames_per_second) + 1
        if self._clock.first_ticks is None:
            raise self._unreadable("not one video frame could be decoded")

    def facts(self) -> VideoFacts:
        """Return what was seen so far."""
        clock, context = self._clock, self._stream.codec_context
        audio = self._container.streams.audio
        return VideoFacts(
            duration_seconds=round(clock.end_seconds, 6),
            first_pts_seconds=float((clock.first_ticks or 0) * clock.time_base),
            gaps=clock.gaps,
            timestamp_resets=clock.resets,
            decode_errors=self._decode_errors,
            width=context.width,
            height=context.height,
            average_frame_rate=round(self._rate, 6),
            video_codec=context.name,
            audio_sample_rate=audio[0].codec_context.sample_rate if audio else None,
        )

    def _decoded(self) -> Iterator[Any]:
        for packet in self._packets():
            try:
                frames = packet.decode()
            except FFmpegError:
                self._decode_errors += 1
                continue
            for frame in frames:
                if frame.pts is None:
                    self._decode_errors += 1
                else:
                    yield frame

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except FFmpegError:
            self._decode_errors += 1

    def _open(self) -> Any:
        try:
            return av.open(str(self._path), metadata_errors="replace")
        except (FFmpegError, ValueError) as error:
            raise self._unreadable("it is not a media file that can be opened", str(error)) from error

    def _video_stream(self) -> Any:
        streams = [s for s in self._container.streams.video if not _is_still(s)]
        if not streams:
            kinds = ", ".join(sorted({s.type for s in self._container.streams})) or "none at all"
            raise self._unreadable(f"it has no video stream (its streams: {kinds})")
        return max(streams, key=lambda s: (s.codec_context.width or 0) * (s.codec_context.height or 0))

    def _unreadable(self, what: str, output: str = "") -> RecordingUnreadable:
        said = " ".join([output, *tool_messages(self._path)]).strip()
        return RecordingUnreadable(f"{self._path.name} cannot be read: {what}", reason=what, tool_output=said)


def _is_still(stream: Any) -> bool:
    """A cover picture is a video stream in name only."""
    return bool(getattr(stream.disposition, "name", None) and "attached_pic" in str(stream.disposition))


def tool_messages(path: Path, *, packets: int = 50) -> list[str]:
    """Return what libav says while it opens a file and decodes its first packets, as ``component: message``."""
    previous = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture(local=False) as records:
            _try_to_read(path, packets)
    finally:
        av.logging.set_level(previous)
    return [f"{name}: {message.strip()}" for _, name, message in records][:20]


def _try_to_read(path: Path, packets: int) -> None:
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            for _, packet in zip(range(packets), container.demux(), strict=False):
                packet.decode()
    except (FFmpegError, ValueError):
        return
