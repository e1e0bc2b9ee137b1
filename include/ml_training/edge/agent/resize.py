"""OpenCV's area averaging in NumPy: the resize of training, on a device that has no OpenCV.

    small = area_resize(image, 224, 224)              # uint8 [H, W, 3] -> uint8 [224, 224, 3]

Each result is the mean of the source's area below it, parts of pixels by their share; where the source is smaller,
OpenCV's INTER_AREA interpolates, and so does this. The order and the precision of its sums are OpenCV's too
(modules/imgproc/src/resize.cpp): a sum that lies between two numbers is rounded the same way, and one level of one
colour can move the score of an int8 model by several steps.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

LEAST_SHARE = 1e-3  # of a pixel that counts


class Taps(NamedTuple):
    """For each of N places the source pixels that it takes and their weights, [K, N]; of weight 0 to fill up."""

    places: npt.NDArray[np.int64]
    weights: Floats


def area_resize(image: Image, height: int, width: int) -> Image:
    """Resize uint8 [H, W, C] to [height, width, C]."""
    if image.shape[:2] == (height, width):
        return image
    if image.shape[0] % height == 0 and image.shape[1] % width == 0:
        return _whole_blocks(image, height, width)
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    narrow = _summed(image, _taps(image.shape[1], width, shrinks), axis=1)
    return np.clip(np.rint(_summed(narrow, _taps(image.shape[0], height, shrinks), axis=0)), 0, 255).astype(np.uint8)


def _summed(values: npt.NDArray[np.generic], taps: Taps, axis: int) -> Floats:
    """Sum along an axis, one tap after the other, in single precision."""
    shape = (-1, 1) if axis == 1 else (-1, 1, 1)
    total = np.float32(0)
    for places, weights in zip(taps.places, taps.weights, strict=True):
        total = total + np.take(values, places, axis=axis).astype(np.float32) * weights.reshape(shape)
    return np.asarray(total, np.float32)


def _whole_blocks(image: Image, height: int, width: int) -> Image:
    """Average blocks of whole pixels; of two by two, a half is rounded up."""
    down, across = image.shape[0] // height, image.shape[1] // width
    sums = image.reshape(height, down, width, across, -1).sum(axis=(1, 3), dtype=np.int32)
    if (down, across) == (2, 2):
        return ((sums + 2) >> 2).astype(np.uint8)
    return np.rint(sums.astype(np.float32) * np.float32(1.0 / (down * across))).astype(np.uint8)


@lru_cache(maxsize=8)
def _taps(source: int, target: int, shrinks: bool) -> Taps:
    lists = [(_area if shrinks else _between)(place, source, target) for place in range(target)]
    most = max(len(taps) for taps in lists)
    padded = [taps + [(taps[-1][0], 0.0)] * (most - len(taps)) for taps in lists]
    table = np.array(padded, np.float64)
    return Taps(table[..., 0].T.astype(np.int64), table[..., 1].T.astype(np.float32))


def _area(place: int, source: int, target: int) -> list[tuple[int, float]]:
    """Follow computeResizeAreaTab."""
    scale = 1.0 / (target / source)
    start = place * scale
    end = start + scale
    cell = min(scale, source - start)
    last = min(int(np.floor(end)), source - 1)
    first = min(int(np.ceil(start)), last)
    taps = [(first - 1, (first - start) / cell)] if first - start > LEAST_SHARE else []
    taps += [(pixel, 1.0 / cell) for pixel in range(first, last)]
    if end - last > LEAST_SHARE:
        taps.append((last, min(end - last, 1.0, cell) / cell))
    return taps


def _between(place: int, source: int, target: int) -> list[tuple[int, float]]:
    """Follow the branch of INTER_AREA that enlarges."""
    back = target / source
    first = int(np.floor(place * (1.0 / back)))
    share = (place + 1) - (first + 1) * back
    share = 0.0 if share <= 0 else share - np.floor(share)
    if first >= source - 1 or share == 0.0:
        return [(min(first, source - 1), 1.0)]
    return [(first, 1.0 - share), (first + 1, share)]
