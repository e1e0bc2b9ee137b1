"""What a recording looks like: a small gray picture of each stored frame, without the bars around it.

    prints = picture_prints(images)           # uint8 RGB [n, 224, 224, 3]
    likeness(prints.thumbs[:1], other.thumbs[:1])        # 1.0: the same picture

Two airings differ by logo, ticker, letterbox and encode. So black bars are cut off before the picture is made small,
brightness and contrast do not count, and the quarter of the pixels that differ most does not either.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ml_training.data.frames import FRAME_SIZE, Image

Thumbs = npt.NDArray[np.uint8]

THUMB_HEIGHT, THUMB_WIDTH = 18, 32
THUMB_PIXELS = THUMB_HEIGHT * THUMB_WIDTH
BAR_LUMA, BAR_SHARE = 30, 0.75  # three quarters of a row of a bar are darker than this, of 255
BAR_LEAST, BAR_MOST = 6, 72  # rows or columns of 224
TAPE_ROWS = 20  # a ticker may stand over the outer rows of the lower bar
PLAIN_SPREAD = 6.0  # standard deviation of a picture with almost no information
UNLIKE = 0.75  # mean squared difference of the compared pixels of two different scenes
COMPARED = 0.75  # share of the pixels that are compared: logos, captions and tickers cover the others


class PicturePrints(NamedTuple):
    """The pictures of a recording."""

    thumbs: Thumbs  # [n, 18, 32]
    plain: npt.NDArray[np.bool_]  # [n]: black, white or one colour


def picture_prints(images: Image) -> PicturePrints:
    """Fingerprint RGB uint8 [n, 224, 224, 3]."""
    thumbs = np.empty((len(images), THUMB_HEIGHT, THUMB_WIDTH), np.uint8)
    for number, image in enumerate(images):
        inner = without_bars(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8))
        thumbs[number] = cv2.resize(inner, (THUMB_WIDTH, THUMB_HEIGHT), interpolation=cv2.INTER_AREA)
    return PicturePrints(thumbs, is_plain(thumbs))


def is_plain(thumbs: Thumbs) -> npt.NDArray[np.bool_]:
    """Tell which of [n, 18, 32] show almost nothing."""
    return np.asarray(thumbs.reshape(len(thumbs), -1).std(axis=1) < PLAIN_SPREAD)


def without_bars(gray: Image) -> Image:
    """Return a gray picture [224, 224] without letterbox or pillarbox bars."""
    dark = gray < BAR_LUMA
    top, bottom = _bars(dark.mean(axis=1) >= BAR_SHARE, hidden=TAPE_ROWS)
    left, right = _bars(dark.mean(axis=0) >= BAR_SHARE, hidden=0)
    return gray[top : FRAME_SIZE - bottom, left : FRAME_SIZE - right]


def _bars(dark: npt.NDArray[np.bool_], *, hidden: int) -> tuple[int, int]:
    """Return how many rows the two bars take; both or none, and nearly the same."""
    first = _run(dark)
    last = _run(dark[::-1])
    if last == 0 and hidden:
        covered = int(np.argmax(dark[::-1])) if dark.any() else 0
        last = covered + _run(dark[::-1][covered:]) if 0 < covered <= hidden else 0
    if not (BAR_LEAST <= first <= BAR_MOST and BAR_LEAST <= last <= BAR_MOST) or abs(first - last) > BAR_LEAST:
        return 0, 0
    return first, last


def _run(dark: npt.NDArray[np.bool_]) -> int:
    return len(dark) if dark.all() else int(np.argmin(dark))


def likeness(some: Thumbs, others: Thumbs) -> npt.NDArray[np.float32]:
    """Compare pictures pair by pair: 1 for the same picture, near 0 for unlike ones. Two arrays [n, 18, 32].

    One less the mean squared difference of the pixels that differ least, in units of that of two different scenes.
    """
    first, second = _normalised(some), _normalised(others)
    squared = (first - second) ** 2
    kept = int(COMPARED * THUMB_PIXELS)
    best = np.partition(squared, kept, axis=1)[:, :kept]
    return np.asarray(1 - best.mean(axis=1) / UNLIKE, np.float32)


def _normalised(thumbs: Thumbs) -> npt.NDArray[np.float32]:
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(flat.std(axis=1, keepdims=True), 1.0)
