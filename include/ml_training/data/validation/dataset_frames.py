"""A manifest of millions of rows as whole numbers, and what the indexes say of its frames, recording by recording.

    view = ManifestView(read_coded("s3://adbreak", "4be1…"))
    view.recordings, view.recording          # names; the number of its name for every row
    read_frames("s3://adbreak", view, 0)     # luma, loudness, ... of the first recording's rows

Texts of a manifest repeat: as numbers of a dictionary ten million rows take a few hundred megabytes.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.frames import INDEX_SCHEMA
from ml_training.data.manifest import AD, CONTENT, MANIFEST_SCHEMA, TEXT_COLUMNS, manifest_path
from ml_training.data.masking import PLAIN_SHARPNESS
from ml_training.utils.errors import StorageError

NUMBER_COLUMNS = ("luma", "sharpness", "motion", "shot_change", "loudness_lufs")
TIME_TOLERANCE_SECONDS = 1e-4
SIZE_BASE = 2**20

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def read_coded(data_dir: str, dataset_id: str) -> pa.Table:
    """Return a manifest with its texts as dictionaries; a column that is missing has nothing in it.

    Raises DatasetUnusable when there is no such version.
    """
    table = pq.read_table(manifest_path(data_dir, dataset_id), read_dictionary=TEXT_COLUMNS)
    for field in MANIFEST_SCHEMA:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table


class ManifestView:
    """The columns of a manifest as arrays with one entry a row; texts as numbers, -1 where there is none."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.recording, self.recordings = self.coded("recording_id")
        self.split, self.splits = self.coded("split")
        self.label = self.numbers("label", fill=-2)
        self.seen = table.column("seen_creative").fill_null(False).to_numpy()
        self.pts = table.column("pts_seconds").fill_null(np.nan).to_numpy()

    def __len__(self) -> int:
        return len(self._table)

    @cached_property
    def scored(self) -> Mask:
        """Rows with a label that counts."""
        return np.asarray((self.label == AD) | (self.label == CONTENT))

    @cached_property
    def main(self) -> Mask:
        """Rows that count in the main score: scored, and not of a creative of another split."""
        return np.asarray(self.scored & ~self.seen)

    def coded(self, name: str) -> tuple[Numbers, list[str]]:
        """Return a text column as numbers of its distinct values, and those values."""
        column = self._table.column(name)
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        joined = column.unify_dictionaries().combine_chunks()
        if not len(joined):
            return np.zeros(0, np.int64), []
        codes = joined.indices.cast(pa.int64()).fill_null(-1).to_numpy()
        names = [str(value) for value in joined.dictionary.to_pylist()]
        return codes, names

    def numbers(self, name: str, *, fill: int) -> Numbers:
        """Return a column of whole numbers, ``fill`` where there is none."""
        return np.asarray(self._table.column(name).cast(pa.int64()).fill_null(fill).to_numpy())

    def counts(self, name: str, rows: Mask) -> dict[str, int]:
        """Return how often each value of a text column occurs among the chosen rows."""
        codes, names = self.coded(name)
        found = np.bincount(codes[rows & (codes >= 0)], minlength=len(names))
        return {value: int(count) for value, count in sorted(zip(names, found, strict=True)) if count}

    def rows_of(self, number: int) -> Numbers:
        """Return the positions of the rows of a recording."""
        return self._order[self._bounds[number] : self._bounds[number + 1]]

    def folder_of(self, number: int) -> str:
        """Return the folder, below the data root, in which the first picture of a recording lies."""
        first = self._table.column("shard_uri")[int(self.rows_of(number)[0])].as_py()
        return str(first).rsplit("/", 1)[0]

    def shards(self) -> list[str]:
        """Return the distinct addresses of pictures, below the data root."""
        return sorted(str(uri) for uri in pc.unique(self._table.column("shard_uri").cast(pa.string())).to_pylist())

    @cached_property
    def _order(self) -> Numbers:
        return np.argsort(self.recording, kind="stable").astype(np.int64)

    @cached_property
    def _bounds(self) -> Numbers:
        return np.searchsorted(self.recording[self._order], np.arange(len(self.recordings) + 1)).astype(np.int64)


