"""One model, and perhaps its shadow, on one input: frames in, observations out.

session = Session(seen, active, source.sound, files)
for frame in source.frames():
    session.see(frame)
session.end()
"""

import time
from typing import Any

from ml_training.edge.agent.breaks import BreakFiles, BreakFinder
from ml_training.edge.agent.device_model import Judged, Sound, Watch
from ml_training.edge.agent.loaded import Active
from ml_training.edge.agent.media import Frame
from ml_training.edge.agent.observations import Observations

SHADOW_BLOCK_SECONDS = 60.0  # a shadow looks at whole minutes: windows need frames in a row
KEPT_IMAGES = 32  # of frames that are not judged yet
KEPT_SCORES = 120  # of frames that the shadow has not judged yet


class Session:
    """From the first frame to the last of one input, or until another model takes over."""

    def __init__(self, seen: Observations, active: Active, sound: Sound | None, files: BreakFiles) -> None:
        self._seen, self._active, self._sound, self._files = seen, active, sound, files
        self._watch = active.model.watch(sound)
        self._finder = BreakFinder(active.model.facts.threshold)
        self._images: dict[float, Any] = {}
        self._scores: dict[float, float] = {}
        self._shadow: Watch | None = None
        self._block = -1

    def see(self, frame: Frame) -> None:
        """Judge the next frame, and those before it that waited for it."""
        _keep(self._images, frame.pts_seconds, frame.image, KEPT_IMAGES)
        started = time.perf_counter()
        judged = self._watch.see(frame.pts_seconds, frame.image)
        self._take(judged, (time.perf_counter() - started) * 1000)
        self._look_twice(frame)

    def end(self) -> None:
        """Judge what waits and end a break that goes on."""
        started = time.perf_counter()
        judged = self._watch.finish()
        self._take(judged, (time.perf_counter() - started) * 1000 / max(1, len(judged)))
        if self._shadow is not None:
            self._compare(self._shadow.finish())
        for found in self._finder.finish():
            self._seen.found(found, self._files)

    def _take(self, judged: list[Judged], latency_ms: float) -> None:
        for one in judged:
            image = self._images.pop(one.pts_seconds, None)
            self._seen.judged(self._active, one, latency_ms=latency_ms, image=image)
            _keep(self._scores, one.pts_seconds, one.score, KEPT_SCORES)
            for found in self._finder.see(one.pts_seconds, one.score):
                self._seen.found(found, self._files)

    def _look_twice(self, frame: Frame) -> None:
        shadow = self._active.shadow
        if shadow is None:
            return
        block = int(frame.pts_seconds // SHADOW_BLOCK_SECONDS)
        if block != self._block:
            self._block = block
            if self._shadow is not None:
                self._compare(self._shadow.finish())
            sampled = self._seen.samples_minute(block, self._active.shadow_share)
            self._shadow = shadow.watch(self._sound) if sampled else None
        if self._shadow is not None:
            self._compare(self._shadow.see(frame.pts_seconds, frame.image))

    def _compare(self, judged: list[Judged]) -> None:
        """Compare with what the deciding model said of the same frame; one that it has not judged yet is left out."""
        assert self._active.shadow is not None
        own, other = self._active.model.facts.threshold, self._active.shadow.facts.threshold
        for one in judged:
            decided = self._scores.get(one.pts_seconds)
            if decided is not None:
                self._seen.shadowed(one.score, decided, agrees=(one.score >= other) == (decided >= own))


def _keep(memory: dict[float, Any], key: float, value: Any, most: int) -> None:
    memory[key] = value
    while len(memory) > most:
        memory.pop(next(iter(memory)))
