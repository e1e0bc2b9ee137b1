"""Validation of a data root: what stops, what is set aside, what is only told, and the pages that are published."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ml_training.config.schema import DataSection
from ml_training.data.collectors import extract
from ml_training.data.dataset import build
from ml_training.data.frames import read_current, read_extraction
from ml_training.data.labels import append_events
from ml_training.data.scan import scan
from ml_training.data.validation.__main__ import main
from ml_training.data.validation.run import validate
from ml_training.utils.errors import DataError, ValidationFailed
from ml_training.utils.records import Segment

DATA = DataSection(split_shares={"train": 0.6, "validation": 0.15, "test": 0.25})


def test_good_data_passes_and_the_data_docs_are_published(data_root: Path) -> None:
    root = str(data_root)
    build(root, DATA)
    results = [validate(suite, root) for suite in ("frames", "labels", "dataset")]
    assert [result["success"] for result in results] == [True, True, True]
    assert [result["checked"] for result in results] == [6, 6, 6]
    assert [result["failed"] for result in results] == [[], [], []]
    index = (data_root / "validation" / "data_docs" / "index.html").read_text()
    for result in results:
        assert result["run"] in index, "the index links this run and the earlier ones"
        assert list((data_root / "validation" / "data_docs" / "validations").glob(f"*/{result['run']}/*/*.html"))
        assert json.loads((data_root / "validation" / result["run"] / "result.json").read_text()) == result


def test_a_bad_recording_is_set_aside_and_stays_so_until_it_is_tried_again(data_root: Path) -> None:
    root = str(data_root)
    extraction_id = read_extraction(root, "two-01")["extraction_id"]
    index = next((data_root / "frames" / "two-01").rglob("index.parquet"))
    good = index.read_bytes()
    table = pq.read_table(index)
    times = table.column("pts_seconds").to_numpy().copy()
    times[3] = times[2]
    pq.write_table(table.set_column(2, "pts_seconds", [times]), index)
    result = validate("frames", root)
    assert result["success"]
    assert result["quarantined"] == ["two-01"]
    assert [(f["recording_id"], f["expectation"], f["severity"]) for f in result["failed"]] == [
        ("two-01", "time_increases", "quarantine")
    ]
    assert read_current(root, "two-01") is None
    entry = json.loads((data_root / "quarantine" / "two-01" / "reason.json").read_text())
    assert (entry["stage"], entry["extraction_id"]) == ("validation", extraction_id)
    assert "timestamps increase strictly" in entry["reason"]
    assert "two-01" in build(root, DATA)["notes"][-1]
    source = str(data_root / "recordings" / "two")
    assert scan(source, data_dir=root)["quarantined"] == ["two-01"]
    assert validate("frames", root, recordings=["two-01", "two-02"])["checked"] == 1, "a retry passes over it"
    index.write_bytes(good)
    assert extract(source, str(data_root / "frames"))["quarantined"] == 1
    assert extract(source, str(data_root / "frames"), retry=True)["quarantined"] == 0
    assert read_current(root, "two-01") is not None


def test_wrong_labels_stop_the_night(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(data_root)
    past_end = [Segment(start_seconds=7, end_seconds=30, label="ad")]
    append_events(root, "three-02", past_end, source="person", author="ann")
    with pytest.raises(ValidationFailed, match="within_recording in three-02: expected that no label ends") as caught:
        validate("labels", root)
    assert caught.value.failed[0]["recording_id"] == "three-02"
    assert Path(caught.value.data_docs_uri).is_file(), "the pages are published also then"
    assert main(["run", "--suite", "labels", "--data-dir", root, "--json"]) == 1
    assert "within_recording" in capsys.readouterr().err
    assert main(["run", "--suite", "labels", "--data-dir", root, "--recordings", "one-01", "one-02"]) == 0


def test_recordings_that_nobody_labelled_yet_are_no_failure(data_root: Path) -> None:
    result = validate("labels", str(data_root), recordings=["new-01"])
    assert (result["success"], result["checked"]) == (True, 0)
    assert [(w["recording_id"], w["expectation"]) for w in result["warnings"]] == [("new-01", "labelled")]


def test_a_leak_between_splits_stops_the_night(data_root: Path) -> None:
    root = str(data_root)
    dataset_id = build(root, DATA)["dataset_id"]
    path = data_root / "datasets" / dataset_id / "manifest.parquet"
    table = pq.read_table(path)
    splits = np.array(table.column("split").to_pylist(), object)
    splits[:3] = "test" if splits[0] != "test" else "train"
    pq.write_table(table.set_column(4, "split", [splits]), path)
    with pytest.raises(ValidationFailed, match="recording_in_one_split"):
        validate("dataset", root)


def test_nothing_to_validate_is_said(tmp_path: Path) -> None:
    for suite, says in (("frames", "no frames"), ("labels", "no labels"), ("dataset", "no dataset")):
        with pytest.raises(DataError, match=f"there (are|is) {says}"):
            validate(suite, str(tmp_path))
