"""The last minutes of a live stream, in numbers: what a detector needs of them, and no more, however long it runs.

    window = Window(score=open_model(path).score)
    window.see(frame)                            # SampledFrame: one a second
    window.hear(first_sample, samples)           # int16 at 16 kHz, by media time
    features, prints, start = window.features()  # of the last minutes; ``start`` is their media time zero

Pictures are kept for some seconds, until the model of frames has scored them with what comes after; of each second two
kilobytes stay, and its sound, for fifteen minutes.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from ml_training.data.audio.sound import SAMPLE_RATE, Sound
from ml_training.data.creatives.fingerprints import Fingerprints, assemble
from ml_training.data.creatives.picture_prints import PicturePrints, picture_prints
from ml_training.data.creatives.sound_prints import sound_prints
from ml_training.data.frames import Appearance, Image, Seen, measure
from ml_training.data.video import SampledFrame
from ml_training.detection.features import Floats, RecordingFeatures
from ml_training.detection.gather import FrameColumns, Score, build, log_odds
from ml_training.detection.overlay import Look, OverlayWatcher
from ml_training.detection.recurrence import hashes_of
from ml_training.inference.stretch import Stretch, stretch_of

WINDOW_SECONDS = 900
BEFORE, AFTER, AT_ONCE = 5, 5, 10  # frames: what models of several frames look at, and how many are scored at once


@dataclass(frozen=True)
class _Frame:
    """What stays of a frame."""

    seconds: float
    appearance: Appearance
    score: float | None
    overlay: Look
    thumb: PicturePrints


class Window:
    """The newest ``seconds`` of a stream."""

    def __init__(self, *, score: Score | None = None, seconds: int = WINDOW_SECONDS, has_sound: bool = True) -> None:
        self._score, self._seconds = score, seconds
        self._frames: deque[_Frame] = deque()
        self._waiting: deque[tuple[float, Image]] = deque()
        self._before: deque[tuple[float, Image]] = deque(maxlen=BEFORE)
        self._seen: Seen | None = None
        self._sound = np.zeros(seconds * SAMPLE_RATE if has_sound else 0, np.int16)
        self._heard = 0  # media time, in samples, of the end of the buffer

    @property
    def end_seconds(self) -> float:
        """The media time up to which frames are scored."""
        return self._frames[-1].seconds + 1 if self._frames else 0.0

    def see(self, frame: SampledFrame) -> None:
        """Take the next frame; some frames at a time are scored."""
        self._waiting.append((frame.pts_seconds, frame.image))
        if len(self._waiting) >= AT_ONCE + AFTER:
            self._settle(AT_ONCE)

    def finish(self) -> None:
        """Score what still waits: the stream has ended."""
        self._settle(len(self._waiting))

    def hear(self, first: int, samples: Sound) -> None:
        """Take sound that begins at sample ``first`` of media time; what is older than the window is let go."""
        end = first + len(samples)
        if not len(self._sound):
            return
        if end > self._heard:
            moved = min(end - self._heard, len(self._sound))
            self._sound = np.concatenate([self._sound[moved:], np.zeros(moved, np.int16)])
            self._heard = end
        place = first - (self._heard - len(self._sound))
        low = max(0, -place)
        self._sound[max(0, place) : place + len(samples)] = samples[low:]

    def features(self) -> tuple[RecordingFeatures, Fingerprints, float]:
        """Return features and fingerprints of what is kept, and the media time at which it begins."""
        start = float(int(self._frames[0].seconds))
        duration = self.end_seconds - start
        times = np.array([frame.seconds - start for frame in self._frames])
        columns = FrameColumns(
            seconds=times,
            black=np.array([frame.appearance.is_black for frame in self._frames]),
            hashes=hashes_of([frame.appearance.phash for frame in self._frames]),
            overlay=OverlayWatcher.of([frame.overlay for frame in self._frames]).columns(),
            log_odds=None if self._score is None else log_odds(self._values("score")),
            change=self._numbers("shot_change"),
            motion=self._numbers("motion"),
            luma=self._numbers("luma"),
            sharpness=self._numbers("sharpness"),
        )

        def read(low: float, high: float) -> Sound:
            return self._cut(start + low, start + high)

        has_sound = len(self._sound) > 0
        features = build("stream", duration, columns, read if has_sound else None)
        heard = read(0.0, duration) if has_sound else np.zeros(0, np.int16)
        thumbs = [frame.thumb for frame in self._frames]
        pictures = PicturePrints(*(np.concatenate(parts) for parts in zip(*thumbs, strict=True)))
        facts = {"recording_id": "stream", "extraction_id": "live", "duration_seconds": duration}
        return features, assemble(facts, sound_prints(heard), times, pictures), start

    def _cut(self, low: float, high: float) -> Sound:
        first, count = round(low * SAMPLE_RATE), round((high - low) * SAMPLE_RATE)
        place = first - (self._heard - len(self._sound))
        taken = np.zeros(count, np.int16)
        left, right = max(0, place), min(len(self._sound), place + count)
        if right > left:
            taken[left - place : right - place] = self._sound[left:right]
        return taken

    def _settle(self, count: int) -> None:
        """Score the oldest frames that wait, with those before and after them, and keep only numbers of them."""
        if not count:
            return
        shown = [*self._before, *list(self._waiting)[: count + AFTER]]
        scores: list[float | None] = [None] * count
        if self._score is not None:
            stretch = self._stretch(shown)
            scores = [float(s) for s in self._score(stretch)[len(self._before) : len(self._before) + count]]
        for score in scores:
            seconds, image = self._waiting.popleft()
            appearance, self._seen = measure(image, self._seen)
            self._frames.append(
                _Frame(seconds, appearance, score, OverlayWatcher.look(image), picture_prints(image[None]))
            )
            self._before.append((seconds, image))
        while self._frames[-1].seconds - self._frames[0].seconds > self._seconds:
            self._frames.popleft()

    def _stretch(self, shown: list[tuple[float, Image]]) -> Stretch:
        stretch = stretch_of(np.stack([image for _, image in shown]), [seconds for seconds, _ in shown])
        return stretch if not len(self._sound) else Stretch(stretch.pts_seconds, stretch.images, self._cut)

    def _numbers(self, name: str) -> Floats:
        return np.array([getattr(frame.appearance, name) for frame in self._frames], np.float32)

    def _values(self, name: str) -> Floats:
        return np.array([getattr(frame, name) for frame in self._frames], np.float32)
