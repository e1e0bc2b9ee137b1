"""Activations at the border between the frozen and the learning layers, computed once and kept in files.

    cache = compute_activations(lower, source, folder, copies=2, seed=1)     # float16 memory map [N * 2, 14, 14, 112]

What lies below the border never changes, so nothing is lost by computing it once; a picture is augmented ``copies - 1``
times before. Each shard of frames has its own file, named by the layers, the rows, the copy and the seed: a killed
training finds what it had computed, and the next night computes only what is new. Half precision keeps 11 bits, more
than the int8 network that is made from it has.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ml_training.data.augmentation.pictures import augment
from ml_training.inference.scorer import scale
from ml_training.training.samples import Samples, iterate_images
from ml_training.utils.hashing import code_version, short_hash

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
BATCH_SIZE = 16
PROGRESS_SECONDS = 15.0


class Part(NamedTuple):
    """The frames of one shard in one copy, and the file that holds their activations."""

    samples: Samples
    copy: int
    path: Path


def compute_activations(
    lower: keras.Model, samples: Samples, data_dir: str, folder: Path, *, copies: int = 1, seed: int = 1
) -> Array:
    """Run ``lower`` over every frame and its augmented copies; returns a memory map float16 [N * copies, ...].

    Entry ``i`` is copy ``i // N`` of frame ``i % N``; copy 0 is the frame itself. The files lie below ``folder``.
    """
    parts = _parts(lower, samples, folder, copies, seed)
    missing = [part for part in parts if not part.path.is_file()]
    total = sum(len(part.samples.rows) for part in missing)
    known = len(samples.rows) * copies - total
    logger.info("activations: %d pictures to compute, %d are there", total, known)
    run = tf.function(lambda images: lower(images, training=False), reduce_retracing=True)
    progress = _Progress(total)
    with ThreadPoolExecutor(2) as pool:
        for part in missing:
            _compute_part(run, part, data_dir, seed, pool, progress)
    return _assemble(parts, folder, lower.output_shape[1:])


def _parts(lower: keras.Model, samples: Samples, folder: Path, copies: int, seed: int) -> list[Part]:
    digest = hashlib.sha256(b"".join(weights.tobytes() for weights in lower.get_weights()))
    layers = {"weights": digest.hexdigest(), "shape": str(lower.output_shape), "code": code_version()}
    boundaries = np.flatnonzero(samples.shard_uris[1:] != samples.shard_uris[:-1]) + 1
    groups = np.split(np.arange(len(samples.rows)), boundaries)
    parts = []
    for copy in range(copies):
        for group in groups:
            chosen = samples.take(group)
            facts = {"shard": str(chosen.shard_uris[0]), "rows": chosen.rows.tolist(), "copy": copy}
            name = short_hash({**layers, **facts, "seed": seed if copy else None})
            parts.append(Part(chosen, copy, folder / f"{name}.npy"))
    return parts


def _compute_part(
    run: Any, part: Part, data_dir: str, seed: int, pool: ThreadPoolExecutor, progress: "_Progress"
) -> None:
    outputs = []
    for images in _changed(part, data_dir, seed, pool):
        outputs.append(run(tf.constant(scale(images))).numpy().astype(np.float16))
        progress.step(len(images))
    part.path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = part.path.with_name(f".part-{os.getpid()}-{part.path.name}")
    try:
        np.save(unfinished, np.concatenate(outputs))
        unfinished.replace(part.path)
    finally:
        unfinished.unlink(missing_ok=True)


def _changed(part: Part, data_dir: str, seed: int, pool: ThreadPoolExecutor) -> Iterator[npt.NDArray[np.uint8]]:
    shard = int(short_hash(str(part.samples.shard_uris[0])), 16)
    for first, images in iterate_images(part.samples, data_dir, batch_size=BATCH_SIZE):
        if part.copy == 0:
            yield images
            continue
        rows = part.samples.rows[first : first + len(images)]
        generators = [np.random.default_rng([seed, part.copy, shard, int(row)]) for row in rows]
        yield np.stack(list(pool.map(augment, images, generators)))


def _assemble(parts: list[Part], folder: Path, shape: tuple[int, ...]) -> Array:
    """Lay all parts into one file for random access; the file is gone from the folder as soon as it is open."""
    count = sum(len(part.samples.rows) for part in parts)
    path = folder / f".whole-{os.getpid()}-{parts[0].path.name}"
    whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count, *shape))
    path.unlink()
    start = 0
    for part in parts:
        end = start + len(part.samples.rows)
        whole[start:end] = np.load(part.path)
        start = end
    return whole


class _Progress:
    """Says how many pictures are done, and how long the rest takes."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.started = self.spoke = time.monotonic()

    def step(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.spoke > PROGRESS_SECONDS or self.done == self.total:
            self.spoke = now
            rate = self.done / max(now - self.started, 1e-9)
            left = (self.total - self.done) / rate
            logger.info("activations: %d of %d, %.0f a second, %.0f s left", self.done, self.total, rate, left)
