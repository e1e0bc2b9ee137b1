"""The table of a dataset version: one row a frame, with its label, its split and where its picture is.

    table = read_manifest("s3://adbreak", "4be1…")
    table.select(["pts_seconds", "label", "shard_uri", "row"])
    for rows in iterate_manifest("s3://adbreak", "4be1…"): ...        # a recording at a time, for millions of frames

| column | meaning |
| --- | --- |
| recording_id, channel, genre, show, split | of the recording; empty where it is not known |
| pts_seconds | media time of the frame |
| label | 1 ad, 0 content, -1 not scored: no label, a class that is ignored, or a creative of another split |
| label_name | the label as it was given; empty where there is none |
| creative | the creative that airs, as labels or the catalogue name it; empty for a frame of almost no information |
| seen_creative | in test only: the creative belongs to another split, so the frame counts only in that slice |
| shard_uri, row | the picture, below the data root |

A recording is a row group; texts are stored as dictionaries, so a frame takes some ten bytes.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.data.dataset_listing import ListedRecording, Listing
from ml_training.data.frames import extraction_folder
from ml_training.data.label_resolution import segment_numbers
from ml_training.data.masking import PLAIN_SHARPNESS, paint
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound
from ml_training.utils.records import Split

AD, CONTENT, NOT_SCORED = 1, 0, -1
CLASS_VALUES = {"ad": AD, "content": CONTENT, "ignore": NOT_SCORED}
INDEX_COLUMNS = ["pts_seconds", "shard", "row", "sharpness", "is_black"]

MANIFEST_SCHEMA = pa.schema(
    [
        ("recording_id", pa.string()),
        ("channel", pa.string()),
        ("genre", pa.string()),
        ("show", pa.string()),
        ("split", pa.string()),
        ("pts_seconds", pa.float64()),
        ("label", pa.int8()),
        ("label_name", pa.string()),
        ("creative", pa.string()),
        ("seen_creative", pa.bool_()),
        ("shard_uri", pa.string()),
        ("row", pa.int32()),
    ]
)
TEXT_COLUMNS = [field.name for field in MANIFEST_SCHEMA if field.type == pa.string()]
STORED_SCHEMA = pa.schema(
    [(f.name, pa.dictionary(pa.int32(), f.type) if f.name in TEXT_COLUMNS else f.type) for f in MANIFEST_SCHEMA]
)


def read_frames_index(data_dir: str, recording_id: str, extraction_id: str, columns: list[str]) -> pa.Table:
    """Return some columns of the index of an extraction. Raises ObjectNotFound when it is not there."""
    uri = storage.join(extraction_folder(data_dir, recording_id, extraction_id), "index.parquet")
    with pq.ParquetFile(storage.cached_copy(uri), read_dictionary=["shard"]) as file:
        return file.read(columns=columns, use_threads=False)


def plain_frames(index: pa.Table) -> npt.NDArray[np.bool_]:
    """Tell which frames carry almost no information: black, or a plain colour."""
    black = index.column("is_black").to_numpy()
    return np.asarray(black | (index.column("sharpness").to_numpy() < PLAIN_SHARPNESS), bool)


def recording_rows(
    listed: ListedRecording, index: pa.Table, label_classes: Mapping[Any, str], belongs_to: Mapping[str, Split]
) -> pa.Table:
    """Return the rows of one recording (``STORED_SCHEMA``), in order of time, from the index of its frames.

    Labels that ``label_classes`` does not name are taken as the schema's default takes them.
    """
    classes = {**DataSection().label_classes, **label_classes}
    pts, plain = index.column("pts_seconds").to_numpy(), plain_frames(index)
    numbers = segment_numbers(listed.labels, pts)
    foreign, shown = paint(listed.spans, pts, listed.split, belongs_to, plain)
    names = [label for _, _, label, _ in listed.segments]
    labels = np.array([*(CLASS_VALUES[classes[name]] for name in names), NOT_SCORED], np.int8)[numbers]
    if listed.split != "test":
        labels = np.where(foreign, np.int8(NOT_SCORED), labels)
    nothing = np.zeros(len(index), np.int32)
    columns = {
        **{
            name: _texts([getattr(listed, name)], nothing)
            for name in ("recording_id", "channel", "genre", "show", "split")
        },
        "pts_seconds": index.column("pts_seconds"),
        "label": labels,
        "label_name": _texts([*names, ""], numbers),
        "creative": _texts([*(name for _, _, name in listed.airings), ""], shown),
        "seen_creative": foreign & (listed.split == "test"),
        "shard_uri": _shard_addresses(index, f"frames/{listed.recording_id}/{listed.extraction_id}/"),
        "row": index.column("row"),
    }
    return pa.table(columns, schema=STORED_SCHEMA)


def derive_rows(data_dir: str, listed: ListedRecording, listing: Listing) -> tuple[pa.Table, pa.Table]:
    """Return the rows of a recording and the index of its frames that they are made from."""
    index = read_frames_index(data_dir, listed.recording_id, listed.extraction_id, INDEX_COLUMNS)
    return recording_rows(listed, index, listing.data.label_classes, listing.owners_of(listed)), index


def write_manifest(path: Path, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Write the rows of each recording to ``path`` and pass them on. The same rows give the same bytes."""
    options = {"compression": "zstd", "store_schema": False, "write_statistics": ["recording_id", "split"]}
    with pq.ParquetWriter(path, STORED_SCHEMA, use_dictionary=TEXT_COLUMNS, **options) as writer:
        for table in tables:
            if len(table):
                writer.write_table(table, row_group_size=len(table))
            yield table


