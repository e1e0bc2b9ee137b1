"""Validation of a data root: what stops, what is set aside, what is only told, and the pages that are published."""

import json
from pathlib import Path

import pyarrow as pa
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
from ml_training.data.validation.scope import Scope
from ml_training.utils.errors import DataError, ValidationFailed
from ml_training.utils.records import Segment

SUITES = ("recordings", "frames", "audio", "labels", "dataset")
DATA = DataSection(split_shares={"train": 0.6, "validation": 0.15, "test": 0.25})


def test_good_data_passes_and_the_data_docs_are_published(data_root: Path) -> None:
    root = str(data_root)
    build(root, DATA)
    results = [validate(suite, Scope(root)) for suite in SUITES]
    assert [result["success"] for result in results] == [True] * 5
    assert [result["checked"] for result in results] == [6] * 5
    assert [result["failed"] for result in results] == [[]] * 5
    index = (data_root / "validation" / "data_docs" / "index.html").read_text()
    for result in results:
        assert result["run"] in index, "the index links this run and the earlier ones"
        assert list((data_root / "validation" / "data_docs" / "validations").glob(f"*/{result['run']}/*/*.html"))
        stored = data_root / "validation" / "runs" / result["run"] / "result.json"
        assert json.loads(stored.read_text()) == result


def test_a_bad_recording_is_set_aside_and_stays_so_until_it_is_tried_again(data_root: Path) -> None:
    root = str(data_root)
    extraction_id = read_extraction(root, "two-01")["extraction_id"]
    index = next((data_root / "frames" / "two-01").rglob("index.parquet"))
    good = index.read_bytes()
    table = pq.read_table(index)
    times = table.column("pts_seconds").to_numpy().copy()
    times[3] = times[2]
    pq.write_table(table.set_column(2, "pts_seconds", [times]), index)
    result = validate("frames", Scope(root))
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
    assert validate("frames", Scope(root, recordings=["two-01", "two-02"]))["checked"] == 1, "a retry passes over it"
    index.write_bytes(good)
    assert extract(source, str(data_root / "frames"))["quarantined"] == 1
    assert extract(source, str(data_root / "frames"), retry=True)["quarantined"] == 0
    assert read_current(root, "two-01") is not None


