"""What stands on the picture all the time: a channel's logo or score box in a corner, and bars around the picture.

    watcher = OverlayWatcher()
    for image in images:                     # uint8 RGB [224, 224, 3], in order of time
        watcher.add(image)
    watcher.columns()                        # float32 [N, 4]: logo, logo_slow, bars_high, bars_wide

Most of a recording is programme, so the edges that persist in its corners are the programme's overlay; a frame is
compared with them (after Albiol et al., Detection of TV commercials, ICASSP 2004). Where a channel has no logo, or
keeps it on in ads, the columns say nothing, and the sequence model has learned how little they may mean.
"""

from collections.abc import Sequence
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from ml_training.data.frames import FRAME_SIZE, Image
from ml_training.detection.features import Floats

SIDE = FRAME_SIZE // 2  # pixels of the picture that edges are taken from
CORNER_HIGH, CORNER_WIDE = 28, 36
TEMPLATE_PIXELS = 160  # those whose edges persist most, over all four corners
LEAST_PERSISTENCE = 4.0  # mean gradient of those pixels below which there is no overlay
SLOW_FRAMES = 9  # of the slow column's median
DARK = 30  # of 255: a bar is darker

Look = tuple[npt.NDArray[np.int8], tuple[float, float]]  # edges of the corners [2, 4032], shares of the bars


class OverlayWatcher:
    """Looks at the frames of a recording one by one and keeps the edges of their corners: 8 kB a frame."""

    def __init__(self) -> None:
        self._edges: list[np.ndarray] = []
        self._bars: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self._edges)

    @classmethod
    def of(cls, looks: Sequence[Look]) -> Self:
        """Return a watcher that has seen the frames of which ``look`` told."""
        watcher = cls()
        for edges, bars in looks:
            watcher._edges.append(edges)
            watcher._bars.append(bars)
        return watcher

    @staticmethod
    def look(image: Image) -> Look:
        """Return what the watcher keeps of a frame."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        horizontal, vertical = (cv2.Sobel(small, cv2.CV_16S, dx, 1 - dx, ksize=3) for dx in (1, 0))
        edges = np.stack([_corners(horizontal), _corners(vertical)])
        return np.clip(edges // 4, -127, 127).astype(np.int8), _bars(gray)

    def add(self, image: Image) -> None:
        """Look at the next frame."""
        edges, bars = self.look(image)
        self._edges.append(edges)
        self._bars.append(bars)

    def columns(self) -> Floats:
        """Return the columns of the group ``overlay`` for every frame seen."""
        if not self._edges:
            return np.zeros((0, 4), np.float32)
        logo = self._logo()
        bars = np.array(self._bars, np.float32)
        padded = np.pad(logo, SLOW_FRAMES // 2, mode="edge")
        slow = np.median(np.lib.stride_tricks.sliding_window_view(padded, SLOW_FRAMES), axis=1)
        return np.column_stack([logo, slow, bars - np.median(bars, axis=0)]).astype(np.float32)

    def _logo(self) -> Floats:
        """Return how much each frame's corners have the edges that persist, about 1 with them and 0 without."""
        total = np.zeros(self._edges[0].shape, np.float64)
        for edges in self._edges:
            total += edges
        mean = total / len(self._edges)
        strength = np.hypot(*mean)
        chosen = np.argsort(-strength, kind="stable")[:TEMPLATE_PIXELS]
        if len(self._edges) < SLOW_FRAMES or strength[chosen].mean() * 4 < LEAST_PERSISTENCE:
            return np.zeros(len(self._edges), np.float32)
        template = mean[:, chosen]
        weight = np.sum(template**2)
        likeness = [float(np.sum(template * edges[:, chosen]) / weight) for edges in self._edges]
        return np.clip(np.array(likeness, np.float32), -1, 2)


def _corners(edges: np.ndarray) -> np.ndarray:
    top, bottom = edges[:CORNER_HIGH], edges[-CORNER_HIGH:]
    return np.concatenate([half[:, side].ravel() for half in (top, bottom) for side in (_LEFT, _RIGHT)])


_LEFT, _RIGHT = slice(0, CORNER_WIDE), slice(-CORNER_WIDE, None)


def _bars(gray: np.ndarray) -> tuple[float, float]:
    """Return the share of the picture that dark bars take above and below, and at the sides."""
    dark = gray < DARK
    if dark.mean() > 0.9:
        return 0.0, 0.0
    shares = []
    for rows in (dark.mean(axis=1) > 0.95, dark.mean(axis=0) > 0.95):
        inner = np.flatnonzero(~rows)
        shares.append(1.0 - (inner[-1] - inner[0] + 1) / len(rows) if len(inner) else 0.0)
    return shares[0], shares[1]
