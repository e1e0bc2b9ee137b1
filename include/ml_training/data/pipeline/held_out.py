"""Keeps pictures out of a training that look like what judges it.

    more = without_held_out(read_additional("s3://adbreak/hard_examples"), "s3://adbreak", dataset_id)
    more.passed_over["like a held-out frame"]

Devices watch the channels that recordings are made of: a hard example may show the very ad that the test set has never
shown to the training. Nothing names its creative, so its perceptual hash is compared with those of all frames of the
validation and test splits. It passes over too many pictures rather than too few: studios and black frames look alike.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.frames import perceptual_hash
from ml_training.data.pipeline.examples import PICTURE_FILE, Examples
from ml_training.data.pipeline.reading import ShardStore
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound

Hashes = npt.NDArray[np.uint8]  # [N, 8]

LIKE_BITS = 8  # of 64: on generated frames another encode, scale or colour changed at most 4, a logo 6 in 95 of 100
REASON = "like a held-out frame"
PARALLEL_REQUESTS = 8


def without_held_out(examples: Examples, data_dir: str, dataset_id: str) -> Examples:
    """Pass over the examples of single picture files that look like a frame of another split than train.

    Raises DatasetUnusable when there is no such dataset version, DataError when a picture is broken.
    """
    alone = np.flatnonzero(examples.rows[:, 0] == PICTURE_FILE)
    held_out = _held_out_hashes(data_dir, dataset_id)
    like = np.zeros(len(examples), bool)
    if len(alone) and len(held_out):
        store = ShardStore(pictures=1, sounds=1)
        like[alone] = _any_near([_hash(examples, int(number), store) for number in alone], held_out)
    kept = examples.take(~like)
    return replace(kept, passed_over={**examples.passed_over, REASON: int(like.sum())})


def _hash(examples: Examples, number: int, store: ShardStore) -> bytes:
    image = store.picture(str(examples.files[examples.file_numbers[number, 0]]), PICTURE_FILE)
    return bytes.fromhex(perceptual_hash(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)))


def _held_out_hashes(data_dir: str, dataset_id: str) -> Hashes:
    uri = storage.join(data_dir, "datasets", dataset_id, "manifest.parquet")
    try:
        path = storage.cached_copy(uri)
    except ObjectNotFound as error:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id") from error
    filters: Any = [("split", "in", ["validation", "test"])]
    shards = pq.read_table(path, columns=["shard_uri"], filters=filters)["shard_uri"].unique().to_pylist()
    folders = sorted({shard.rsplit("/", 1)[0] for shard in shards})
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        hashes = list(pool.map(lambda folder: _index_hashes(storage.join(data_dir, folder, "index.parquet")), folders))
    return np.concatenate([np.zeros((0, 8), np.uint8), *hashes])


def _index_hashes(uri: str) -> Hashes:
    texts = pq.read_table(storage.cached_copy(uri), columns=["phash"])["phash"].to_pylist()
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, 8)


def _any_near(hashes: list[bytes], others: Hashes) -> npt.NDArray[np.bool_]:
    """Tell which hashes differ in at most ``LIKE_BITS`` bits from at least one other."""
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(np.ascontiguousarray(others))
    distances, _ = index.search(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 8), 1)
    return np.asarray(distances[:, 0] <= LIKE_BITS)
