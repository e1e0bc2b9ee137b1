"""The frames of a dataset version, as arrays.

samples = read_samples("s3://adbreak", dataset_id, "validation")
for start, images in iterate_images(samples, "s3://adbreak", batch_size=64): ...    # uint8 [n, 224, 224, 3]
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_training.cloud import storage
from ml_training.data.frames import load_images
from ml_training.data.manifest import read_manifest
from ml_training.utils.errors import DatasetUnusable
from ml_training.utils.records import Split

Array = npt.NDArray[Any]


class Samples(NamedTuple):
    """Frames with their labels; every array has one entry a frame, in the order of recording and time."""

    recording_ids: Array
    channels: Array
    genres: Array
    pts_seconds: Array  # float64
    labels: Array  # int8: 1 ad, 0 content
    shard_uris: Array
    rows: Array  # int32

    def take(self, chosen: Array) -> "Samples":
        """Return the frames that ``chosen`` (indices or mask) names."""
        return Samples(*(array[chosen] for array in self))


def read_samples(data_dir: str, dataset_id: str, split: Split) -> Samples:
    """Read the scored frames of one split. Raises DatasetUnusable when a class is missing, or the whole version."""
    table = read_manifest(data_dir, dataset_id, compact=True)
    wanted = (texts(table.column("split")) == split) & (table.column("label").to_numpy() >= 0)
    wanted &= ~table.column("seen_creative").to_numpy()
    samples = Samples(
        recording_ids=texts(table.column("recording_id"), wanted),
        channels=texts(table.column("channel"), wanted),
        genres=texts(table.column("genre"), wanted),
        pts_seconds=table.column("pts_seconds").to_numpy()[wanted],
        labels=table.column("label").to_numpy()[wanted],
        shard_uris=texts(table.column("shard_uri"), wanted),
        rows=table.column("row").to_numpy()[wanted],
    )
    found = {int(label) for label in np.unique(samples.labels)}
    if found != {0, 1}:
        missing = " and ".join(name for value, name in ((1, "ads"), (0, "content")) if value not in found)
        raise DatasetUnusable(f"the {split} split of dataset {dataset_id} has no {missing}: label more recordings")
    return samples


def texts(column: pa.ChunkedArray, wanted: Array | None = None) -> Array:
    """Return a column of dictionaries as objects, each text once in memory; of the rows ``wanted`` (mask) or of all."""
    unified = column.unify_dictionaries()
    if not unified.num_chunks:
        return np.array([], object)
    values = np.array(unified.chunk(0).dictionary.to_pylist(), object)
    numbers = np.concatenate([chunk.indices.to_numpy() for chunk in unified.chunks])
    return np.asarray(values[numbers if wanted is None else numbers[wanted]])


def iterate_images(samples: Samples, data_dir: str, *, batch_size: int) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield (index of the first frame, uint8 [n, 224, 224, 3]) in order, at most ``batch_size`` frames of one shard."""
    boundaries = np.flatnonzero(samples.shard_uris[1:] != samples.shard_uris[:-1]) + 1
    starts = [0, *boundaries.tolist()]
    for start, end in zip(starts, [*starts[1:], len(samples.rows)], strict=True):
        path = storage.cached_copy(storage.join(data_dir, str(samples.shard_uris[start])))
        for first in range(start, end, batch_size):
            yield first, load_images(str(path), samples.rows[first : min(first + batch_size, end)])
