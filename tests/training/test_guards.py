"""What stops a training before it begins: a leak, a missing class, too little memory; and what it says that it uses."""

import numpy as np
import pyarrow as pa
import pytest
import tf_keras as keras
from colour_dataset import DATASET
from ml_training.data.manifest import STORED_SCHEMA, write_manifest
from ml_training.training.leaks import in_several, require_no_leak
from ml_training.training.resources import free_memory, needed_memory, require_memory, watch_resources
from ml_training.training.samples import read_samples
from ml_training.utils.errors import DatasetUnusable, TooLittleMemory


def version(tmp_path, rows):
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    names = ("recording_id", "split", "creative", "label", "seen_creative")
    columns = {name: [row[number] for row in rows] for number, name in enumerate(names)}
    columns |= {name: [""] * len(rows) for name in ("channel", "genre", "show", "label_name", "shard_uri")}
    columns |= {"pts_seconds": np.arange(len(rows), dtype=float), "row": np.zeros(len(rows), np.int32)}
    list(
        write_manifest(folder / "manifest.parquet", [pa.table(columns).select(STORED_SCHEMA.names).cast(STORED_SCHEMA)])
    )
    return str(tmp_path)


def test_a_clean_version_passes(training_root):
    require_no_leak(training_root, DATASET)


def test_a_creative_or_a_recording_in_two_splits_stops(tmp_path):
    rows = [("a", "train", "cola", 1, False), ("b", "test", "cola", 1, True), ("b", "test", "", 0, False)]
    require_no_leak(version(tmp_path / "seen", rows), "d")
    leaking = [rows[0], ("b", "test", "cola", 1, False)]
    with pytest.raises(DatasetUnusable, match=r"1 creative\(s\) are in several splits, such as cola"):
        require_no_leak(version(tmp_path / "creative", leaking), "d")
    moved = [("a", "train", "", 1, False), ("a", "test", "", 0, False)]
    with pytest.raises(DatasetUnusable, match=r"1 recording\(s\)"):
        require_no_leak(version(tmp_path / "recording", moved), "d")
    assert in_several(np.array([]), np.array([])) == []


def test_more_classes_bring_the_frames_that_two_leave_out(training_root):
    two = read_samples(training_root, DATASET, "train")
    three = read_samples(training_root, DATASET, "train", classes=["content", "ad", "promo"])
    assert np.bincount(two.labels).tolist() == [28, 40]
    assert np.bincount(three.labels).tolist() == [28, 40, 12]
    with pytest.raises(DatasetUnusable, match="has no ident"):
        read_samples(training_root, DATASET, "train", classes=["content", "ad", "ident"])


def test_a_batch_that_does_not_fit_is_told_what_would():
    layers = keras.layers
    model = keras.Sequential([layers.Input((100,)), layers.Dense(1000), layers.Dense(1)])
    needed = needed_memory(model, 1000)
    require_memory(model, 1000, free=2 * needed)
    with pytest.raises(TooLittleMemory, match="take a batch_size of at most") as caught:
        require_memory(model, 1000, free=needed // 2)
    fits = int(caught.value.message.rsplit(" ", 1)[1])
    require_memory(model, fits, free=needed // 2)
    with pytest.raises(TooLittleMemory, match="take a smaller network"):
        require_memory(model, 1, free=1000)
    assert free_memory() > 1 << 20


def test_what_a_training_uses_is_summed_up():
    with watch_resources(seconds=0.02) as watch:
        sum(number * number for number in range(400_000))
    summary = watch.summary()
    assert summary["memory_peak_bytes"] > 1 << 24
    assert summary["cpu_percent"] > 10
