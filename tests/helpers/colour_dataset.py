"""A dataset version of noisy pictures, and a model for it: red is content, blue an ad, and sound hums in ads only."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ml_training.cloud import storage
from ml_training.data.audio.sound import SAMPLE_RATE, encode_flac, shard_name
from ml_training.data.frames import encode_jpeg
from ml_training.data.manifest import STORED_SCHEMA, write_manifest

DATASET = "trainingdataset0"
TINY_MODEL = {
    "architecture": "mobilenet_v2", "pretrained": None, "width": 0.35, "input_size": 32, "dense_units": 8,
}  # fmt: skip
SPLITS = {"one": "train", "two": "train", "three": "validation", "four": "test"}
SECONDS, SHARD_SECONDS = 40, 24
COLOURS = {"content": (150, 70, 60), "ad": (70, 80, 150), "promo": (70, 150, 70)}


def label_at(second):
    """Content, ads from 10 s to 30 s, promos from 34 s on."""
    return "ad" if 10 <= second < 30 else "promo" if second >= 34 else "content"


def picture(generator, label):
    image = np.array(COLOURS[label]) + generator.normal(0, 25, (224, 224, 3)) + generator.normal(0, 15, 3)
    return np.clip(image, 0, 255).astype(np.uint8)


def sound(generator, label):
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    hum = 6000 * np.sin(2 * np.pi * 440 * times) if label == "ad" else 0.0
    return (hum + generator.normal(0, 300, SAMPLE_RATE)).astype(np.int16)


def write_recording(root, name, number):
    generator = np.random.default_rng(number)
    folder = root / "frames" / name / "x1"
    folder.mkdir(parents=True)
    labels = [label_at(second) for second in range(SECONDS)]
    sounds = [sound(generator, label) for label in labels]
    rows = []
    for shard_number, start in enumerate(range(0, SECONDS, SHARD_SECONDS)):
        seconds = range(start, min(start + SHARD_SECONDS, SECONDS))
        shard = f"frames-{shard_number:05d}.parquet"
        jpegs = [encode_jpeg(picture(generator, labels[second])) for second in seconds]
        pq.write_table(pa.table({"pts_seconds": [float(s) for s in seconds], "jpeg": jpegs}), folder / shard)
        (folder / shard_name(shard_number)).write_bytes(encode_flac(np.concatenate([sounds[s] for s in seconds])))
        rows += [(f"frames/{name}/x1/{shard}", row) for row in range(len(seconds))]
    facts = {"recording_id": name, "extraction_id": "x1", "shard_seconds": float(SHARD_SECONDS)}
    storage.write_json(str(folder / "extraction.json"), facts | {"sound": {"shards": 2}})
    texts = {"recording_id": name, "channel": f"channel-{name}", "genre": "news", "show": "", "split": SPLITS[name]}
    columns = {column: pa.repeat(value, SECONDS) for column, value in texts.items()}
    columns |= {
        "pts_seconds": np.arange(SECONDS, dtype=float),
        "label": np.array([{"ad": 1, "content": 0, "promo": -1}[label] for label in labels], np.int8),
        "label_name": labels,
        "creative": [f"{name}-{label}" if label != "content" else "" for label in labels],
        "seen_creative": np.zeros(SECONDS, bool),
        "shard_uri": [shard for shard, _ in rows],
        "row": np.array([row for _, row in rows], np.int32),
    }
    return pa.table(columns).cast(STORED_SCHEMA)


def make_dataset(root: Path) -> None:
    """Make the data root of the dataset version ``DATASET``."""
    folder = root / "datasets" / DATASET
    folder.mkdir(parents=True)
    tables = [write_recording(root, name, number) for number, name in enumerate(SPLITS)]
    list(write_manifest(folder / "manifest.parquet", tables))
