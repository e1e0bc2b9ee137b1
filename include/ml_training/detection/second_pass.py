"""The second look: every frame around the boundaries that the first pass found, and no others.

    with SecondPass("news.ts", zero_seconds=52.3) as again:
        look = again.look(612.0)               # CloseLook of 610 to 614 s, or None where nothing could be read

An hour has a dozen boundaries: a minute of decoding in all. A recording whose clock was reset has no time that can be
sought; its boundaries are judged by the frames that are stored.
"""

from types import TracebackType
from typing import Any, Self

import numpy as np
from av.error import FFmpegError

from ml_training.data.frames import BLACK_BRIGHTEST, BLACK_LUMA, FRAME_SIZE, block_colours, colour_change
from ml_training.data.media_file import MediaFile
from ml_training.detection.boundaries import REACH_SECONDS, CloseLook

MOST_FRAMES = 3000  # decoded for one look: a group of pictures of a minute is given up
MARGIN_SECONDS = 0.5


class SecondPass:
    """An opened recording in which places are looked at closely; ``zero_seconds`` is media time zero in its clock."""

    def __init__(self, location: str, *, zero_seconds: float) -> None:
        self._media = MediaFile(location)
        self._zero = zero_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._media.close()

    def look(self, seconds: float) -> CloseLook | None:
        """Look at every frame within 3 s of a boundary; None where there are none to be had."""
        low, high = max(0.0, seconds - REACH_SECONDS - MARGIN_SECONDS), seconds + REACH_SECONDS + MARGIN_SECONDS
        base = self._media.video.time_base
        self._media.seek(round((low + self._zero) / base))
        times: list[float] = []
        changes: list[float] = []
        black: list[float] = []
        before = None
        for number, frame in enumerate(self._frames()):
            at = float(frame.pts * base) - self._zero
            if at > high or number > MOST_FRAMES:
                break
            if at < low:
                continue
            image = frame.to_ndarray(format="rgb24", width=FRAME_SIZE, height=FRAME_SIZE)
            colours = block_colours(image)
            times.append(at)
            changes.append(0.0 if before is None else colour_change(colours, before))
            black.append(float(_is_black(image)))
            before = colours
        if len(times) < 2 or np.any(np.diff(times) <= 0):
            return None
        return CloseLook(np.array(times), np.array(changes, np.float32), np.array(black, np.float32))

    def _frames(self) -> Any:
        try:
            for packet in self._media.container.demux(self._media.video):
                yield from (frame for frame in self._media.decode(packet) if frame.pts is not None)
        except FFmpegError:
            return


def _is_black(image: np.ndarray) -> bool:
    gray = image.mean(axis=2)
    return bool(gray.mean() < BLACK_LUMA and np.percentile(gray, 99) < BLACK_BRIGHTEST)
