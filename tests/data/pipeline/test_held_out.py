"""A device's picture of what the test set shows is passed over, and nothing else is."""

import json

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_training.data.augmentation.pictures import ALTERATIONS
from ml_training.data.frames import encode_jpeg, perceptual_hash
from ml_training.data.pipeline.__main__ import main
from ml_training.data.pipeline.additional import read_additional
from ml_training.data.pipeline.held_out import REASON, without_held_out
from ml_training.utils.errors import DatasetUnusable

SPLITS = ("train", "validation", "test")
ADD_LOGO = next(kind for kind in ALTERATIONS if kind.name == "logo").draw


def scene(seed):
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (224, 224), interpolation=cv2.INTER_CUBIC), np.uint8)


def hash_of(image):
    return perceptual_hash(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def captured_again(image):
    """Return the picture with a logo that moves its hash by some bits."""
    for seed in range(100):
        changed = ADD_LOGO(np.random.default_rng(seed))(image)
        if 2 <= (int(hash_of(changed), 16) ^ int(hash_of(image), 16)).bit_count() <= 6:
            return changed
    raise AssertionError("no logo moves the hash by two to six bits")


@pytest.fixture
def root(tmp_path):
    """A version with one scene a split, and hard examples of these scenes, with another logo, and a fourth."""
    rows = []
    for seed, split in enumerate(SPLITS):
        folder = tmp_path / "frames" / split / "x"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"phash": [hash_of(scene(seed))]}), folder / "index.parquet")
        rows.append({"split": split, "shard_uri": f"frames/{split}/x/frames-00000.parquet"})
    (tmp_path / "datasets" / "d").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "datasets" / "d" / "manifest.parquet")
    folder = tmp_path / "hard_examples" / "pi" / "2026-01-05"
    folder.mkdir(parents=True)
    lines = []
    for seed in range(4):
        (folder / f"{seed}.jpg").write_bytes(encode_jpeg(captured_again(scene(seed))))
        at = "2026-01-05T20:00:00Z"
        lines.append({"file": f"{seed}.jpg", "device": "pi", "captured_at": at, "score": 0.5, "label": "ad"})
    (folder / "examples.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_what_validation_and_test_show_is_passed_over(root):
    kept = without_held_out(read_additional(str(root / "hard_examples")), str(root), "d")
    assert sorted(kept.files[number][-5:] for number in kept.file_numbers[:, 0]) == ["0.jpg", "3.jpg"]
    assert kept.passed_over[REASON] == 2


def test_a_missing_version_is_said(root):
    with pytest.raises(DatasetUnusable, match="no dataset absent"):
        without_held_out(read_additional(str(root / "hard_examples")), str(root), "absent")


def test_the_command_passes_over_them_too(pipeline_root, root, capsys):
    """The dataset of the other tests holds plain pictures out; these are none."""
    extra = ["--additional-data", str(root / "hard_examples"), "--batch-size", "4"]
    arguments = ["--json", "show", "--dataset", "pipelinedataset0", "--data-dir", str(pipeline_root), *extra]
    assert main(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["additional"] == 4
    assert shown["passed_over"][REASON] == 0
