"""How fast the input pipeline alone gives batches: pictures a second, by view, and what each change costs.

    make bench NAME=pipeline

Six generated recordings of two minutes are extracted, labelled and made a dataset version by the usual commands; their
shards are then copied twenty times under other names, so that more shards are read than are mixed at a time. The bar
holds for augmented single frames, as NumPy arrays and as tf.data, with two threads.
"""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ml_training.data.augmentation.pictures import ALTERATIONS, augment
from ml_training.data.pipeline.batches import Options, Pipeline
from ml_training.data.pipeline.examples import CLIPS, FRAMES, WINDOWS, View
from ml_training.data.pipeline.order import Shuffling, epoch_order
from ml_training.data.pipeline.selection import read_examples
from ml_training.data.pipeline.tensors import as_dataset
from ml_training.utils.errors import DatasetUnusable
from package_commands import command

BAR = 1000.0  # augmented pictures of 224x224 a second, on two cores
COPIES, SECONDS, WORKERS = 20, 10.0, 2
MANY = 10_000_000
SIDE_PIXELS = 224 * 224 * 3


class Rate(NamedTuple):
    """What one measurement found."""

    pictures_per_second: float
    cpu_ms: float  # of all threads, a picture
    batches: int


def make_archive(root: Path) -> str:
    """Make recordings, frames and a dataset version below ``root``; return the id of the version of all copies."""
    data = f"--data-dir={root}"
    generate = ["--recordings", "6", "--channels", "3", "--minutes", "2", "--workers", "2"]
    command("data.synthetic", "generate", "--output-dir", str(root), *generate)
    source = ["--video-source", str(root / "recordings"), "--output-dir", str(root / "frames")]
    command("data.collectors", "extract", *source)
    labels = ["--labels", str(root / "labels.json"), "--source", "generator", "--author", "bench"]
    command("data.labels", "import", data, *labels)
    built = command("data.dataset", "build", data, "--config", "base_model")
    return multiply(root, str(built["dataset_id"]))


def multiply(root: Path, dataset_id: str) -> str:
    """Copy all recordings of a version ``COPIES`` times into a version in which all frames are of the train split."""
    table = pq.read_table(root / "datasets" / dataset_id / "manifest.parquet")
    names, shards = (table[name].to_pylist() for name in ("recording_id", "shard_uri"))
    parts = []
    for copy in range(COPIES):
        for folder in {str(Path(shard).parent) for shard in shards}:
            target = root / "copies" / str(copy) / folder
            target.mkdir(parents=True)
            for file in (root / folder).iterdir():
                (target / file.name).write_bytes(file.read_bytes())
        columns = {name: table[name] for name in ("pts_seconds", "label", "row")}
        parts.append(
            pa.table(
                {
                    **columns,
                    "recording_id": [f"{name}-{copy}" for name in names],
                    "split": ["train"] * len(names),
                    "shard_uri": [f"copies/{copy}/{shard}" for shard in shards],
                }
            )
        )
    folder = root / "datasets" / "copies"
    folder.mkdir()
    pq.write_table(pa.concat_tables(parts), folder / "manifest.parquet")
    return "copies"


def measure(batches: Iterator[Any]) -> Rate:
    """Take batches for some seconds, after a first one; each is an array or a tensor of images, uint8."""
    next(batches)
    pictures = count = 0
    started, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < SECONDS:
        pictures, count = pictures + math.prod(next(batches).shape) // SIDE_PIXELS, count + 1
    seconds = time.perf_counter() - started
    return Rate(pictures / seconds, (time.process_time() - cpu) / pictures * 1000, count)


def rates(root: Path, dataset_id: str) -> dict[str, Rate]:
    """Measure each view, with and without augmentation, and through tf.data."""
    plain, changed = Options(augment=False, workers=WORKERS), Options(ad_share=0.5, workers=WORKERS)
    small = Options(batch_size=8, workers=WORKERS)
    found = {
        "frames, augmented": through_numpy(root, dataset_id, FRAMES, changed),
        "frames, augmented, tf.data": through_tensors(root, dataset_id, changed),
        "frames, as they are": through_numpy(root, dataset_id, FRAMES, plain),
        "windows of 5, augmented": through_numpy(root, dataset_id, WINDOWS, small),
    }
    try:
        found["clips of 10 with sound"] = through_numpy(root, dataset_id, CLIPS, small)
    except DatasetUnusable as error:
        print(f"clips: SKIPPED, {error.message}")
    return found


def through_numpy(root: Path, dataset_id: str, view: View, options: Options) -> Rate:
    """Measure the NumPy iterator of a view."""
    pipeline = Pipeline(read_examples(str(root), dataset_id, "train", view=view), options)
    return measure(batch.images for batch in pipeline.iterate())


def through_tensors(root: Path, dataset_id: str, options: Options) -> Rate:
    """Measure the tf.data form of single frames."""
    pipeline = Pipeline(read_examples(str(root), dataset_id, "train"), options)
    return measure(inputs["images"] for inputs, _, _ in as_dataset(pipeline))


def costs(root: Path, dataset_id: str) -> dict[str, float]:
    """Return the milliseconds of one thread that each kind of change takes, and a whole change on average."""
    pipeline = Pipeline(read_examples(str(root), dataset_id, "train"), Options(augment=False))
    images = next(pipeline.iterate(epochs=1)).images
    found = {}
    for name, change in [(k.name, lambda i, g, k=k: k.draw(g)(i)) for k in ALTERATIONS] + [("whole change", augment)]:
        change(images[0], np.random.default_rng(0))
        started = time.process_time()
        for number in range(300):
            change(images[number % len(images)], np.random.default_rng(number))
        found[name] = (time.process_time() - started) / 300 * 1000
    return found


def seconds_of_an_order() -> float:
    """Return how long the order of an epoch of ten million weighted examples takes."""
    groups, weights = np.repeat(np.arange(MANY // 250), 250), np.ones(MANY)
    started = time.perf_counter()
    epoch_order(groups, weights, Shuffling(1, 64), epoch=3)
    return time.perf_counter() - started


def main() -> int:
    """Measure, print the tables, and the figures beside their bars."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        dataset_id = make_archive(root)
        found, spent = rates(root, dataset_id), costs(root, dataset_id)
    print(f"\n{'view':<28}{'pictures/s':>12}{'CPU ms each':>14}")
    for name, rate in found.items():
        print(f"{name:<28}{rate.pictures_per_second:>12.0f}{rate.cpu_ms:>14.2f}")
    print(f"\n{'change':<28}{'CPU ms each':>12}{'share':>8}")
    shares = {kind.name: f"{kind.share:.0%}" for kind in ALTERATIONS}
    for name, milliseconds in spent.items():
        print(f"{name:<28}{milliseconds:>12.3f}{shares.get(name, ''):>8}")
    print(f"\norder of an epoch of {MANY:,} weighted examples: {seconds_of_an_order():.1f} s\n")
    judged = {name: found[name].pictures_per_second for name in ("frames, augmented", "frames, augmented, tf.data")}
    print("; ".join(f"{name}: {value:.0f} pictures/s >= {BAR:.0f}" for name, value in judged.items()))
    return 0 if min(judged.values()) >= BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