def test_wrong_labels_stop_the_night(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(data_root)
    past_end = [Segment(start_seconds=7, end_seconds=30, label="ad")]
    append_events(root, "three-02", past_end, source="person", author="ann")
    with pytest.raises(ValidationFailed, match="within_recording in three-02: expected that no label ends") as caught:
        validate("labels", Scope(root))
    assert caught.value.failed[0]["recording_id"] == "three-02"
    assert Path(caught.value.data_docs_uri).is_file(), "the pages are published also then"
    assert main(["run", "--suite", "labels", "--data-dir", root, "--json"]) == 1
    assert "within_recording" in capsys.readouterr().err
    assert main(["run", "--suite", "labels", "--data-dir", root, "--recordings", "one-01", "one-02"]) == 0


def test_recordings_that_nobody_labelled_yet_are_no_failure(data_root: Path) -> None:
    result = validate("labels", Scope(str(data_root), recordings=["new-01"]))
    assert (result["success"], result["checked"]) == (True, 0)
    assert [(w["recording_id"], w["expectation"]) for w in result["warnings"]] == [("new-01", "there")]


def test_a_leak_between_splits_stops_the_night(data_root: Path) -> None:
    root = str(data_root)
    dataset_id = build(root, DATA)["dataset_id"]
    path = data_root / "datasets" / dataset_id / "manifest.parquet"
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    at = groups[0].column_names.index("split")
    splits = groups[0].column("split").cast(pa.string()).to_pylist()
    splits[:3] = ["test" if splits[0] != "test" else "train"] * 3
    field = groups[0].schema.field(at)
    groups[0] = groups[0].set_column(at, field, pa.array(splits).cast(field.type))
    with pq.ParquetWriter(path, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)
    with pytest.raises(ValidationFailed, match="recording_in_one_split") as caught:
        validate("dataset", Scope(root))
    broken = {(entry["expectation"], entry.get("check")) for entry in caught.value.failed}
    assert {("verified", "files"), ("verified", "rows"), ("recording_in_one_split", None)} <= broken


def test_nothing_to_validate_is_said(tmp_path: Path) -> None:
    for suite, says in zip(SUITES, ("no frames", "no frames", "no frames", "no labels", "no dataset"), strict=True):
        with pytest.raises(DataError, match=f"there (are|is) {says}"):
            validate(suite, Scope(str(tmp_path)))


def test_a_damaged_index_sets_its_recording_aside_and_the_others_are_checked(data_root: Path) -> None:
    root = str(data_root)
    next((data_root / "frames" / "two-01").rglob("index.parquet")).write_bytes(b"PAR1 and nothing more")
    assert validate("recordings", Scope(root))["failed"] == [], "what others repeat is seen all the same"
    result = validate("frames", Scope(root))
    assert (result["checked"], result["quarantined"]) == (6, ["two-01"])
    assert "index.parquet cannot be read" in next(
        f["detail"] for f in result["failed"] if f["expectation"] == "index_readable"
    )


def test_a_copy_under_another_name_is_set_aside(data_root: Path) -> None:
    root = str(data_root)
    folder = data_root / "recordings" / "one" / "2026-01-01"
    for ending in (".ts", ".json"):
        (folder / f"again{ending}").write_bytes((folder / f"one-01{ending}").read_bytes())
    extract(str(folder), str(data_root / "frames"))
    result = validate("recordings", Scope(root, recordings=["again"]))
    assert (result["checked"], result["quarantined"]) == (1, ["again"])
    assert "copy_of one-01" in result["failed"][0]["detail"]
    assert validate("recordings", Scope(root))["quarantined"] == [], "the first one stays"


def test_named_recordings_that_are_in_quarantine_are_no_failure(data_root: Path) -> None:
    (data_root / "frames" / "two-01" / "current.json").unlink()
    for suite in ("recordings", "frames", "audio"):
        result = validate(suite, Scope(str(data_root), recordings=["two-01"]))
        assert (result["success"], result["checked"]) == (True, 0)
        assert "is it in quarantine?" in result["warnings"][0]["detail"]


def test_drift_is_measured_against_another_version(data_root: Path) -> None:
    root = str(data_root)
    first = build(root, DATA)["dataset_id"]
    own = validate("dataset", Scope(root, reference=first))["warnings"]
    assert not {"drift_measured", "little_drift"} & {warning["expectation"] for warning in own}
    gone = validate("dataset", Scope(root, dataset_id=first, reference="0" * 16))
    assert "drift_measured" in [warning["expectation"] for warning in gone["warnings"]]
    profile_path = data_root / "datasets" / first / "profile.json"
    profile = json.loads(profile_path.read_text())
    profile["numbers"]["luma"] = profile["numbers"]["luma"][::-1]
    profile |= {"dataset_id": "f" * 16, "recordings": 10_000}
    other = data_root / "datasets" / ("f" * 16) / "profile.json"
    other.parent.mkdir()
    other.write_text(json.dumps(profile))
    profile_path.unlink()
    drifted = Scope(root, dataset_id=first, reference="f" * 16)
    with pytest.raises(ValidationFailed, match="no_large_drift in luma"):
        validate("dataset", drifted)
    warnings = validate("dataset", drifted._replace(accept_drift=True))["warnings"]
    assert "luma" in [warning["feature"] for warning in warnings if warning["expectation"] == "little_drift"]
    assert profile_path.is_file(), "a version's profile is made when it is missing"


def test_options_of_another_suite_are_refused(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--suite", "frames", "--data-dir", str(data_root), "--reference", "abc"]) == 2
    assert "--reference is for the suite dataset" in capsys.readouterr().err
    assert main(["run", "--suite", "telemetry", "--data-dir", str(data_root), "--from-date", "yesterday"]) == 2
    assert "expected a day as 2026-01-05" in capsys.readouterr().err
