"""Activations at the border between the frozen and the learning layers, computed once and kept in files.

    cache = compute_activations(lower, source, folder, copies=2, seed=1)     # float16 memory map [N * 2, 14, 14, 112]

What lies below the border never changes, so nothing is lost by computing it once; a picture is augmented ``copies - 1``
times before, or all pictures of a stretch of time alike, where a head looks at several of them. Each shard of frames
has its own file, named by the layers, the rows, the copy and the seed: a killed training finds what it had computed,
and the next night computes only what is new. Half precision keeps 11 bits, more than the int8 network that is made from
it has.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ml_training.data.augmentation.pictures import augment
from ml_training.data.pipeline.reading import resized
from ml_training.inference.scorer import scale
from ml_training.training.progress import Progress
from ml_training.training.samples import Samples, iterate_images
from ml_training.utils.hashing import code_version, short_hash

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
BATCH_SIZE = 16
STRETCH_SECONDS = 60.0  # of pictures that are changed alike


class Part(NamedTuple):
    """The frames of one shard in one copy, and the file that holds their activations."""

    samples: Samples
    copy: int
    path: Path


def compute_activations(
    lower: keras.Model,
    samples: Samples,
    data_dir: str,
    folder: Path,
    *,
    copies: int = 1,
    seed: int = 1,
    alike: bool = False,
) -> Array:
    """Run ``lower`` over every frame and its augmented copies; returns a memory map float16 [N * copies, ...].

    Entry ``i`` is copy ``i // N`` of frame ``i % N``; copy 0 is the frame itself. With ``alike`` a copy changes all
    frames of a ``stretch_numbers`` in the same way. The files lie below ``folder``.
    """
    parts = _parts(lower, samples, folder, copies, (seed, alike))
    missing = [part for part in parts if not part.path.is_file()]
    total = sum(len(part.samples.rows) for part in missing)
    known = len(samples.rows) * copies - total
    logger.info("activations: %d pictures to compute, %d are there", total, known)
    run = tf.function(lambda images: lower(images, training=False), reduce_retracing=True)
    progress = Progress("activations", total)
    size = int(lower.input_shape[1])
    with ThreadPoolExecutor(2) as pool:
        for part in missing:
            outputs = []
            for images in _changed(part, data_dir, seed, pool, alike=alike, size=size):
                outputs.append(run(tf.constant(scale(images))).numpy().astype(np.float16))
                progress.step(len(images))
            _write(part.path, np.concatenate(outputs))
    return _assemble(parts, folder, lower.output_shape[1:])


def stretch_numbers(pts_seconds: Array) -> npt.NDArray[np.int64]:
    """Return the stretch of its recording, of 60 seconds, in which each frame lies."""
    return np.floor(np.asarray(pts_seconds) / STRETCH_SECONDS).astype(np.int64)


def _parts(lower: keras.Model, samples: Samples, folder: Path, copies: int, change: tuple[int, bool]) -> list[Part]:
    digest = hashlib.sha256(b"".join(weights.tobytes() for weights in lower.get_weights()))
    layers = {
        "weights": digest.hexdigest(),
        "shape": f"{lower.input_shape} {lower.output_shape}",
        "code": code_version(),
    }
    boundaries = np.flatnonzero(samples.shard_uris[1:] != samples.shard_uris[:-1]) + 1
    groups = np.split(np.arange(len(samples.rows)), boundaries)
    parts = []
    for copy in range(copies):
        for group in groups:
            chosen = samples.take(group)
            facts = {"shard": str(chosen.shard_uris[0]), "rows": chosen.rows.tolist(), "copy": copy}
            name = short_hash({**layers, **facts, "change": list(change) if copy else None})
            parts.append(Part(chosen, copy, folder / f"{name}.npy"))
    return parts


def _write(path: Path, outputs: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        np.save(unfinished, outputs)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _changed(
    part: Part, data_dir: str, seed: int, pool: ThreadPoolExecutor, *, alike: bool, size: int
) -> Iterator[npt.NDArray[np.uint8]]:
    samples = part.samples
    shard = int(short_hash(str(samples.shard_uris[0])), 16)
    stretches = stretch_numbers(samples.pts_seconds) if alike else samples.rows
    for first, images in iterate_images(samples, data_dir, batch_size=BATCH_SIZE):
        changed: Sequence[npt.NDArray[np.uint8]] = list(images)
        if part.copy:
            numbers = stretches[first : first + len(images)]
            names = samples.recording_ids[first : first + len(images)] if alike else [None] * len(images)
            places = [int(short_hash(str(name)), 16) if alike else shard for name in names]
            generators = [
                np.random.default_rng([seed, part.copy, place, int(number)])
                for place, number in zip(places, numbers, strict=True)
            ]
            changed = list(pool.map(augment, changed, generators))
        yield np.stack([resized(image, size) for image in changed])


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
