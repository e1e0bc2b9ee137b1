"""What changed from one version to another: recordings, labels, creatives, config, and how much."""

import json
import shutil
from pathlib import Path

import pytest
from ml_training.config.schema import DataSection
from ml_training.data.dataset import build, main
from ml_training.data.dataset_diff import diff
from ml_training.data.labels import import_labels
from ml_training.utils.errors import DatasetUnusable

DATA = DataSection(split_shares={"train": 0.6, "validation": 0.15, "test": 0.25})


def say(root: Path, name: str, start: float, end: float, label: str) -> None:
    (root / "more.json").write_text(json.dumps({name: [{"start": start, "end": end, "label": label}]}))
    import_labels(str(root / "more.json"), str(root), source="person", author="ann")


def test_changes_of_labels_and_recordings_are_told(data_root: Path) -> None:
    root = str(data_root)
    shutil.move(data_root / "frames" / "two-02", data_root / "aside")
    first = build(root, DATA)
    assert first["changes"] is None
    shutil.move(data_root / "aside", data_root / "frames" / "two-02")
    say(data_root, "one-01", 1, 3.5, "promo")
    say(data_root, "one-02", 7, 7.5, "ad")
    second = build(root, DATA)
    found = diff(root, first["dataset_id"], second["dataset_id"])
    assert found["recordings"] == {
        "added": ["two-02"], "removed": [], "extracted_again": [], "moved": [], "relabelled": ["one-01", "one-02"]
    }  # fmt: skip
    assert found["relabelled_seconds"] == {"content > promo": 2.5, "promo > ad": 0.5}
    assert sum(sum(counts.values()) for counts in found["frames"].values()) == 8
    assert found["hours"] == pytest.approx(8 / 3600, abs=1e-4)
    assert found["config"] == {}
    assert second["parent"] == first["dataset_id"]
    assert second["changes"]["recordings"]["added"] == {"count": 1, "names": ["two-02"]}
    assert second["changes"]["relabelled_seconds"] == found["relabelled_seconds"]
    back = diff(root, second["dataset_id"], first["dataset_id"])
    assert (back["recordings"]["removed"], back["relabelled_seconds"]["promo > content"]) == (["two-02"], 2.5)


def test_creatives_and_config_are_compared(data_root: Path) -> None:
    root = str(data_root)
    first = build(root, DATA)
    say(data_root, "one-01", 4, 6, "ad")
    say(data_root, "one-02", 4, 6, "ad")
    other = DATA.model_copy(update={"label_classes": {**DATA.label_classes, "promo": "content"}})
    second = build(root, other)
    found = diff(root, first["dataset_id"], second["dataset_id"])
    assert found["creatives"]["removed"] == ["one-ad"]
    assert found["config"]["label_classes"][1]["promo"] == "content"
    assert second["parent"] is None, "another config has other parents"


def test_the_command_and_versions_that_are_not_there(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = build(str(data_root), DATA)["dataset_id"]
    assert main(["diff", first, first, "--data-dir", str(data_root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recordings"]["relabelled"] == []
    assert found["hours"] == 0
    with pytest.raises(DatasetUnusable, match="there is no dataset nothing"):
        diff(str(data_root), first, "nothing")