class FrameColumns(NamedTuple):
    """What the index says of one recording's rows of a manifest, in their order; ``unknown`` rows are not in it."""

    scored: Mask  # counted in the main score
    plain: Mask  # carries almost no information
    phash: npt.NDArray[np.uint64]
    numbers: dict[str, npt.NDArray[np.float64]]
    categories: dict[str, Numbers]  # flags as 1, 0 and -1 (missing), sizes by ``size_name``
    unknown: int


def read_frames(data_dir: str, view: ManifestView, number: int) -> FrameColumns:
    """Return the index columns of one recording's rows, found by their times."""
    rows = view.rows_of(number)
    uri = storage.join(data_dir, view.folder_of(number), "index.parquet")
    try:
        index = pq.read_table(storage.cached_copy(uri), schema=INDEX_SCHEMA)
    except (StorageError, pa.ArrowException, OSError):
        return _nothing(len(rows))
    times = index.column("pts_seconds").to_numpy()
    if not len(times):
        return _nothing(len(rows))
    at = np.clip(np.searchsorted(times, view.pts[rows] - TIME_TOLERANCE_SECONDS), 0, len(times) - 1)
    known = np.abs(times[at] - view.pts[rows]) <= TIME_TOLERANCE_SECONDS
    sharpness = _numbers(index, "sharpness")[at]
    return FrameColumns(
        scored=view.main[rows] & known,
        plain=_flags(index, "is_black")[at] | (sharpness < PLAIN_SHARPNESS),
        phash=_hashes(index)[at],
        numbers={name: _numbers(index, name)[at] for name in NUMBER_COLUMNS},
        categories={
            "is_black": _flag_codes(index, "is_black")[at],
            "is_silent": _flag_codes(index, "is_silent")[at],
            "source_size": _sizes(index)[at],
        },
        unknown=int(np.sum(~known)),
    )


def _nothing(rows: int) -> FrameColumns:
    empty: Mask = np.zeros(rows, np.bool_)
    return FrameColumns(empty, empty, np.zeros(rows, np.uint64), {}, {}, rows)


def _numbers(index: pa.Table, name: str) -> npt.NDArray[np.float64]:
    if name not in index.column_names:
        return np.full(len(index), np.nan)
    return np.asarray(index.column(name).cast(pa.float64()).fill_null(np.nan).to_numpy())


def _flags(index: pa.Table, name: str) -> Mask:
    return np.asarray(index.column(name).fill_null(False).to_numpy())


def _flag_codes(index: pa.Table, name: str) -> Numbers:
    """Return 1, 0 and -1 for true, false and missing."""
    if name not in index.column_names:
        return np.full(len(index), -1)
    return np.asarray(index.column(name).cast(pa.int64()).fill_null(-1).to_numpy())


def _sizes(index: pa.Table) -> Numbers:
    width, height = (index.column(name).cast(pa.int64()).fill_null(0).to_numpy() for name in ("width", "height"))
    return np.asarray(width * SIZE_BASE + height)


def _hashes(index: pa.Table) -> npt.NDArray[np.uint64]:
    try:
        together = bytes.fromhex("".join(index.column("phash").to_pylist()))
    except (TypeError, ValueError):
        return np.zeros(len(index), np.uint64)  # the suite ``frames`` says what is wrong with them
    hashes = np.frombuffer(together, ">u8").astype(np.uint64)
    return hashes if len(hashes) == len(index) else np.zeros(len(index), np.uint64)


def size_name(code: int) -> str:
    """Return the name of a size in ``categories``, such as 1280x720."""
    return f"{code // SIZE_BASE}x{code % SIZE_BASE}"
