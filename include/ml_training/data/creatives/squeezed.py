"""Recognises an airing whose picture was made smaller, as when a broadcaster shows a spot beside the game.

    votes = squeezed_votes(first_pictures, second_pictures)      # 1 or -1 for each pair

One box for the whole airing: the place and size at which all pictures of one recording lie best within the other's.
"""

import cv2
import numpy as np
import numpy.typing as npt

from ml_training.data.creatives.picture_prints import THUMB_HEIGHT, THUMB_WIDTH, Thumbs

SCALES = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
ALIKE = 0.75  # correlation within the box
FINER = 2  # the box is sought to half a pixel of the small pictures

Floats = npt.NDArray[np.float64]


def squeezed_votes(whole: Thumbs, around: Thumbs) -> Floats:
    """Tell of each pair whether one of the first [n, k, 18, 32] lies in one of the second [n, m, 18, 32].

    k and m count neighbours in time: the nearest picture of one recording may show the moment before or after a cut.

    Returns 1 or -1 for each of the n, at the one box that fits all of them best.
    """
    best = np.full(len(around), -1.0)
    for scale in SCALES:
        size = round(FINER * THUMB_WIDTH * scale), round(FINER * THUMB_HEIGHT * scale)
        maps = np.stack([_map(pictures, others, size) for pictures, others in zip(whole, around, strict=True)])
        row, column = np.unravel_index(int(np.argmax(maps.mean(axis=0))), maps.shape[1:])
        if maps[:, row, column].mean() > best.mean():
            best = maps[:, row, column]
    return np.where(best >= ALIKE, 1.0, -1.0)


def _map(pictures: Thumbs, others: Thumbs, size: tuple[int, int]) -> Floats:
    """Return the best correlation of any of ``pictures`` at each place of any of ``others``."""
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR) for picture in pictures]
    whole = (FINER * THUMB_WIDTH, FINER * THUMB_HEIGHT)
    larger = [cv2.resize(other, whole, interpolation=cv2.INTER_LINEAR) for other in others]
    maps = [cv2.matchTemplate(around, one, cv2.TM_CCOEFF_NORMED) for around in larger for one in small]
    return np.nan_to_num(np.max(maps, axis=0).astype(np.float64), nan=-1.0, posinf=-1.0, neginf=-1.0)
