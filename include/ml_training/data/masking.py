"""Keeps an ad that airs in several splits from being learned in one and judged in another.

    keys = link_creatives(recordings)                                # what labels and catalogue call the same ad
    owners = creative_splits({"soap-7": {"train", "test"}}, shares, salt="adbreak-1")      # {'soap-7': 'train'}
    foreign, names = paint(spans, pts_seconds, "test", owners, plain)

A creative belongs to one split: of those in which it airs, the one with the highest salted hash, weighted by the
splits' shares (weighted rendezvous hashing, Thaler and Ravishankar 1998). So the choice is random by the shares, needs
no table, and moves only when the creative airs in a split for the first time, and then only to that split.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.utils.hashing import unit_interval
from ml_training.utils.records import Segment, Split

PLAIN_SHARPNESS = 4.0  # variance of the Laplacian: below it a frame is a plain colour or a fade
SAME_SHARE = 0.5  # a label's and the catalogue's stretch are one airing when they share half of what both cover


class Span(NamedTuple):
    """A stretch of a recording in which a creative airs; the end is excluded."""

    start_seconds: float
    end_seconds: float
    creative: str


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


def named_spans(segments: Iterable[Segment]) -> list[Span]:
    """Return the stretches of which a label says which creative airs."""
    return [Span(s.start_seconds, s.end_seconds, s.creative) for s in segments if s.creative]


def link_creatives(recordings: Iterable[tuple[Sequence[Span], Sequence[Span]]]) -> dict[str, str]:
    """Return one key for every name of a creative, the same for names of the same ad.

    Each recording gives what its labels name and what the catalogue found; two names are linked when such stretches
    cover nearly the same time. The key is the first of the linked names that labels use, else of the catalogue's: so a
    creative that labels name keeps its split when the catalogue finds it, too.
    """
    parents: dict[str, str] = {}
    of_labels: set[str] = set()
    for labelled, found in recordings:
        of_labels.update(span.creative for span in labelled)
        for span in (*labelled, *found):
            parents.setdefault(span.creative, span.creative)
        for one, other in _same_airing(labelled, found):
            parents[_root(parents, one)] = _root(parents, other)
    groups: dict[str, list[str]] = {}
    for name in parents:
        groups.setdefault(_root(parents, name), []).append(name)
    keys = {root: min(names, key=lambda name: (name not in of_labels, name)) for root, names in groups.items()}
    return {name: keys[_root(parents, name)] for name in parents}


def airings(recordings: Iterable[tuple[Split | None, Sequence[Span]]]) -> dict[str, set[Split]]:
    """Return in which splits each creative airs, from the split and the spans of every recording; None: in no split."""
    found: dict[str, set[Split]] = {}
    for split, spans in recordings:
        if split is not None:
            for span in spans:
                found.setdefault(span.creative, set()).add(split)
    return found


def paint(
    spans: Sequence[Span],
    pts_seconds: npt.NDArray[np.float64],
    split: Split,
    belongs_to: Mapping[str, Split],
    plain: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Tell which frames of a recording of ``split`` show a creative of another split, and which span each frame shows.

    ``pts_seconds`` increase; ``plain`` frames carry almost no information and show none. A frame over which several
    creatives air is foreign when one of them is, and shows that one. Returns bool [n] and the span's number, -1: none.
    """
    foreign = np.zeros(len(pts_seconds), bool)
    numbers = np.full(len(pts_seconds), -1, np.int64)
    elsewhere = [belongs_to[span.creative] != split for span in spans]
    for number in sorted(range(len(spans)), key=elsewhere.__getitem__):  # the foreign ones last
        first, last = np.searchsorted(pts_seconds, spans[number][:2])
        numbers[first:last] = number
        foreign[first:last] |= elsewhere[number]
    numbers[plain] = -1
    return foreign & ~plain, numbers


def _same_airing(labelled: Sequence[Span], found: Sequence[Span]) -> list[tuple[str, str]]:
    if not labelled or not found:
        return []
    one = np.array([span[:2] for span in labelled])[:, None]
    other = np.array([span[:2] for span in found])[None]
    shared = np.minimum(one[..., 1], other[..., 1]) - np.maximum(one[..., 0], other[..., 0])
    covered = np.maximum(one[..., 1], other[..., 1]) - np.minimum(one[..., 0], other[..., 0])
    pairs = np.argwhere(shared >= SAME_SHARE * covered)
    return [(labelled[i].creative, found[j].creative) for i, j in pairs]


def _root(parents: dict[str, str], name: str) -> str:
    while parents[name] != name:
        parents[name] = parents[parents[name]]
        name = parents[name]
    return name
