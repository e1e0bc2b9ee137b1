"""The second look: every frame around the boundaries that the first pass found, and no others.

    again = SecondPass("news.ts", zero_seconds=52.3)
    looks = again.look([612.0, 733.0])         # CloseLook of 609 to 615 s, or None where nothing could be read

An hour has a dozen boundaries: a minute of decoding in all, shared by the cores. A recording whose clock was reset has
no time that can be sought; its boundaries are judged by the frames that are stored.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from av.error import FFmpegError

from ml_training.data.frames import FRAME_SIZE, Image, block_colours, colour_change, is_black
from ml_training.data.media_file import MediaFile
from ml_training.data.workers import WorkerPool, available_cores
from ml_training.detection.boundaries import REACH_SECONDS, CloseLook

MOST_FRAMES = 3000  # decoded for one look: a group of pictures of a minute is given up
MARGIN_SECONDS = 0.5


class SecondPass:
    """A recording in which places are looked at closely; ``zero_seconds`` is media time zero in its clock."""

    def __init__(self, location: str, *, zero_seconds: float) -> None:
        self._location = location
        self._zero = zero_seconds

    def look(self, boundaries: Sequence[float]) -> list[CloseLook | None]:
        """Look at every frame within 3 s of each boundary; None where there are none to be had."""
        cores = available_cores()
        shares = [boundaries[start::cores] for start in range(min(cores, len(boundaries)))]
        looks: list[CloseLook | None] = [None] * len(boundaries)
        with WorkerPool(cores, threads=True) as pool:
            for start, share in enumerate(pool.map(self._looks, shares)):
                looks[start::cores] = share
        return looks

    def _looks(self, boundaries: Sequence[float]) -> list[CloseLook | None]:
        with MediaFile(self._location) as media:
            return [self._look(media, seconds) for seconds in boundaries]

    def _look(self, media: MediaFile, seconds: float) -> CloseLook | None:
        low, high = max(0.0, seconds - REACH_SECONDS - MARGIN_SECONDS), seconds + REACH_SECONDS + MARGIN_SECONDS
        times: list[float] = []
        changes: list[float] = []
        black: list[float] = []
        before = None
        for at, image in self._pictures(media, low, high):
            colours = block_colours(image)
            times.append(at)
            changes.append(0.0 if before is None else colour_change(colours, before))
            black.append(float(is_black(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8))))
            before = colours
        if len(times) < 2 or np.any(np.diff(times) <= 0):
            return None
        return CloseLook(np.array(times), np.array(changes, np.float32), np.array(black, np.float32))

    def _pictures(self, media: MediaFile, low: float, high: float) -> Iterator[tuple[float, Image]]:
        base = media.video.time_base
        media.seek(round((low + self._zero) / base))
        for number, frame in enumerate(_frames(media)):
            at = float(frame.pts * base) - self._zero
            if at > high or number > MOST_FRAMES:
                return
            if at >= low:
                yield at, media.picture(frame, FRAME_SIZE)


def _frames(media: MediaFile) -> Iterator[Any]:
    try:
        for packet in media.container.demux(media.video):
            yield from (frame for frame in media.decode(packet) if frame.pts is not None)
    except FFmpegError:
        return
