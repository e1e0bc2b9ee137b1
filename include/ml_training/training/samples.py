"""The frames of a dataset version, as arrays.

samples = read_samples("s3://adbreak", dataset_id, "validation")
samples = read_samples("s3://adbreak", dataset_id, "validation", classes=["content", "ad", "promo"])
for start, images in iterate_images(samples, "s3://adbreak", batch_size=64): ...    # uint8 [n, 224, 224, 3]
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_training.cloud import storage
from ml_training.data.frames import load_images
from ml_training.data.manifest import read_manifest
from ml_training.utils.errors import DatasetUnusable
from ml_training.utils.records import SCORED_LABELS, Split

Array = npt.NDArray[Any]


class Samples(NamedTuple):
    """Frames with their labels; every array has one entry a frame, in the order of recording and time."""

    recording_ids: Array
    channels: Array
    genres: Array
    pts_seconds: Array  # float64
    labels: Array  # int8: 1 ad, 0 content; or the number of the class
    shard_uris: Array
    rows: Array  # int32

    def take(self, chosen: Array) -> "Samples":
        """Return the frames that ``chosen`` (indices or mask) names."""
        return Samples(*(array[chosen] for array in self))


def read_samples(
    data_dir: str, dataset_id: str, split: Split, *, classes: Sequence[str] = ("content", "ad")
) -> Samples:
    """Read the scored frames of one split; of more than two ``classes``, all frames with such a label.

    With more than two, labels are the numbers of the classes. Raises DatasetUnusable when one of them is missing, or
    the whole version.
    """
    table = read_manifest(data_dir, dataset_id, compact=True)
    labels = table.column("label").to_numpy() if len(classes) == 2 else _class_numbers(table, split, classes)
    wanted = (texts(table.column("split")) == split) & (labels >= 0) & ~table.column("seen_creative").to_numpy()
    samples = Samples(
        recording_ids=texts(table.column("recording_id"), wanted),
        channels=texts(table.column("channel"), wanted),
        genres=texts(table.column("genre"), wanted),
        pts_seconds=table.column("pts_seconds").to_numpy()[wanted],
        labels=labels[wanted],
        shard_uris=texts(table.column("shard_uri"), wanted),
        rows=table.column("row").to_numpy()[wanted],
    )
    names = ("content", "ads") if len(classes) == 2 else classes
    missing = [name for number, name in enumerate(names) if number not in samples.labels]
    if missing:
        told = " and ".join(reversed(missing))
        raise DatasetUnusable(f"the {split} split of dataset {dataset_id} has no {told}: label more recordings")
    return samples


def _class_numbers(table: pa.Table, split: Split, classes: Sequence[str]) -> npt.NDArray[np.int8]:
    """Return the number of each frame's class, int8 [N]; -1 where it has none, or may not be seen in this split.

    Ads and content are taken where they are scored. Of the other classes a creative may air in several splits: what
    training sees is not judged on.
    """
    names = texts(table.column("label_name"))
    numbers = np.full(len(names), -1, np.int8)
    for number, name in enumerate(classes):
        numbers[names == name] = number
    scored = table.column("label").to_numpy() >= 0
    numbers[~scored & np.isin(names.astype(str), SCORED_LABELS)] = -1
    if split != "train":
        creatives = texts(table.column("creative")).astype(str)
        learned = np.unique(creatives[texts(table.column("split")) == "train"])
        numbers[~scored & np.isin(creatives, learned[learned != ""])] = -1
    return numbers


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
