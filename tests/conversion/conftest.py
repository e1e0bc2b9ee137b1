"""A tiny dataset version: 3 recordings of 16 frames, in which ads are reddish and hiss, content bluish and quiet."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tf_keras as keras
from ml_training.cloud import storage
from ml_training.config.schema import TrainingConfig
from ml_training.data.audio.sound import SAMPLE_RATE, encode_flac, shard_name
from ml_training.data.frames import encode_jpeg
from ml_training.data.manifest import MANIFEST_SCHEMA
from ml_training.models.architectures import HEADS
from ml_training.models.blocks import classifier, picture_input
from ml_training.models.stages import split_at_embedding
from ml_training.models.stored import describe, save_parts
from ml_training.training.model_card import ModelCard

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


@pytest.fixture(scope="session")
def work_dir(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADBREAK_WORK_DIR", str(tmp_path_factory.mktemp("work")))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def config_of(architecture: str, **values: object) -> TrainingConfig:
    model = {
        "architecture": architecture,
        "trunk": "mobilenet_v2",
        "input_size": 64,
        "dense_units": 16,
        "sequence_units": 8,
        "mfcc_bands": 32,
        **values,
    }
    return TrainingConfig.model_validate({"model_type": "base", "variant": architecture[:5], "model": model})


def store_network(folder: Path, architecture: str, **values: object) -> str:
    """A float model of few layers with its card, as a training leaves them; it knows nothing."""
    config = config_of(architecture, **values)
    keras.utils.set_random_seed(2)
    section = config.model
    image = picture_input(section)
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu", name="stem_conv")(image)
    model = classifier(image, x, section, "mobilenet_v2")
    parts = {"model": model}
    if section.architecture in HEADS:
        parts = {"trunk": split_at_embedding(model)[0], "head": HEADS[section.architecture](section, embedding_size=16)}
    address = save_parts(parts, describe(config.model, 0.5), str(folder))
    card = ModelCard(
        model_name=config.model_name,
        run_id=folder.parent.name,
        dataset_id=DATASET_ID,
        config=config,
        code_version="x",
        threshold=0.5,
        validation_average_precision=0.5,
        mlflow_run_id=None,
        seconds=1.0,
        created_at=datetime.now(UTC),
    )
    storage.write_json(str(folder / "card.json"), card.model_dump(mode="json"))
    return address


@pytest.fixture(scope="session")
def store():
    """Stores an untrained model: ``store(folder, "temporal")`` returns its address."""
    return store_network
