"""Folders of clips become recordings with labels, once, and say what could not be taken."""

import json
import shutil
from pathlib import Path

import pytest
from ml_training.data.clips import find_clips, import_clips, read_facts
from ml_training.data.collectors import extract
from ml_training.data.dataset import main
from ml_training.data.labels import read_events, resolve
from ml_training.utils.errors import DataError, RecordingUnreadable


@pytest.fixture
def clips(tmp_path: Path, make_recording, steady_ticks) -> Path:
    """Two ads, one silent, and a game of a channel, as files of two seconds."""
    folder = tmp_path / "clips"
    make_recording(folder / "ads" / "soap 7.mp4", steady_ticks(2.0))
    make_recording(folder / "ads" / "car.ts", steady_ticks(2.0, start=5.0), audio=False)
    make_recording(folder / "games" / "arena" / "g1.mkv", steady_ticks(1.6))
    (folder / "ads" / "readme.txt").write_text("ten seconds each")
    return folder


def test_clips_become_labelled_recordings_that_extraction_finds(tmp_path: Path, clips: Path) -> None:
    root = tmp_path / "data"
    result = import_clips(str(clips), str(root), genre="sport")
    assert result["imported"] == ["ads-car", "ads-soap_7", "games-arena-g1"]
    assert result["without_sound"] == ["ads-car"]
    assert result["seconds"] == {"ad": 4.0, "content": 1.6}
    outcomes = {o["recording_id"]: o for o in extract(str(root / "recordings"), str(root / "frames"))["recordings"]}
    assert {name: o["status"] for name, o in outcomes.items()} == dict.fromkeys(result["imported"], "extracted")
    facts = {p.parent.parent.name: json.loads(p.read_text()) for p in (root / "frames").rglob("extraction.json")}
    assert {name: f["channel"] for name, f in facts.items()} == {
        "ads-car": "unknown",
        "ads-soap_7": "unknown",
        "games-arena-g1": "arena",
    }
    assert {f["genre"] for f in facts.values()} == {"sport"}
    for name, label in (("ads-car", "ad"), ("games-arena-g1", "content")):
        (segment,) = resolve(read_events(str(root), name))
        assert (segment.label, segment.start_seconds) == (label, 0)
        assert segment.end_seconds == pytest.approx(facts[name]["duration_seconds"], abs=0.001)


def test_imported_twice_nothing_is_added(tmp_path: Path, clips: Path) -> None:
    root = tmp_path / "data"
    import_clips(str(clips), str(root))
    stored = sorted(path for path in root.rglob("*") if path.is_file())
    again = import_clips(str(clips), str(root))
    assert (again["imported"], len(again["known"])) == ([], 3)
    assert sorted(path for path in root.rglob("*") if path.is_file()) == stored


def test_what_cannot_be_taken_is_told_and_the_rest_goes_on(tmp_path: Path, clips: Path) -> None:
    root = tmp_path / "data"
    (clips / "ads" / "broken.mp4").write_bytes(b"no film")
    shutil.copy(clips / "ads" / "soap 7.mp4", clips / "games" / "same.mp4")
    refused = import_clips(str(clips), str(root))["refused"]
    assert {Path(uri).name: reason.split(":")[0] for uri, reason in refused.items()} == {
        "broken.mp4": "broken.mp4 cannot be read",
        "same.mp4": f"it is the same file as {clips}/ads/soap 7.mp4, and is called ad there",
    }
    shutil.copy(clips / "ads" / "car.ts", clips / "games" / "arena" / "g1.mkv")
    refused = import_clips(str(clips), str(root))["refused"]
    assert any("is the same file as" in reason for reason in refused.values())
    (clips / "ads" / "car.ts").unlink()
    refused = import_clips(str(clips), str(root))["refused"]
    assert any("there is another recording games-arena-g1: rename the clip" in reason for reason in refused.values())


def test_empty_and_wrong_folders_are_told(tmp_path: Path, clips: Path, two_seconds: Path) -> None:
    with pytest.raises(DataError, match=r"there are no clips in .*: expected video files in ads/ \(ad\), games/"):
        import_clips(str(tmp_path), str(tmp_path / "data"))
    with pytest.raises(DataError, match="expected folders with labels among"):
        find_clips(str(clips), {"ads": "advert"}, "unknown")
    (tmp_path / "sound" / "ads").mkdir(parents=True)
    (tmp_path / "sound" / "ads" / "a.mp4").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 1 clips"):
        import_clips(str(tmp_path / "sound"), str(tmp_path / "data"))
    with pytest.raises(RecordingUnreadable):
        read_facts(tmp_path / "sound" / "ads" / "a.mp4")


def test_the_command_takes_other_folders(tmp_path: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "games").rename(clips / "trailers")
    arguments = ["import-clips", "--source", str(clips), "--data-dir", str(tmp_path / "data"), "--json"]
    assert main([*arguments, "--folders", '{"trailers": "promo"}', "--channel", "one"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] == {"promo": 1.6}
    assert main([*arguments, "--folders", "[1]"]) == 2
