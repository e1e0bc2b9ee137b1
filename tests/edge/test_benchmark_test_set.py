"""The test set that travels: which frames it has, and that a device scores them exactly as this side does."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_training.edge import benchmark_test_set
from ml_training.edge.benchmark_test_set import BLOCK, choose_blocks, make_test_set
from ml_training.edge.on_device.model import Model
from ml_training.inference.stretch import stretch_of
from ml_training.training.split_frames import SplitFrames
from ml_training.utils.errors import DatasetUnusable

DATA = Path(__file__).resolve().parents[1] / "data_files"
MANIFEST = {
    "parts": [{"name": "trunk", "file": "trunk.tflite"}, {"name": "head", "file": "head.tflite"}],
    "view": {"name": "clips", "offsets_seconds": [-2.0, -1.0, 0.0], "sound_seconds": [-0.0375, 0.0375]},
    "mfcc_bands": 2, "labels": ["content", "ad"], "threshold": 0.5, "dataset_id": "d", "output": {"shape": [1, 1]},
}  # fmt: skip


@pytest.fixture
def split() -> SplitFrames:
    """Two recordings of a hundred seconds, each with one break; in the first, ten frames of the break do not count."""
    names = np.repeat(["a", "b"], 100)
    labels = np.zeros(200, np.int8)
    labels[40:70] = labels[150:170] = 1
    labels[60:70] = -1
    seconds = np.tile(np.arange(100.0), 2)
    none = np.full(200, "", object)
    return SplitFrames(names, none, none, none, seconds, labels, none, np.zeros(200, bool), none, np.arange(200))


def test_blocks_lie_around_borders_in_every_recording(split: SplitFrames) -> None:
    blocks = choose_blocks(split, 3 * BLOCK)
    assert [len(block) for block in blocks] == [BLOCK] * 3
    assert [{"a", "b"} & set(split.recording_ids[block]) for block in blocks] == [{"a"}, {"b"}, {"a"}]
    assert all({0, 1} == set(split.labels[block].tolist()) for block in blocks)
    assert len(choose_blocks(split, 1)) == 1
    assert choose_blocks(split.take(slice(0, 30)), 96) == []


def test_a_device_scores_it_as_this_side_does(
    split: SplitFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)
    monkeypatch.setattr(benchmark_test_set, "read_split_frames", lambda *_: split)
    monkeypatch.setattr(benchmark_test_set, "open_stretch", lambda frames, _: stretch_of(pictures, frames.pts_seconds))
    for name in ("trunk", "head"):
        shutil.copy(DATA / f"tiny_{name}.tflite", tmp_path / f"{name}.tflite")
    files = {f"{name}.tflite": (tmp_path / f"{name}.tflite").read_bytes() for name in ("trunk", "head")}
    content = make_test_set(files, MANIFEST, data_dir="data", frames=2 * BLOCK)
    assert content is not None
    (tmp_path / "test.npz").write_bytes(content)
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    with np.load(tmp_path / "test.npz") as test:
        assert test["places"].shape == (2 * BLOCK, 3)
        assert test["labels"].tolist().count(1) == BLOCK
        write_golden(tmp_path, dict(test))
    accuracy = Model(str(tmp_path), 1).accuracy(str(tmp_path / "test.npz"))
    assert (accuracy["frames"], accuracy["ads"], accuracy["max_score_difference"]) == (2 * BLOCK, BLOCK, 0.0)


def write_golden(folder: Path, test: dict[str, Any]) -> None:
    """Golden outputs are not what is tested here: any will do."""
    heard = {name: values[:1] for name, values in test.items() if name.startswith("head_")}
    golden = {"inputs": test["pictures"][:1], "outputs": np.zeros((1, 4), np.int8), **heard}
    golden |= {"head_embeddings": np.zeros((1, 3, 4), np.int8), "head_outputs": np.zeros((1, 1), np.int8)}
    np.savez(folder / "golden.npz", **golden)


def test_without_the_dataset_nothing_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> SplitFrames:
        raise DatasetUnusable("there is none")

    monkeypatch.setattr(benchmark_test_set, "read_split_frames", missing)
    assert make_test_set({}, MANIFEST, data_dir="data", frames=96) is None
    assert make_test_set({}, MANIFEST, data_dir="data", frames=0) is None


def test_without_a_border_nothing_travels(split: SplitFrames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_test_set, "read_split_frames", lambda *_: split.take(slice(0, 30)))
    assert make_test_set({}, MANIFEST, data_dir="data", frames=96) is None
