"""The frames of a dataset version, as arrays.

samples = read_samples("s3://adbreak", dataset_id, "validation")
for start, images in iterate_images(samples, "s3://adbreak", batch_size=64): ...    # uint8 [n, 224, 224, 3]
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.frames import load_images
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
    """Read the scored frames of one split. Raises ObjectNotFound, and DatasetUnusable when a class is missing."""
    path = storage.cached_copy(storage.join(data_dir, "datasets", dataset_id, "manifest.parquet"))
    table = pq.read_table(path)
    columns = ["recording_id", "channel", "genre", "pts_seconds", "label", "shard_uri", "row"]
    wanted = (np.asarray(table["split"]) == split) & (np.asarray(table["label"]) >= 0)
    if "seen_creative" in table.column_names:
        wanted &= ~np.asarray(table["seen_creative"]).astype(bool)
    samples = Samples(*(np.asarray(table[name])[wanted] for name in columns))
    found = {int(label) for label in np.unique(samples.labels)}
    if found != {0, 1}:
        missing = " and ".join(name for value, name in ((1, "ads"), (0, "content")) if value not in found)
        raise DatasetUnusable(f"the {split} split of dataset {dataset_id} has no {missing}: label more recordings")
    return samples


def iterate_images(samples: Samples, data_dir: str, *, batch_size: int) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield (index of the first frame, uint8 [n, 224, 224, 3]) in order, at most ``batch_size`` frames of one shard."""
    boundaries = np.flatnonzero(samples.shard_uris[1:] != samples.shard_uris[:-1]) + 1
    starts = [0, *boundaries.tolist()]
    for start, end in zip(starts, [*starts[1:], len(samples.rows)], strict=True):
        path = storage.cached_copy(storage.join(data_dir, str(samples.shard_uris[start])))
        for first in range(start, end, batch_size):
            yield first, load_images(str(path), samples.rows[first : min(first + batch_size, end)])
