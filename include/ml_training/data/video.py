"""Decodes a recording and picks the frames that stand for it, by their own timestamps.

    with VideoReader(path) as video:
        for frame in video.sample(frames_per_second=1.0):
            frame.pts_seconds, frame.image          # RGB uint8 [224, 224, 3]
        video.facts().duration_seconds

The frame for a target time k / frames_per_second is the first one at or after it. Damaged packets and frames are
counted and passed over; what can be read is kept.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import av
import av.logging
from av.error import FFmpegError

from ml_training.data.frames import Image, stretch_resize
from ml_training.data.media_time import Gap, MediaClock
from ml_training.data.packet_plan import PLANNED_CODECS, Action, Packet, Plan, is_due, next_target, plan_packets
from ml_training.utils.errors import RecordingUnreadable

DEFAULT_FRAME_SECONDS = 0.04  # 25 frames a second, where a stream does not say
INTRA = 1  # AV_PICTURE_TYPE_I

logger = logging.getLogger(__name__)


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


class _PlanBroken(Exception):
    """The decoder did not give what the plan counts on."""


class VideoReader:
    """An open recording. Raises RecordingUnreadable, with the tool's own words, when there is no video to read.

    ``sparing`` leaves out what is not needed where the recording allows it; the frames are the same. One thread
    decodes: with several, what libav shows of damaged pictures differs from run to run.
    """

    _container: Any
    _stream: Any
    _clock: MediaClock
    _rate: float
    _decode_errors: int

    def __init__(self, path: Path, *, sparing: bool = True) -> None:
        self._path = path
        self._sparing = sparing
        self._container = self._open()
        self._start()

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
        last_seconds = -1.0
        plan = self._plan(frames_per_second) if self._sparing else None
        if plan is not None:
            try:
                for frame in self._planned(plan):
                    yield frame
                    last_seconds = frame.pts_seconds
                return
            except _PlanBroken as broken:
                logger.info("%s is decoded whole: %s", self._path.name, broken)
        self._rewind()
        for frame in self._whole(frames_per_second):
            if frame.pts_seconds > last_seconds:
                yield frame

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

    def _whole(self, frames_per_second: float) -> Iterator[SampledFrame]:
        target = 0
        for frame in self._decoded():
            seconds = self._clock.advance(frame.pts, frame.duration)
            if seconds is None or frame.is_corrupt:
                self._decode_errors += 1
            elif is_due(seconds, target, frames_per_second):
                yield _sampled(frame, seconds)
                target = next_target(seconds, frames_per_second)
        if self._clock.first_ticks is None:
            raise self._unreadable("not one video frame could be decoded")

    def _plan(self, frames_per_second: float) -> Plan | None:
        if self._stream.codec_context.name not in PLANNED_CODECS:
            return None
        first = next(self._decoded(), None)
        if first is None or self._decode_errors:
            return None
        zero = first.pts
        self._rewind()
        packets = [
            Packet(packet.pts, packet.dts, packet.duration, packet.is_keyframe, packet.is_corrupt)
            for packet in self._packets()
            if packet.size
        ]
        if self._decode_errors:
            return None
        return plan_packets(packets, zero_ticks=zero, clock=self._clock, frames_per_second=frames_per_second)

    def _planned(self, plan: Plan) -> Iterator[SampledFrame]:
        clock = self._clock
        self._rewind()
        self._clock = clock
        waiting = iter(plan.wanted.items())
        pts, seconds = next(waiting, (None, 0.0))
        begin, begin_ends = set(plan.start), max(plan.start, default=0)
        for frame in self._decoded(plan.actions):
            begin.discard(frame.pts)
            if frame.is_corrupt or self._decode_errors or (begin and frame.pts > begin_ends):
                raise _PlanBroken("it has damaged frames")
            if frame.pts in plan.keyframes and frame.pict_type != INTRA:
                raise _PlanBroken("its keyframes are not whole pictures")
            if frame.pts == pts:
                yield _sampled(frame, seconds)
                pts, seconds = next(waiting, (None, 0.0))
        if pts is not None or begin or self._decode_errors:
            raise _PlanBroken("a frame did not come at its timestamp")

    def _decoded(self, actions: list[Action] | None = None) -> Iterator[Any]:
        at = 0
        for packet in self._packets():
            if actions is not None and packet.size:
                action, at = actions[at], at + 1
                if action is Action.SKIP:
                    continue
                self._stream.codec_context.skip_frame = "NONREF" if action is Action.REFERENCE else "DEFAULT"
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

    def _rewind(self) -> None:
        self._container.close()
        self._container = self._open()
        self._start()

    def _start(self) -> None:
        """Begin with a newly opened container, and count from nothing."""
        try:
            self._stream = self._video_stream()
        except RecordingUnreadable:
            self._container.close()
            raise
        self._stream.codec_context.thread_count = 1
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._clock = MediaClock(self._stream.time_base, float(1 / rate) if rate else DEFAULT_FRAME_SECONDS)
        self._rate = float(rate) if rate else 0.0
        self._decode_errors = 0

    def _open(self) -> Any:
        try:
            return av.open(str(self._path), metadata_errors="replace")
        except (FFmpegError, ValueError) as error:
            raise self._unreadable("it is not a media file that can be opened", str(error)) from error

    def _video_stream(self) -> Any:
        streams = [s for s in self._container.streams.video if not s.disposition & s.disposition.attached_pic]
        if not streams:
            kinds = ", ".join(sorted({s.type for s in self._container.streams})) or "none at all"
            raise self._unreadable(f"it has no video stream (its streams: {kinds})")
        return max(streams, key=lambda s: (s.codec_context.width or 0) * (s.codec_context.height or 0))

    def _unreadable(self, what: str, output: str = "") -> RecordingUnreadable:
        said = " ".join([output, *tool_messages(self._path)]).strip()
        return RecordingUnreadable(f"{self._path.name} cannot be read: {what}", reason=what, tool_output=said)


def _sampled(frame: Any, seconds: float) -> SampledFrame:
    return SampledFrame(seconds, stretch_resize(frame.to_ndarray(format="rgb24")))


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
