"""Matches two recordings of which one has no sound, by their pictures alone and with a higher bar.

    matches = match_by_pictures(first, second)

Pictures must be alike for ten seconds, nearly all of them, over at least three shots: a set that a show uses every day
is no airing. Bounds are as exact as the pictures are dense: half a second at one picture a second.
"""

import numpy as np
import numpy.typing as npt

from ml_training.data.creatives.fingerprints import Fingerprints
from ml_training.data.creatives.matching import LEAST_LAG, Match, best_matches
from ml_training.data.creatives.picture_prints import Thumbs, likeness
from ml_training.data.creatives.sound_prints import FRAME_RATE, Integers

LEAST_SECONDS = 10.0
LEAST_SHARE = 0.9
LEAST_SHOTS = 3
ALIKE = 0.85
ROUGHLY_ALIKE = 0.75  # correlation of quarter-size pictures, to find what is worth a look
OTHER_SHOT = 0.5  # neighbours less alike than this are of two shots
HOLE = 2  # pictures that may be unlike in between
BLOCK = 2048

Floats = npt.NDArray[np.float32]


def match_by_pictures(first: Fingerprints, second: Fingerprints) -> list[Match]:
    """Return where the pictures of two recordings agree in order. Takes 1 s for two hours."""
    here, there = _hits(first, second)
    same = first.recording_id == second.recording_id
    matches = []
    for start, end, shift in _runs(here, there):
        match = _confirmed(first, second, start, end, shift)
        if match is not None and not (same and abs(match.first_start - match.second_start) < LEAST_LAG / FRAME_RATE):
            matches.append(match)
    return best_matches(matches)


def _hits(first: Fingerprints, second: Fingerprints) -> tuple[Integers, Integers]:
    """Return the numbers of pictures of the second and of the first that are roughly alike."""
    some, others = _small(first.thumbs, first.plain), _small(second.thumbs, second.plain)
    here, there = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for at in range(0, len(others), BLOCK):
        rows, columns = np.nonzero(others[at : at + BLOCK] @ some.T > ROUGHLY_ALIKE)
        here.append(rows + at)
        there.append(columns)
    both = np.concatenate(here), np.concatenate(there)
    if first.recording_id != second.recording_id:
        return both
    later = both[0] > both[1]
    return both[0][later], both[1][later]


def _small(thumbs: Thumbs, plain: npt.NDArray[np.bool_]) -> Floats:
    """Return unit vectors float32 [n, 144] of quarter-size pictures; zeros for plain ones."""
    count, height, width = thumbs.shape
    small = thumbs.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4)).reshape(count, -1)
    small = small - small.mean(axis=1, keepdims=True)
    small[plain] = 0
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6), np.float32)


def _runs(here: Integers, there: Integers) -> list[tuple[int, int, int]]:
    """Return (first picture, last picture, shift) of hits in order: in the second, with at most small holes."""
    found = []
    shifts = there - here
    for shift in np.unique(shifts):
        frames = np.unique(here[(shifts == shift) | (shifts == shift + 1)])
        for part in np.split(frames, np.flatnonzero(np.diff(frames) > HOLE + 1) + 1):
            if part[-1] - part[0] >= LEAST_SECONDS / 2:
                found.append((int(part[0]), int(part[-1]), int(shift)))
    return found


def _confirmed(first: Fingerprints, second: Fingerprints, start: int, end: int, shift: int) -> Match | None:
    own = np.arange(start, end + 1)
    near = [np.clip(own + shift + more, 0, len(first.thumbs) - 1) for more in (0, 1)]
    alike = np.maximum(*(likeness(first.thumbs[other], second.thumbs[own]) for other in near))
    telling = ~second.plain[own]
    good = (alike >= ALIKE) & telling
    if not good.any():
        return None
    left, right = int(own[good][0]), int(own[good][-1])
    inside = (own >= left) & (own <= right) & telling
    changes = likeness(second.thumbs[left:right], second.thumbs[left + 1 : right + 1]) < OTHER_SHOT
    low, high = float(second.pts[left]), float(second.pts[right])
    share = float(good[inside].mean())
    if high - low < LEAST_SECONDS - 1 or share < LEAST_SHARE or int(changes.sum()) + 1 < LEAST_SHOTS:
        return None
    matched = [int(near[0][own == left][0]), int(near[0][own == right][0])]
    offset = float(np.median(first.pts[matched] - second.pts[[left, right]])) + 0.5
    return Match(
        max(0.0, low + offset - 0.5), high + offset + 0.5, max(0.0, low - 0.5), high + 0.5, float(good.sum()), share
    )
