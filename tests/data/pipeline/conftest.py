"""A dataset version whose pictures tell which recording and second they are of, with sound, a gap and a masked ad."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_training.cloud import storage
from ml_training.data.audio.sound import SAMPLE_RATE, encode_flac, shard_name
from ml_training.data.frames import encode_jpeg, perceptual_hash
from ml_training.data.pipeline.examples import FRAMES
from ml_training.data.pipeline.selection import read_examples

DATASET = "pipelinedataset0"
SHARD_ROWS = 16
SPLITS = {"gapless": "train", "holed": "train", "mute": "train", "held": "validation", "judged": "test"}
SECONDS = 40


def picture(recording, second):
    """A plain picture: red tells the recording, green the second."""
    return np.full((224, 224, 3), (40 * list(SPLITS).index(recording) + 20, 6 * second + 5, 128), np.uint8)


def identify(image):
    """Return (recording, second) of a picture that was not augmented."""
    red, green, _ = np.median(image.reshape(-1, 3), axis=0)
    return list(SPLITS)[round((red - 20) / 40)], round((green - 5) / 6)


def sound_of(recording, seconds):
    """Every sample tells the second it is of."""
    return np.repeat(np.array(seconds), SAMPLE_RATE).astype(np.int16) * 100 + list(SPLITS).index(recording)


def label_of(second):
    """Content, then ads from 20 s to 30 s, then promos (not scored), then content."""
    return "ad" if 20 <= second < 30 else "promo" if 30 <= second < 33 else "content"


def write_recording(root, recording):
    seconds = [s for s in range(SECONDS) if not (recording == "holed" and 8 <= s < 11)]
    folder = root / "frames" / recording / "x1"
    folder.mkdir(parents=True)
    rows = []
    for number in range(-(-SECONDS // SHARD_ROWS)):
        here = [s for s in seconds if s // SHARD_ROWS == number]
        jpegs = [encode_jpeg(picture(recording, s)) for s in here]
        shard = f"frames-{number:05d}.parquet"
        pq.write_table(pa.table({"pts_seconds": [float(s) for s in here], "jpeg": jpegs}), folder / shard)
        rows += [(s, f"frames/{recording}/x1/{shard}", row) for row, s in enumerate(here)]
        if recording != "mute":
            end = min(SECONDS, (number + 1) * SHARD_ROWS)
            sound = sound_of(recording, range(number * SHARD_ROWS, end))
            (folder / shard_name(number)).write_bytes(encode_flac(sound))
    facts = {"recording_id": recording, "extraction_id": "x1", "shard_seconds": float(SHARD_ROWS)}
    hashes = [perceptual_hash(picture(recording, s)[:, :, 1]) for s in seconds]
    pq.write_table(pa.table({"phash": hashes}), folder / "index.parquet")
    storage.write_json(
        str(folder / "extraction.json"), facts | {"sound": {"shards": 3} if recording != "mute" else None}
    )
    return rows


def manifest_of(recording, rows):
    """At 22 s of the first recording, and from 25 s to 30 s of the test recording, an ad of another split airs."""
    seconds = np.array([s for s, _, _ in rows])
    names = [label_of(s) for s in seconds]
    foreign = np.array(
        [(recording == "gapless" and s == 22) or (recording == "judged" and 25 <= s < 30) for s in seconds]
    )
    labels = np.array([{"ad": 1, "content": 0, "promo": -1}[name] for name in names], np.int8)
    split = SPLITS[recording]
    return pa.table(
        {
            "recording_id": [recording] * len(rows),
            "split": [split] * len(rows),
            "pts_seconds": seconds + 0.01,
            "label": np.where(foreign & (split != "test"), np.int8(-1), labels),
            "label_name": names,
            "creative": [
                f"{recording}-ad" if name == "ad" and s != 22 else "" for name, s in zip(names, seconds, strict=True)
            ],
            "seen_creative": foreign & (split == "test"),
            "shard_uri": [shard for _, shard, _ in rows],
            "row": np.array([row for _, _, row in rows], np.int32),
        }
    )


@pytest.fixture(scope="session")
def pipeline_root(tmp_path_factory):
    """The data root of the dataset version ``DATASET``."""
    root = tmp_path_factory.mktemp("pipeline")
    tables = [manifest_of(recording, write_recording(root, recording)) for recording in SPLITS]
    folder = root / "datasets" / DATASET
    folder.mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables), folder / "manifest.parquet")
    return root


@pytest.fixture(scope="session")
def training_frames(pipeline_root):
    """The single frames of the train split."""
    return read_examples(str(pipeline_root), DATASET, "train", view=FRAMES)


@pytest.fixture
def what():
    """How to recognise a picture and a sound of the fixture."""
    return identify, sound_of
