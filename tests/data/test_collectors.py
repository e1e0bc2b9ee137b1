"""Bringing recordings in: identity, quarantine, idempotence, the same bytes each time."""

import hashlib
import json
from pathlib import Path

import pytest
from ml_training.data import extraction
from ml_training.data.collectors import extract, main
from ml_training.data.frames import INDEX_SCHEMA, read_index
from ml_training.data.scan import scan
from ml_training.utils.errors import DataError, UsageError


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def source(tmp_path: Path, two_seconds: Path) -> Path:
    folder = tmp_path / "recordings"
    place = folder / "one" / "2026-01-05"
    place.mkdir(parents=True)
    (place / "news.ts").write_bytes(two_seconds.read_bytes())
    (place / "news.json").write_text(json.dumps({"channel": "other", "genre": "news"}))
    (folder / "flat.ts").write_bytes(two_seconds.read_bytes())
    (folder / "labels.json").write_text("{}")
    return folder


def statuses(result: dict) -> dict[str, str]:
    return {entry["recording_id"]: entry["status"] for entry in result["recordings"]}


def test_extracts_a_folder_and_finds_it_again(tmp_path: Path, source: Path) -> None:
    frames = tmp_path / "frames"
    assert statuses(extract(str(source), str(frames))) == {"news": "extracted", "flat": "extracted"}
    before = digests(frames)
    assert statuses(extract(str(source), str(frames))) == {"news": "known", "flat": "known"}
    assert digests(frames) == before
    facts = json.loads(next((frames / "news").glob("*/extraction.json")).read_text())
    assert (facts["channel"], facts["date"], facts["genre"]) == ("one", "2026-01-05", "news")
    assert (facts["frame_count"], facts["duration_seconds"], facts["has_audio"]) == (2, 2.0, True)
    flat = json.loads(next((frames / "flat").glob("*/extraction.json")).read_text())
    assert (flat["channel"], flat["date"]) == ("unknown", None)


def test_a_killed_extraction_starts_again_and_gives_the_same_bytes(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    extract(str(source / "flat.ts"), str(whole))

    def die(*arguments: object, **options: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "_summary", die)
        with pytest.raises(KeyboardInterrupt):
            extract(str(source / "flat.ts"), str(killed))
    assert [path.name for path in killed.rglob("*.json")] == []
    assert extract(str(source / "flat.ts"), str(killed))["status"] == "extracted"
    assert digests(killed) == digests(whole)


def test_shards_follow_the_clock(tmp_path: Path, make_recording, steady_ticks) -> None:
    path = make_recording(tmp_path / "r" / "a.ts", steady_ticks(12.0))
    assert extract(str(path), str(tmp_path / "frames"), frames_per_second=25.0)["frames"] == 300
    index = read_index(str(tmp_path), "a")
    assert index.schema.equals(INDEX_SCHEMA)
    assert index.column("frame_index").to_pylist() == list(range(300))
    rows = list(zip(index.column("pts_seconds").to_pylist(), index.column("shard").to_pylist(), strict=True))
    assert {name for time, name in rows if time < 256 / 25 - 1e-3} == {"frames-00000.parquet"}
    assert {name for time, name in rows if time > 256 / 25 - 1e-3} == {"frames-00001.parquet"}


def test_unreadable_recordings_are_set_aside_and_the_rest_goes_on(tmp_path: Path, source: Path) -> None:
    (source / "noise.ts").write_bytes(b"\x47 no transport stream" * 500)
    (source / "two words.ts").write_bytes((source / "flat.ts").read_bytes())
    (source / "z").mkdir()
    (source / "z" / "flat.ts").write_bytes(b"another recording of the same name")
    (source / "one" / "2026-01-05" / "news.json").write_text('{"gender": "news"}')
    result = extract(str(source), str(tmp_path / "frames"))
    assert {key: result[key] for key in ("extracted", "known", "quarantined")} == {
        "extracted": 1,
        "known": 0,
        "quarantined": 4,
    }
    reasons = {entry["recording_id"]: entry["reason"] for entry in result["recordings"] if entry["reason"]}
    assert "cannot be read" in reasons["noise"]
    assert "'two words' cannot be an id" in reasons["two_words"]
    assert "has the same recording id" in reasons["flat"]
    assert "the sidecar" in reasons["news"]
    assert "gender" in reasons["news"]
    entry = json.loads((tmp_path / "quarantine" / "noise" / "reason.json").read_text())
    assert entry["retry"].startswith("python -m ml_training.data.collectors extract --video-source")
    assert entry["source_uri"] == str(source / "noise.ts")
    assert (tmp_path / "quarantine" / "noise" / "noise.ts").read_bytes() == (source / "noise.ts").read_bytes()
    assert (source / "noise.ts").exists()


def test_what_is_in_quarantine_is_tried_again_only_when_asked_or_changed(tmp_path: Path, two_seconds: Path) -> None:
    data = two_seconds.read_bytes()
    recording = tmp_path / "recordings" / "a.ts"
    recording.parent.mkdir()
    recording.write_bytes(b"nothing" * 100)
    frames = str(tmp_path / "frames")
    assert extract(str(recording), frames)["status"] == "quarantined"
    assert scan(str(recording.parent), data_dir=str(tmp_path))["quarantined"] == ["a"]
    assert scan(str(recording.parent), data_dir=str(tmp_path))["recordings"] == []
    recording.write_bytes(data)
    assert [r["recording_id"] for r in scan(str(recording.parent), data_dir=str(tmp_path))["recordings"]] == ["a"]
    assert extract(str(recording), frames)["status"] == "extracted"
    assert not (tmp_path / "quarantine" / "a" / "reason.json").exists()


def test_scan_offers_new_and_changed_recordings(tmp_path: Path, source: Path) -> None:
    root = str(tmp_path)
    offered = scan(str(source), data_dir=root)
    assert [r["recording_id"] for r in offered["recordings"]] == ["flat", "news"]
    assert offered["recordings"][1] | {"uri": "", "bytes": 0} == {
        "recording_id": "news",
        "uri": "",
        "channel": "one",
        "date": "2026-01-05",
        "bytes": 0,
    }
    extract(str(source), str(tmp_path / "frames"))
    assert scan(str(source), data_dir=root) == {"recordings": [], "known": 2, "quarantined": [], "refused": []}
    assert len(scan(str(source), data_dir=root, frames_per_second=2.0)["recordings"]) == 2
    (source / "flat.json").write_text('{"genre": "sport"}')
    assert [r["recording_id"] for r in scan(str(source), data_dir=root)["recordings"]] == ["flat"]


def test_no_recordings_and_a_wrong_rate_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no recordings in"):
        extract(str(tmp_path), str(tmp_path / "frames"))
    with pytest.raises(UsageError, match="received 0"):
        extract(str(tmp_path), str(tmp_path / "frames"), frames_per_second=0)


def test_the_command_prints_one_line_of_json(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--json", "extract", "--video-source", str(source / "flat.ts"), "--output-dir", str(tmp_path / "f")]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["recording_id"], result["status"], result["frames"]) == ("flat", "extracted", 2)
