"""The second look: every frame around the boundaries that the first pass found, and no others.

    again = SecondPass("news.ts", zero_seconds=52.3)
    looks = again.look([612.0, 733.0])         # CloseLook of 609 to 615 s, or None where nothing could be read

An hour has a dozen boundaries: a minute of decoding in all, shared by the cores. A recording whose clock was reset has
no time that can be sought; its boundaries are judged by the frames that are stored.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from av.error import FFmpegError

from ml_training.data.frames import FRAME_SIZE, Image, block_colours, colour_change, is_black
from ml_training.data.media_file import MediaFile
from ml_training.data.timeline import PLANNED_CODECS
from ml_training.data.workers import WorkerPool, available_cores
from ml_training.detection.boundaries import REACH_SECONDS, CloseLook

MOST_FRAMES = 3000  # decoded for one look: a group of pictures of a minute is given up
MARGIN_SECONDS = 0.5
BACK_SECONDS = (0.0, 2.0, 10.0, 60.0)  # before a place, until a keyframe is found


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
        for number, frame in enumerate(_frames(media, round((low + self._zero) / base))):
            at = float(frame.pts * base) - self._zero
            if at > high or number > MOST_FRAMES:
                return
            if at >= low:
                yield at, media.picture(frame, FRAME_SIZE)


def _frames(media: MediaFile, first: int) -> Iterator[Any]:
    """Decode from the keyframe at or before the timestamp ``first``; before it only what other frames need."""
    context = media.video.codec_context
    sparing = context.name in PLANNED_CODECS
    try:
        for packet in _from_keyframe(media, first):
            early = sparing and packet.pts is not None and packet.pts < first
            context.skip_frame = "NONREF" if early else "DEFAULT"
            yield from (frame for frame in media.decode(packet) if frame.pts is not None)
    except FFmpegError:
        return


def _from_keyframe(media: MediaFile, first: int) -> Iterator[Any]:
    """Return packets from the last keyframe at or before a timestamp on; from far back where there is none.

    Transport streams are sought by time alone and land between keyframes: then further back.
    """
    for back in BACK_SECONDS:
        media.seek(first - round(back / media.video.time_base))
        packets = media.container.demux(media.video)
        if group := _last_group(packets, first):
            return itertools.chain(group, packets)
    media.seek(first - round(BACK_SECONDS[-1] / media.video.time_base))
    return iter(media.container.demux(media.video))


def _last_group(packets: Iterator[Any], first: int) -> list[Any]:
    """Read on to a timestamp; return the packets from the last keyframe before it, none where there is no keyframe."""
    group: list[Any] = []
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None and packet.pts <= first:
            group = [packet]
        elif group:
            group.append(packet)
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is None or stamp > first or len(group) > MOST_FRAMES:
            break
    return group
