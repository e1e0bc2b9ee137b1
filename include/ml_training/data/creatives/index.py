"""The index over the archive: which codes of any recording are near a code.

    index = ArchiveIndex()
    index.add("news-0105", codes, frames)                   # uint8 [n, 32], int64 [n]
    for name, there, here in index.search(codes, frames):   # hits by recording: frames there, frames here
        ...

faiss keeps the codes in buckets by their first sixteen bits and looks into those that differ in at most two: so what is
found depends on the two codes alone, needs no training, and is the same whichever recording came first.
"""

import io
import logging
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ml_training.data.creatives.sound_prints import CODE_BYTES, Codes, Integers

logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells which instruction set it does not find
import faiss  # noqa: E402

KEY_BITS = 16  # two airings differ in 5 % of these (measured on generated channels with encodes of their own)
FLIPS = 2
RADIUS = 60  # of 256 bits: airings differ in 13 (half of the codes) to 46 (95 %), one in a thousand unlike pairs in 90
QUERIES = 4096  # searched at once


class ArchiveIndex:
    """Codes of many recordings, each known by the number of its recording and its frame."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.label = ""  # a name for what is in it, kept with it
        self._owners: list[Any] = []
        self._frames: list[Any] = []
        self._codes: Any = faiss.IndexBinaryHash(8 * CODE_BYTES, KEY_BITS)
        self._codes.nflip = FLIPS

    def __len__(self) -> int:
        return int(self._codes.ntotal)

    def add(self, name: str, codes: Codes, frames: Integers) -> None:
        """Add the codes uint8 [n, 32] of a recording that is not in the index yet."""
        self._owners.append(np.full(len(codes), len(self.names), np.int32))
        self._frames.append(frames.astype(np.int32))
        self.names.append(name)
        if len(codes):
            self._codes.add(np.ascontiguousarray(codes))

    def search(self, codes: Codes, frames: Integers) -> Iterator[tuple[str, Integers, Integers]]:
        """Yield, for each recording with codes near some of ``codes``: its name, frames there, frames here."""
        queries, hits = self._near(codes)
        owners, there = self._joined()
        order = np.argsort(owners[hits], kind="stable")
        hits, here = hits[order], frames[queries[order]]
        for number in np.unique(owners[hits]):
            low, high = np.searchsorted(owners[hits], (number, number + 1))
            yield self.names[number], there[hits[low:high]].astype(np.int64), here[low:high]

    def _near(self, codes: Codes) -> tuple[Integers, Integers]:
        queries, hits = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for at in range(0, len(codes), QUERIES) if len(self) else ():
            part = np.ascontiguousarray(codes[at : at + QUERIES])
            limits, _, found = self._codes.range_search(part, RADIUS + 1)
            queries.append(at + np.repeat(np.arange(len(part)), np.diff(limits.astype(np.int64))))
            hits.append(found.astype(np.int64))
        return np.concatenate(queries), np.concatenate(hits)

    def _joined(self) -> tuple[Any, Any]:
        self._owners = [np.concatenate([np.zeros(0, np.int32), *self._owners])]
        self._frames = [np.concatenate([np.zeros(0, np.int32), *self._frames])]
        return self._owners[0], self._frames[0]

    def to_bytes(self) -> bytes:
        """Return the index as one file."""
        owners, frames = self._joined()
        sink = io.BytesIO()
        codes = faiss.serialize_index_binary(self._codes)
        np.savez(sink, label=self.label, names=np.array(self.names, np.str_), owners=owners, frames=frames, codes=codes)
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what ``to_bytes`` gave."""
        index = cls()
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            index.names, index.label = stored["names"].tolist(), str(stored["label"])
            index._owners, index._frames = [stored["owners"]], [stored["frames"]]
            index._codes = faiss.deserialize_index_binary(stored["codes"])
        index._codes.nflip = FLIPS
        return index
