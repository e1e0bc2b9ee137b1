"""A tiny dataset version: 3 recordings of 16 frames, in which ads are reddish and hiss, content bluish and quiet."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_training.cloud import storage
from ml_training.data.audio.sound import SAMPLE_RATE, encode_flac, shard_name
from ml_training.data.frames import encode_jpeg
from ml_training.data.manifest import MANIFEST_SCHEMA

FRAMES = 16
SPLITS = {"one": "train", "two": "validation", "three": "test"}
DATASET_ID = "tinydataset00000"


def picture(generator, *, ad):
    image = generator.integers(0, 120, (224, 224, 3)).astype(np.uint8)
    image[:, :, 0 if ad else 2] += 100
    return image


def write_shard(root, recording, generator, labels):
    images = [encode_jpeg(picture(generator, ad=bool(label))) for label in labels]
    table = pa.table({"pts_seconds": np.arange(len(images), dtype=float), "jpeg": images})
    folder = root / "frames" / recording / "x"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "frames-00000.parquet")
    noise = generator.normal(0, 1, (len(labels), SAMPLE_RATE)) * np.where(labels, 6000, 200)[:, None]
    (folder / shard_name(0)).write_bytes(encode_flac(noise.ravel().astype(np.int16)))
    facts = {"recording_id": recording, "extraction_id": "x", "shard_seconds": float(FRAMES), "sound": {"shards": 1}}
    storage.write_json(str(folder / "extraction.json"), facts)
    return f"frames/{recording}/x/frames-00000.parquet"


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    tables = []
    for recording, split in SPLITS.items():
        labels = np.arange(FRAMES) % 4 == 0
        shard = write_shard(root, recording, generator, labels)
        tables.append(
            pa.table(
                {
                    "recording_id": [recording] * FRAMES,
                    "channel": [f"channel-{recording}"] * FRAMES,
                    "genre": ["news"] * FRAMES,
                    "show": [""] * FRAMES,
                    "split": [split] * FRAMES,
                    "pts_seconds": np.arange(FRAMES, dtype=float),
                    "label": labels.astype(np.int8),
                    "label_name": np.where(labels, "ad", "content"),
                    "creative": [""] * FRAMES,
                    "seen_creative": [False] * FRAMES,
                    "shard_uri": [shard] * FRAMES,
                    "row": np.arange(FRAMES, dtype=np.int32),
                },
                schema=MANIFEST_SCHEMA,
            )
        )
    folder = root / "datasets" / DATASET_ID
    folder.mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables), folder / "manifest.parquet")
    storage.write_json(str(folder / "card.json"), {"split_unit": "channel"})
    return str(root)
