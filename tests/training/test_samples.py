"""The frames that training reads from a manifest: those of one split that are scored, in compact form."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from ml_training.data.manifest import STORED_SCHEMA, iterate_manifest, read_manifest, write_manifest
from ml_training.training.samples import read_samples
from ml_training.utils.errors import DatasetUnusable

FRAMES = 6


def rows(name: str, split: str, labels: list[int], seen: list[bool] | None = None) -> pa.Table:
    texts = {"recording_id": name, "channel": f"channel of {name}", "genre": "news", "show": "", "split": split}
    columns = {column: pa.repeat(value, FRAMES) for column, value in texts.items()}
    columns |= {
        "pts_seconds": np.arange(FRAMES, dtype=float),
        "label": np.array(labels, np.int8),
        "label_name": pa.repeat("", FRAMES),
        "creative": pa.repeat("", FRAMES),
        "seen_creative": np.array(seen or [False] * FRAMES),
        "shard_uri": [f"frames/{name}/{number // 4}" for number in range(FRAMES)],
        "row": np.arange(FRAMES, dtype=np.int32) % 4,
    }
    return pa.table(columns).cast(STORED_SCHEMA)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A version of four recordings, one of them without frames."""
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    tables = [
        rows("a", "train", [1, 0, -1, 0, 1, 0]),
        rows("b", "test", [1, 1, 0, 0, 1, 0], [True, False, False, False, True, False]),
        rows("c", "train", [0] * FRAMES)[:0],
        rows("d", "train", [0, -1, -1, -1, -1, 1]),
    ]
    assert [len(table) for table in write_manifest(folder / "manifest.parquet", tables)] == [6, 6, 0, 6]
    return tmp_path


def test_scored_frames_of_a_split_are_read_in_order(root: Path) -> None:
    train = read_samples(str(root), "d", "train")
    assert train.recording_ids.tolist() == ["a"] * 5 + ["d"] * 2
    assert train.channels.tolist() == ["channel of a"] * 5 + ["channel of d"] * 2
    assert train.labels.tolist() == [1, 0, 0, 1, 0, 0, 1]
    assert train.pts_seconds.tolist() == [0, 1, 3, 4, 5, 0, 5]
    assert train.shard_uris[-2:].tolist() == ["frames/d/0", "frames/d/1"]
    assert train.rows.tolist() == [0, 1, 3, 0, 1, 0, 1]
    assert train.take(train.labels == 1).recording_ids.tolist() == ["a", "a", "d"]


def test_creatives_that_training_has_seen_are_left_out_of_the_test(root: Path) -> None:
    assert read_samples(str(root), "d", "test").pts_seconds.tolist() == [1, 2, 3, 5]


def test_a_missing_class_or_version_is_told(root: Path) -> None:
    with pytest.raises(DatasetUnusable, match="the validation split of dataset d has no ads and content"):
        read_samples(str(root), "d", "validation")
    with pytest.raises(DatasetUnusable, match="there is no dataset nothing"):
        read_samples(str(root), "nothing", "train")


def test_a_manifest_is_read_whole_compact_or_by_recording(root: Path) -> None:
    whole = read_manifest(str(root), "d")
    assert read_manifest(str(root), "d", compact=True).cast(whole.schema).equals(whole)
    parts = list(iterate_manifest(str(root), "d"))
    assert [part.column("recording_id")[0].as_py() for part in parts] == ["a", "b", "d"]
    assert pa.concat_tables(parts).equals(whole)
