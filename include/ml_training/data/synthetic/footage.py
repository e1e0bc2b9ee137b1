"""Real moving pictures behind people and words: a stretch of a clip as a canvas.

    footage = draw_footage(rng, sources, use="content")
    picture = footage.at(seconds=1.2)          # uint8 RGB [360, 640, 3]

Clips come from packages of the ML environment and from a folder of one's own (`sources.py`). A stretch that is shorter
than the shot runs back and forth.
"""

import functools
from dataclasses import dataclass, replace

import av
import av.error
import cv2
import numpy as np

from ml_training.data.synthetic.pictures import SCREEN, Picture, saturated
from ml_training.data.synthetic.randomness import between, chance
from ml_training.data.synthetic.sources import Sources, path_of
from ml_training.utils.errors import DataError

HEIGHT, WIDTH = SCREEN
PICTURES_PER_SECOND = 6.25  # as often as a shot draws a new picture
TAKE_SECONDS = 7.0


@dataclass(frozen=True)
class Footage:
    """Pictures of a clip at 6.25 a second, mirrored or not, with the looks that are put over them."""

    pictures: tuple[Picture, ...]
    mirrored: bool = False
    saturation: float = 1.0
    grade: Picture | None = None

    def at(self, seconds: float) -> Picture:
        """Return the picture ``seconds`` after the start of the shot."""
        turn, count = int(seconds * PICTURES_PER_SECOND), len(self.pictures)
        back = turn % (2 * count)
        picture = self.pictures[back if back < count else 2 * count - 1 - back]
        picture = np.ascontiguousarray(picture[:, ::-1]) if self.mirrored else picture
        picture = saturated(picture, self.saturation) if self.saturation != 1.0 else picture
        return picture if self.grade is None else cv2.LUT(picture, self.grade)

    def saturated(self, factor: float) -> "Footage":
        """Return the footage with its colours stronger or weaker."""
        return replace(self, saturation=self.saturation * factor)

    def graded(self, grade: Picture) -> "Footage":
        """Return the footage with its colours changed by a table for cv2.LUT."""
        return replace(self, grade=grade)


def draw_footage(rng: np.random.Generator, sources: Sources, use: str) -> Footage:
    """Draw a stretch of one of the owner's clips that may be shown in the class ``use``."""
    name, start, mirrored = sources.draw(rng, "clip", use), round(between(rng, 0, 1), 1), chance(rng, 0.5)
    return Footage(take(name, start), mirrored, between(rng, 0.6, 1.2))


@functools.lru_cache(maxsize=5)
def take(name: str, start: float) -> tuple[Picture, ...]:
    """Return a stretch of a clip from the share ``start`` (0..1) of what can be its start, cut to 16:9.

    Raises:
        DataError: no picture can be decoded.
    """
    path, pictures = path_of(name), []
    try:
        with av.open(str(path)) as container:
            seconds = (container.duration or 0) / av.time_base
            begin = (container.start_time or 0) / av.time_base + start * max(0.0, seconds - TAKE_SECONDS)
            container.streams.video[0].thread_count = 1
            container.seek(int(begin * av.time_base))
            due = begin
            for frame in container.decode(video=0):
                if frame.time is not None and frame.time < due - 0.02:
                    continue
                pictures.append(_cut(frame))
                due += 1 / PICTURES_PER_SECOND
                if due > begin + TAKE_SECONDS:
                    break
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise DataError(f"no video can be read from {path}: {error}; take it out of --media", path=str(path)) from error
    if not pictures:
        raise DataError(f"no picture can be decoded from {path}; take it out of --media", path=str(path))
    return tuple(pictures)


def _cut(frame: av.VideoFrame) -> Picture:
    """Return the middle of a frame, as large as the screen."""
    scale = max(HEIGHT / frame.height, WIDTH / frame.width)
    height, width = max(HEIGHT, round(frame.height * scale)), max(WIDTH, round(frame.width * scale))
    picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    top, left = (height - HEIGHT) // 2, (width - WIDTH) // 2
    return np.ascontiguousarray(picture[top : top + HEIGHT, left : left + WIDTH])
