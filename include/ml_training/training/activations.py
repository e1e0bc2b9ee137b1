"""Activations at the border between the frozen and the learning layers, computed once and kept in a file.

    cache = compute_activations(lower, source, path, copies=2, seed=1)     # float16 memory map [N * 2, 14, 14, 112]

What lies below the border never changes, so nothing is lost by computing it once; a picture is augmented ``copies - 1``
times before. Half precision keeps 11 bits, more than the int8 network that is made from it has.
"""

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ml_training.data.augmentation import augment
from ml_training.inference.scorer import scale
from ml_training.training.samples import Samples, iterate_images

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
BATCH_SIZE = 16
PROGRESS_SECONDS = 15.0


def compute_activations(
    lower: keras.Model, samples: Samples, data_dir: str, path: Path, *, copies: int = 1, seed: int = 1
) -> Array:
    """Run ``lower`` over every frame and its augmented copies; returns a memory map float16 [N * copies, ...].

    Entry ``i`` is copy ``i // N`` of frame ``i % N``; copy 0 is the frame itself. A finished file is found again by the
    mark beside it.
    """
    mark = path.with_suffix(".json")
    count = len(samples.labels)
    facts = {"count": count * copies, "seed": seed}
    if mark.is_file() and json.loads(mark.read_text()) == facts:
        return np.load(path, mmap_mode="r")
    path.parent.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    shape = (count * copies, *lower.output_shape[1:])
    cache = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    run = tf.function(lambda images: lower(images, training=False), reduce_retracing=True)
    started = spoke = time.monotonic()
    for done, (where, images) in enumerate(_batches(samples, data_dir, copies, seed), start=1):
        cache[where] = run(tf.constant(scale(images))).numpy()
        now = time.monotonic()
        if now - spoke > PROGRESS_SECONDS:
            spoke = now
            rate = done * BATCH_SIZE / (now - started)
            logger.info("activations: %.0f of %d pictures, %.0f a second", done * BATCH_SIZE, count * copies, rate)
    cache.flush()
    mark.write_text(json.dumps(facts))
    seconds = time.monotonic() - started
    logger.info("activations of %d pictures in %.1f s", count * copies, seconds)
    return cache


def _batches(samples: Samples, data_dir: str, copies: int, seed: int) -> Iterator[tuple[slice, npt.NDArray[np.uint8]]]:
    count = len(samples.labels)
    with ThreadPoolExecutor(2) as pool:
        for first, images in iterate_images(samples, data_dir, batch_size=BATCH_SIZE):
            for copy in range(copies):
                changed = images if copy == 0 else _augment_all(pool, images, first, copy, seed)
                start = copy * count + first
                yield slice(start, start + len(images)), changed


def _augment_all(
    pool: ThreadPoolExecutor, images: npt.NDArray[np.uint8], first: int, copy: int, seed: int
) -> npt.NDArray[np.uint8]:
    generators = [np.random.default_rng([seed, copy, first + i]) for i in range(len(images))]
    return np.stack(list(pool.map(augment, images, generators)))
