"""Which recordings a scan and a sweep offer: dates, channels, what came late, what is remembered."""

import json
import os
from pathlib import Path

import pytest
from ml_training.cloud import storage
from ml_training.data.collectors import main
from ml_training.data.scan import Selection, scan
from ml_training.data.sweep import remember
from ml_training.utils.errors import DataError, UsageError

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two channels with one file a day, and one beside the layout whose sidecar tells where it belongs."""
    for channel in ("one", "two"):
        for day in DAYS:
            put(tmp_path, f"{channel}/{day}/{channel}-{day}.ts")
    put(tmp_path, "flat.ts")
    put(tmp_path, "flat.json", '{"channel": "two", "start_time": "2026-01-06T20:15:00Z"}')
    return tmp_path


def put(root: Path, name: str, content: str = "bytes") -> Path:
    path = root / "recordings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def offered(root: Path, **options: object) -> list[str]:
    found = scan(str(root / "recordings"), data_dir=str(root), **options)  # type: ignore[arg-type]
    return [recording["recording_id"] for recording in found["recordings"]]


def sweep(root: Path, *, without: tuple[Path, ...] = ()) -> list[str]:
    """One sweep whose work ends well, but for the files ``without``."""
    found = scan(str(root / "recordings"), data_dir=str(root), new_only=True, note_look=True)
    if found["look"]:
        remember(found["look"], data_dir=str(root), without=[str(path) for path in without])
    return [one["recording_id"] for one in found["recordings"]]


def test_a_selection_holds_exactly_its_days_and_channels(root: Path) -> None:
    assert offered(root, selection=Selection("2026-01-06", "2026-01-06")) == [
        "flat", "one-2026-01-06", "two-2026-01-06",
    ]  # fmt: skip
    assert offered(root, selection=Selection("2026-01-06", None, ["one"])) == ["one-2026-01-06", "one-2026-01-07"]
    assert offered(root, selection=Selection(None, "2026-01-05")) == ["one-2026-01-05", "two-2026-01-05"]
    assert offered(root, selection=Selection(channels=["two"])) == ["flat", *(f"two-{day}" for day in DAYS)]
    assert offered(root, selection=Selection("2025-01-01", "2025-12-31")) == []
    assert len(offered(root)) == 7


def test_refused_files_belong_to_a_selection_too(root: Path) -> None:
    put(root, "one/2026-01-06/two words.ts")
    for day, count in (("2026-01-06", 1), ("2026-01-07", 0)):
        found = scan(str(root / "recordings"), data_dir=str(root), selection=Selection(day, day))
        assert len(found["refused"]) == count


@pytest.mark.parametrize("dates", [("2026-1-5", None), ("2026-01-32", None), ("2026-01-07", "2026-01-06")])
def test_wrong_dates_are_said(root: Path, dates: tuple[str, str | None]) -> None:
    with pytest.raises(UsageError, match="date"):
        offered(root, selection=Selection(*dates))
    with pytest.raises(UsageError, match="every channel and date"):
        offered(root, selection=Selection(channels=["one"]), new_only=True)


def test_a_sweep_offers_what_came_or_changed_whatever_its_date_and_its_time(root: Path) -> None:
    assert len(sweep(root)) == 7
    assert sweep(root) == []
    late = put(root, "one/2019-03-01/late.ts")
    os.utime(late, (0, 0))  # copied with the time of its original
    put(root, "two/2026-01-05/two-2026-01-05.ts", "cut again")
    put(root, "one/2026-01-07/one-2026-01-07.json", json.dumps({"show": "tonight"}))
    assert sweep(root) == ["late", "one-2026-01-07", "two-2026-01-05"]
    assert sweep(root) == []


def test_a_sweep_offers_again_what_a_run_did_not_finish(root: Path) -> None:
    lost = root / "recordings" / "one" / "2026-01-05" / "one-2026-01-05.ts"
    assert len(sweep(root, without=(lost,))) == 7
    assert sweep(root) == ["one-2026-01-05"]
    found = scan(str(root / "recordings"), data_dir=str(root), new_only=True, note_look=True)
    assert (found["recordings"], found["known"], found["look"]) == ([], 7, "")


def test_a_run_that_dies_before_it_remembers_is_made_good_by_the_next_sweep(root: Path) -> None:
    scan(str(root / "recordings"), data_dir=str(root), new_only=True, note_look=True)
    assert len(sweep(root)) == 7


def test_what_a_backfill_finished_is_not_swept(root: Path) -> None:
    day = Selection("2026-01-06", "2026-01-06")
    found = scan(str(root / "recordings"), data_dir=str(root), selection=day, note_look=True)
    remember(found["look"], data_dir=str(root))
    assert sweep(root) == [f"{channel}-{day}" for channel in ("one", "two") for day in (DAYS[0], DAYS[2])]


def test_a_refused_file_is_told_once(root: Path) -> None:
    put(root, "two words.ts")
    found = scan(str(root / "recordings"), data_dir=str(root), new_only=True, note_look=True)
    assert [refused["recording_id"] for refused in found["refused"]] == ["two_words"]
    remember(found["look"], data_dir=str(root))
    assert scan(str(root / "recordings"), data_dir=str(root), new_only=True)["refused"] == []


def test_files_that_are_gone_are_forgotten_and_looked_at_again_when_they_return(root: Path) -> None:
    sweep(root)
    path = root / "recordings" / "flat.ts"
    path.unlink()
    assert sweep(root) == []
    path.write_text("bytes")
    assert sweep(root) == ["flat"]


def test_each_mode_is_remembered_by_itself(root: Path) -> None:
    sweep(root)
    assert len(offered(root, mode="keyframes", new_only=True)) == 7
    assert offered(root, new_only=True) == []


def test_each_frame_rate_is_remembered_by_itself_and_remembering_twice_does_no_harm(root: Path) -> None:
    found = scan(str(root / "recordings"), data_dir=str(root), frames_per_second=4.0, new_only=True, note_look=True)
    assert remember(found["look"], data_dir=str(root), frames_per_second=4.0) == {"remembered": 7, "in_all": 7}
    assert remember(found["look"], data_dir=str(root), frames_per_second=4.0) == {"remembered": 0, "in_all": 7}
    assert len(sweep(root)) == 7


def test_an_empty_archive_is_nothing_to_sweep_and_a_mistake_elsewhere(tmp_path: Path) -> None:
    assert sweep(tmp_path) == []
    with pytest.raises(DataError, match="there are no recordings"):
        offered(tmp_path)


def test_a_sweep_lists_the_archive_and_reads_one_object(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "recordings" / "flat.ts").unlink()  # outside the layout: its sidecar would be read as well
    sweep(root)
    read: list[str] = []
    original = storage.read_bytes
    monkeypatch.setattr(storage, "read_bytes", lambda uri: read.append(uri) or original(uri))
    assert scan(str(root / "recordings"), data_dir=str(root), new_only=True)["known"] == 6
    assert len(read) == 1


def test_the_commands(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data-dir", str(root)]
    assert (
        main(["--json", "scan", *options, "--from-date", "2026-01-05", "--to-date", "2026-01-05", "--note-look"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert [one["date"] for one in found["recordings"]] == ["2026-01-05", "2026-01-05"]
    without = found["recordings"][0]["uri"]
    assert main(["--json", "remember", "--look", found["look"], *options, "--without", without]) == 0
    assert json.loads(capsys.readouterr().out) == {"remembered": 1, "in_all": 1}
    assert main(["scan", *options, "--from-date", "soon"]) == 2
