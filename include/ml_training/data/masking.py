"""Keeps an ad that airs in several splits from being learned in one and judged in another.

    splits = creative_splits({"soap-7": {"train", "test"}}, shares, salt="adbreak-1")      # {'soap-7': 'train'}

A creative belongs to one split: of those in which it airs, the one with the highest salted hash, weighted by the
splits' shares (weighted rendezvous hashing, Thaler and Ravishankar 1998). So the choice is random by the shares, needs
no table, and moves only when the creative airs in a split for the first time, and then only to that split.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ml_training.utils.hashing import unit_interval
from ml_training.utils.records import Segment, Split

PLAIN_SHARPNESS = 4.0  # variance of the Laplacian: below it a frame is a plain colour or a fade


def split_of_creative(creative: str, aired_in: Collection[Split], shares: Mapping[Split, float], salt: str) -> Split:
    """Return the split that a creative belongs to, of those in which it airs."""

    def weight(split: Split) -> float:
        chance = max(unit_interval(f"{creative}:{split}", salt), 1e-300)
        return -shares[split] / math.log(chance)

    return max(sorted(aired_in), key=weight)


def creative_splits(
    aired_in: Mapping[str, Collection[Split]], shares: Mapping[Split, float], salt: str
) -> dict[str, Split]:
    """Return the split of every creative, from the splits in which each airs."""
    return {name: split_of_creative(name, splits, shares, salt) for name, splits in aired_in.items()}


def airings(recordings: Mapping[str, tuple[Split, Sequence[Segment]]]) -> dict[str, set[Split]]:
    """Return in which splits each creative airs, from the split and the segments of every recording."""
    found: dict[str, set[Split]] = {}
    for split, segments in recordings.values():
        for segment in segments:
            if segment.creative:
                found.setdefault(segment.creative, set()).add(split)
    return found


def foreign_frames(
    segments: Sequence[Segment],
    numbers: npt.NDArray[np.int64],
    split: Split,
    belongs_to: Mapping[str, Split],
    plain: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Tell which frames of a recording of ``split`` show a creative of another split.

    ``numbers`` gives each frame's segment (-1: none); ``plain`` frames carry almost no information and show none.
    """
    foreign = [bool(s.creative) and belongs_to[s.creative or ""] != split for s in segments]
    return np.array([*foreign, False])[numbers] & ~plain
