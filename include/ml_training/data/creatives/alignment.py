"""Finds offsets at which two recordings may say the same: hits of single codes become candidates, by votes.

for candidate in candidates(offsets, frames):
    matches = verify(first, second, candidate)
"""

from typing import NamedTuple

import numpy as np

from ml_training.data.creatives.sound_prints import Integers

BIN = 8  # frames: votes of 0.16 s of offset count together
GAP = 500  # frames: votes ten seconds apart are of two candidates
LEAST_VOTES = 2
VOTE_DISTANCE = 20  # frames between the first and the last vote, at least


class Candidate(NamedTuple):
    """``frame in the first = frame in the second + offset``, seen between two frames of the second."""

    offset: int
    start: int
    end: int
    votes: int


def candidates(offsets: Integers, frames: Integers) -> list[Candidate]:
    """Return the offsets that several hits agree on. Both arrays [hits]: offset, and frame in the second recording."""
    found = []
    order = np.lexsort((frames, offsets // BIN))
    offsets, frames, bins = offsets[order], frames[order], offsets[order] // BIN
    for number in np.unique(bins):
        low, high = np.searchsorted(bins, (number, number + 2))  # this bin and the next
        near = np.argsort(frames[low:high], kind="stable")
        times, values = frames[low:high][near], offsets[low:high][near]
        for part in np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > GAP) + 1):
            start, end, votes = int(times[part[0]]), int(times[part[-1]]), len(np.unique(times[part]))
            if votes >= LEAST_VOTES and end - start >= VOTE_DISTANCE:
                found.append(Candidate(int(np.median(values[part])), start, end, votes))
    return found
