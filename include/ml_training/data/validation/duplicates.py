"""Finds recordings that show the same pictures in the same order as another one: copies, whatever their encoding.

    copies = find_copies(["evening-2"], {"evening": prints, "evening-2": other_prints}, order=["evening", "evening-2"])
    copies["evening-2"]                # Copy(of='evening', share=0.98)

A copy adds nothing to learn from, and in another split it would be recognised rather than judged. Up to 64 frames of a
recording that differ from the one before are looked up among all stored perceptual hashes; the share of them that are
found again in one other recording at one and the same time shift says how much of a copy it is.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.frames import extraction_folder, read_current
from ml_training.data.masking import PLAIN_SHARPNESS
from ml_training.data.validation.scope import in_parallel, spread
from ml_training.utils.errors import StorageError

QUERIES = 64  # frames looked up for each recording
FEWEST_QUERIES = 24  # with fewer pictures that differ nothing can be said: a still picture is like any other
DISTINCT_BITS = 10  # of 64: two frames that differ by more show something else
ALIKE_BITS = 8  # of 64: another encode, scale or logo changes up to so many
COPY_SHARE = 0.9
AS_LONG = 0.9  # of two that show the same, the one shorter than this share of the other is the copy
COLUMNS = ["pts_seconds", "phash", "sharpness", "is_black"]


class Prints(NamedTuple):
    """The pictures of a recording that show something: float64 [n] seconds and uint8 [n, 8] perceptual hashes."""

    seconds: npt.NDArray[np.float64]
    hashes: npt.NDArray[np.uint8]
    source_version: str = ""


class Copy(NamedTuple):
    """The recording that another one repeats most, and the share of its pictures found there."""

    of: str
    share: float


def read_prints(data_dir: str, recordings: Sequence[str]) -> dict[str, Prints]:
    """Return the prints of the newest extraction of each recording that has frames."""
    loaded = in_parallel(recordings, lambda name: _read(data_dir, name))
    return {name: prints for name, prints in zip(recordings, loaded, strict=True) if prints is not None}


def _read(data_dir: str, recording_id: str) -> Prints | None:
    """Return None for what has no frames, or an index that cannot be read: the suite ``frames`` says what is wrong."""
    current = read_current(data_dir, recording_id)
    if current is None:
        return None
    folder = extraction_folder(data_dir, recording_id, current["extraction_id"])
    try:
        table = pq.read_table(storage.cached_copy(storage.join(folder, "index.parquet")), columns=COLUMNS)
        hashes = np.frombuffer(bytes.fromhex("".join(table.column("phash").to_pylist())), np.uint8).reshape(-1, 8)
        shows = ~table.column("is_black").to_numpy() & (table.column("sharpness").to_numpy() >= PLAIN_SHARPNESS)
        return Prints(table.column("pts_seconds").to_numpy()[shows], hashes[shows], str(current["source_version"]))
    except (StorageError, pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def find_copies(suspects: Iterable[str], prints: Mapping[str, Prints], *, order: Sequence[str]) -> dict[str, Copy]:
    """Return for each suspect the recording that it repeats most; those that repeat none are left out.

    Of two recordings that show the same, the shorter is the copy, and of two of a length the later in ``order``.
    """
    names = [name for name in order if name in prints and len(prints[name].hashes)]
    if len(names) < 2:
        return {}
    archive = _Archive(names, prints)
    rank = {name: position for position, name in enumerate(order)}
    copies = {}
    for suspect in suspects:
        others = archive.repeated(suspect) if suspect in rank else {}
        later = {name: share for name, share in others.items() if _is_the_copy(suspect, name, prints, rank)}
        if later:
            of = max(later, key=lambda name: (later[name], -rank[name]))
            copies[suspect] = Copy(of, later[of])
    return copies


def _is_the_copy(suspect: str, other: str, prints: Mapping[str, Prints], rank: Mapping[str, int]) -> bool:
    own, others = len(prints[suspect].hashes), len(prints[other].hashes)
    if own < AS_LONG * others or others < AS_LONG * own:
        return own < others
    return rank[other] < rank[suspect]


class _Archive:
    """All prints, in one index of binary vectors (https://github.com/facebookresearch/faiss/wiki/Binary-indexes)."""

    def __init__(self, names: Sequence[str], prints: Mapping[str, Prints]) -> None:
        logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells which instruction sets it does not find
        import faiss

        self._names = names
        self._prints = prints
        self._owners = np.repeat(np.arange(len(names)), [len(prints[name].hashes) for name in names])
        self._seconds = np.concatenate([prints[name].seconds for name in names])
        self._index = faiss.IndexBinaryFlat(64)
        self._index.add(np.ascontiguousarray(np.concatenate([prints[name].hashes for name in names])))

    def repeated(self, name: str) -> dict[str, float]:
        """Return which recordings repeat how large a share of this one's pictures, each at its best time shift."""
        own = self._prints[name]
        queries = own_queries(own)
        if len(queries) < FEWEST_QUERIES:
            return {}
        limits, _, hits = self._index.range_search(np.ascontiguousarray(own.hashes[queries]), ALIKE_BITS + 1)
        asked = np.repeat(np.arange(len(queries)), np.diff(limits).astype(np.int64))
        shifts = np.round(self._seconds[hits] - own.seconds[queries][asked]).astype(np.int64)
        votes = np.unique(np.stack([self._owners[hits], shifts, asked]), axis=1)
        places, counts = np.unique(votes[:2], axis=1, return_counts=True)
        after = (places[0, 1:] == places[0, :-1]) & (places[1, 1:] == places[1, :-1] + 1)
        counts[:-1] += np.where(after, counts[1:], 0)  # the sampled times of two recordings differ by up to a second
        best = np.zeros(len(self._names), np.int64)
        np.maximum.at(best, places[0], counts)
        shares = np.minimum(best / len(queries), 1.0)  # the same picture may vote for two neighbouring shifts
        found = ((self._names[int(at)], float(shares[at])) for at in np.flatnonzero(best))
        return {other: share for other, share in found if other != name}


def own_queries(prints: Prints) -> list[int]:
    """Return the positions of at most 64 pictures, spread over the recording, that differ from the one before."""
    changed = np.bitwise_count(prints.hashes[1:] ^ prints.hashes[:-1]).sum(axis=1) > DISTINCT_BITS
    distinct = np.flatnonzero(np.concatenate([np.ones(min(len(prints.hashes), 1), bool), changed]))
    return [int(distinct[at]) for at in spread(len(distinct), QUERIES)]