def read_manifest(data_dir: str, dataset_id: str, *, compact: bool = False) -> pa.Table:
    """Return the manifest of a dataset version. Raises DatasetUnusable when there is no such version.

    Texts are strings (``MANIFEST_SCHEMA``), or with ``compact`` numbers of dictionaries (``STORED_SCHEMA``): ten
    million rows then take 0.5 GB instead of several.
    """
    path = manifest_path(data_dir, dataset_id)
    if compact:
        with pq.ParquetFile(path, read_dictionary=TEXT_COLUMNS) as file:
            return file.read().unify_dictionaries()
    return pq.read_table(path, schema=MANIFEST_SCHEMA)


def iterate_manifest(data_dir: str, dataset_id: str) -> Iterator[pa.Table]:
    """Yield the rows of each recording (``MANIFEST_SCHEMA``). Raises DatasetUnusable when there is no such version."""
    for rows in stored_rows(manifest_path(data_dir, dataset_id)):
        yield rows.cast(MANIFEST_SCHEMA)


def stored_rows(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of each recording with texts as dictionaries (``STORED_SCHEMA``): what takes little memory."""
    with pq.ParquetFile(path, read_dictionary=TEXT_COLUMNS) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, use_threads=False)


def manifest_path(data_dir: str, dataset_id: str) -> Path:
    """Return a local path of a version's manifest. Raises DatasetUnusable when there is no such version."""
    try:
        return storage.cached_copy(storage.join(data_dir, "datasets", dataset_id, "manifest.parquet"))
    except ObjectNotFound as error:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id") from error


def _texts(values: list[str], numbers: npt.NDArray[Any]) -> pa.DictionaryArray:
    """Return the texts that ``numbers`` pick; -1 picks the last one."""
    distinct = list(dict.fromkeys(values))
    places = np.array([distinct.index(value) for value in values], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(places[numbers]), pa.array(distinct, pa.string()))


def _shard_addresses(index: pa.Table, folder: str) -> pa.DictionaryArray:
    shards = index.column("shard").combine_chunks()
    shards = shards.dictionary_encode() if not isinstance(shards.type, pa.DictionaryType) else shards
    addresses = pc.binary_join_element_wise(folder, shards.dictionary.cast(pa.string()), "")
    return pa.DictionaryArray.from_arrays(shards.indices.cast(pa.int32()), addresses)
