"""Ad breaks out of the scores of frames as they come, by a simple rule, written for programs and for players.

    finder = BreakFinder(threshold=0.65)
    for judged in scores:
        for found in finder.see(judged.pts_seconds, judged.score):
            ...                                       # a Break, as soon as it is over
    finder.finish()

The mean of nine seconds has to reach the threshold; a break goes on over a gap of ten seconds, and one shorter than ten
is none. ``detection`` finds breaks far better from a whole recording: it knows what repeats, and where shots change.
"""

import json
from collections import deque
from pathlib import Path
from typing import NamedTuple

from ml_training.edge.agent.home import write_atomically

SMOOTHED_FRAMES = 9  # odd: as many before as after
LONGEST_GAP_SECONDS = 10.0
SHORTEST_SECONDS = 10.0
FRAME_SECONDS = 1.0
EDL_CUT = 0


class Break(NamedTuple):
    """Seconds from the first frame; ``confidence`` is the mean score."""

    start: float
    end: float
    confidence: float


class BreakFinder:
    """Takes scores in order of time; returns each break once, when it is over."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._window: deque[tuple[float, float]] = deque(maxlen=SMOOTHED_FRAMES)
        self._frames = 0
        self._start: float | None = None
        self._last = self._sum = 0.0
        self._count = 0

    def see(self, pts_seconds: float, score: float) -> list[Break]:
        """Take one score; the frame four before it is decided now."""
        self._window.append((pts_seconds, score))
        self._frames += 1
        half = SMOOTHED_FRAMES // 2
        if self._frames <= half:
            return []
        place = min(self._frames, SMOOTHED_FRAMES) - 1 - half
        return self._decide(place)

    def finish(self) -> list[Break]:
        """Decide the last frames and end a break that goes on."""
        found = []
        first = max(0, len(self._window) - min(self._frames, SMOOTHED_FRAMES // 2))
        for place in range(first, len(self._window)):
            found += self._decide(place, first=place - SMOOTHED_FRAMES // 2)
        return found + self._close()

    def _decide(self, place: int, first: int = 0) -> list[Break]:
        values = list(self._window)
        around = [score for _, score in values[max(0, first) :]]
        pts_seconds, score = values[place]
        found = []
        if self._start is not None and pts_seconds - self._last > LONGEST_GAP_SECONDS:
            found = self._close()
        if sum(around) / len(around) >= self._threshold:
            if self._start is None:
                self._start = pts_seconds
            self._last = pts_seconds
            self._sum, self._count = self._sum + score, self._count + 1
        return found

    def _close(self) -> list[Break]:
        if self._start is None:
            return []
        end = self._last + FRAME_SECONDS
        found = Break(round(self._start, 3), round(end, 3), round(self._sum / self._count, 4))
        self._start, self._sum, self._count = None, 0.0, 0
        return [found] if found.end - found.start >= SHORTEST_SECONDS else []


class BreakFiles:
    """``NAME.breaks.jsonl``, a line as each break ends, and ``NAME.edl`` for players; there with the first break."""

    def __init__(self, folder: Path, name: str) -> None:
        self.lines_file, self.edl_file = folder / f"{name}.breaks.jsonl", folder / f"{name}.edl"
        self._breaks: list[Break] = []

    def add(self, found: Break) -> None:
        """Write one more."""
        self._breaks.append(found)
        self.write()

    def write(self) -> None:
        """Replace the files; empty ones say that a recording has no break."""
        self.edl_file.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            json.dumps({"start": b.start, "end": b.end, "label": "ad", "confidence": b.confidence})
            for b in self._breaks
        ]
        write_atomically(self.lines_file, "".join(line + "\n" for line in lines).encode())
        edl = "".join(f"{b.start:.3f}\t{b.end:.3f}\t{EDL_CUT}\n" for b in self._breaks)
        write_atomically(self.edl_file, edl.encode())
