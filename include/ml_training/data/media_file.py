"""An opened recording: its streams, its packets, and what libav says when there is nothing to read.

    with MediaFile("s3://adbreak/recordings/one/2026-01-05/news.ts") as media:
        for packet in media.packets():          # of the video stream and of the chosen sound track
            ...

A path is read from the disk, an address of a bucket by range reads. One thread decodes: with several, what libav shows
of damaged pictures differs from run to run.
"""

from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import av.logging
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from ml_training.cloud import storage
from ml_training.utils.errors import RecordingUnreadable

DEFAULT_FRAME_SECONDS = 0.04  # 25 frames a second, where a stream does not say
READ_BYTES = 1 << 20  # a request of libav to a file object


class MediaFile:
    """An open recording. Raises RecordingUnreadable, with the tool's own words, when there is no video to read.

    ``video`` is the largest picture, ``audio`` the track that the file marks as default, else its first; None without
    sound. ``errors`` counts packets that could not be read or decoded.
    """

    video: Any
    audio: Any
    errors: int

    def __init__(self, location: str) -> None:
        self.location = location
        self.name = location.rsplit("/", 1)[-1]
        self._converter = VideoReformatter()  # one for all frames: to make one takes as long as to use it
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; twice does no harm."""
        self.container.close()

    def rewind(self) -> None:
        """Begin anew, with fresh decoders: nothing is left of what was read before."""
        self.close()
        self._start()

    @property
    def frame_seconds(self) -> float:
        """How long a frame usually lasts."""
        rate = self.frame_rate
        return float(1 / rate) if rate else DEFAULT_FRAME_SECONDS

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second on average, 0 where the container does not say."""
        return self.video.average_rate or self.video.guessed_rate or Fraction(0)

    def packets(self) -> Iterator[Any]:
        """Yield the packets of the video stream and of the chosen sound track as they lie in the file, the empty
        ones at the end (which flush the decoders) included."""
        streams = [stream for stream in (self.video, self.audio) if stream is not None]
        try:
            yield from self.container.demux(streams)
        except FFmpegError:
            self.errors += 1

    def decode(self, packet: Any) -> list[Any]:
        """Decode a packet; one that cannot be decoded is counted and gives nothing."""
        try:
            return list(packet.decode())
        except FFmpegError:
            self.errors += 1
            return []

    def picture(self, frame: Any, side: int | None = None) -> npt.NDArray[np.uint8]:
        """Return a frame as RGB uint8 [H, W, 3]; with ``side`` as [side, side, 3], bilinear. In this thread alone."""
        converted = self._converter.reformat(frame, width=side, height=side, format="rgb24", threads=1)
        return np.asarray(converted.to_ndarray(), np.uint8)

    def flush(self) -> list[Any]:
        """Return the frames that the video decoder still holds."""
        try:
            return list(self.video.decode(None))
        except FFmpegError:
            self.errors += 1
            return []

    def is_video(self, packet: Any) -> bool:
        """Tell whether a packet belongs to the video stream."""
        return bool(packet.stream_index == self.video.index)

    def seek(self, ticks: int) -> None:
        """Go to a place at or before a timestamp of the video stream, as far as the container allows it."""
        try:
            self.container.seek(ticks, stream=self.video, backward=True)
        except FFmpegError:
            self.rewind()

    def unreadable(self, what: str, output: str = "") -> RecordingUnreadable:
        """Return the error that says what is wrong with this file, with the tool's own words."""
        said = " ".join([output, *tool_messages(self.location)]).strip()
        return RecordingUnreadable(f"{self.name} cannot be read: {what}", reason=what, tool_output=said)

    def _start(self) -> None:
        self.errors = 0
        try:
            self.container: Any = open_container(self.location)
        except (FFmpegError, ValueError) as error:
            raise self.unreadable("it is not a media file that can be opened", str(error)) from error
        try:
            self.video = self._video_stream()
        except RecordingUnreadable:
            self.close()
            raise
        self.video.codec_context.thread_count = 1
        self.audio = self._audio_stream()

    def _video_stream(self) -> Any:
        streams = [s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            kinds = ", ".join(sorted({s.type for s in self.container.streams})) or "none at all"
            raise self.unreadable(f"it has no video stream (its streams: {kinds})")
        return max(streams, key=lambda s: (s.codec_context.width or 0) * (s.codec_context.height or 0))

    def _audio_stream(self) -> Any:
        streams = [s for s in self.container.streams.audio if s.codec_context is not None]
        return next((s for s in streams if s.disposition & Disposition.default), next(iter(streams), None))


def open_container(location: str) -> Any:
    """Open a path, or an object of a bucket by range reads. Raises FFmpegError, ValueError or a StorageError."""
    if storage.is_s3(location):
        return av.open(storage.open_range(location), metadata_errors="replace", buffer_size=READ_BYTES)
    return av.open(location, metadata_errors="replace")


def tool_messages(location: str, *, packets: int = 50) -> list[str]:
    """Return what libav says while it opens a file and decodes its first packets, as ``component: message``."""
    previous = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture(local=False) as records:
            _try_to_read(location, packets)
    finally:
        av.logging.set_level(previous)
    return [f"{name}: {message.strip()}" for _, name, message in records][:20]


def _try_to_read(location: str, packets: int) -> None:
    try:
        with open_container(location) as container:
            for _, packet in zip(range(packets), container.demux(), strict=False):
                packet.decode()
    except (FFmpegError, ValueError):
        return
