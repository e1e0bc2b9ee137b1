"""Labels are imported from files of all formats; nothing is overwritten, and contradictions are told."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_training.data.creatives.catalogue import AIRINGS_SCHEMA, catalogue_uri
from ml_training.data.creatives.labels import append_label
from ml_training.data.label_imports import ImportOptions
from ml_training.data.labels import conflicts, import_labels, main, read_events, resolve, show
from ml_training.utils.errors import DataError, LabelsInvalid
from ml_training.utils.records import Segment


def spans(segments: list[Segment]) -> list[tuple[float, float, str]]:
    return [(s.start_seconds, s.end_seconds, s.label) for s in segments]


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def say(root: Path, label: str, *, author: str = "tester", source: str = "file") -> dict[str, Any]:
    labels = write(root / "new.json", {"one-01": [{"start": 0, "end": 8, "label": label}]})
    return import_labels(labels, str(root), source=source, author=author)


def test_importing_twice_adds_nothing_and_corrections_are_appended(data_root: Path) -> None:
    assert say(data_root, "ad")["imported"] == ["one-01"]
    again = say(data_root, "ad")
    assert (again["imported"], again["known"], again["events"]) == ([], ["one-01"], 0)
    assert say(data_root, "content")["events"] == 1
    assert say(data_root, "ad")["events"] == 1, "taking a correction back is a new event"
    assert spans(resolve(read_events(str(data_root), "one-01"))) == [(0, 8, "ad")]
    assert len(list((data_root / "labels" / "events" / "one-01").iterdir())) == 4
    say(data_root, "promo", source="person", author="ann")
    say(data_root, "content")
    assert show(str(data_root), "one-01")["seconds"] == {"promo": 8.0}


def test_labels_of_recordings_that_are_not_there_are_reported(data_root: Path) -> None:
    one = [{"start": 0, "end": 8, "label": "ad"}]
    labels = write(data_root / "new.json", {"one-02": one, "nobody": one, "somebody": one})
    result = import_labels(labels, str(data_root), source="file", author="x")
    assert result["imported"] == ["one-02"]
    assert result["unknown_recordings"] == ["nobody", "somebody"]
    labels = write(data_root / "new.json", {"nobody": one})
    with pytest.raises(LabelsInvalid, match=r"labels no recording that is in .* \(it names: nobody\)"):
        import_labels(labels, str(data_root), source="file", author="x")


def test_a_label_past_the_end_names_recording_label_and_duration(data_root: Path) -> None:
    labels = write(
        data_root / "new.json",
        {"one-01": [{"start": 7, "end": 9.5, "label": "ad"}], "one-02": [{"start": 7, "end": 8.9, "label": "ad"}]},
    )
    with pytest.raises(LabelsInvalid, match=r"one-01: the label ad 7..9.5 s lies past the recording's end at 8 s") as e:
        import_labels(labels, str(data_root), source="person", author="x")
    assert e.value.imported == ["one-02"], "the rest goes on"
    assert spans(resolve(read_events(str(data_root), "one-02")))[-1] == (7, 8.0, "ad"), "a second too long is clipped"


def test_only_the_recordings_asked_for_are_imported(data_root: Path) -> None:
    one = [{"start": 0, "end": 8, "label": "ad"}]
    labels = write(data_root / "new.json", {"one-01": one, "one-02": one})
    result = import_labels(labels, str(data_root), source="file", author="x", only=["one-02"])
    assert result["imported"] == ["one-02"]


def test_labels_may_come_before_frames(tmp_path: Path, two_seconds: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "a.ts").write_bytes(two_seconds.read_bytes())
    labels = write(tmp_path / "labels.json", {"a": [{"start": 0, "end": 2, "label": "ad"}]})
    assert import_labels(labels, str(tmp_path), source="file", author="x")["imported"] == ["a"]


def test_the_command_fails_plainly(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_root / "broken.json").write_text("{")
    arguments = ["import", "--labels", str(data_root / "broken.json"), "--data-dir", str(data_root)]
    assert main(arguments) == 1
    assert "is not JSON" in capsys.readouterr().err
    with pytest.raises(DataError, match="has no labels"):
        show(str(data_root), "nobody")


def test_edit_lists_beside_the_recordings_are_imported_and_the_rest_is_content(data_root: Path) -> None:
    (data_root / "recordings" / "one" / "2026-01-01" / "one-01.edl").write_text("2 4.5 3\n6 9 0\n")
    comskip = "FILE PROCESSING COMPLETE  80 FRAMES AT  1000\n-------------------\n0\t30\n"
    (data_root / "recordings" / "two" / "2026-01-01" / "two-01.txt").write_text(comskip)
    (data_root / "recordings" / "two" / "2026-01-01" / "notes.txt").write_text("the news\n")
    result = import_labels(str(data_root / "recordings"), str(data_root), author="comskip")
    assert result["imported"] == ["one-01", "two-01"]
    events = [e for e in read_events(str(data_root), "one-01") if e.author == "comskip"]
    assert {event.source for event in events} == {"edl"}
    assert spans(resolve(events)) == [(0, 2, "content"), (2, 4.5, "ad"), (4.5, 6, "content"), (6, 8, "ad")]
    events = [e for e in read_events(str(data_root), "two-01") if e.author == "comskip"]
    assert spans(resolve(events)) == [(0, 3, "ad"), (3, 8, "content")]
    assert import_labels(str(data_root / "recordings"), str(data_root), author="comskip")["events"] == 0
    only = import_labels(
        str(data_root / "recordings"),
        str(data_root),
        author="me",
        only=["one-01"],
        options=ImportOptions(fill_rest=False),
    )
    assert (only["imported"], only["events"]) == (["one-01"], 2)


def test_an_edit_list_without_frames_leaves_the_rest_open(data_root: Path) -> None:
    shutil.rmtree(data_root / "frames" / "one-01")
    (data_root / "one-01.edl").write_text("2 4 0\n")
    result = import_labels(str(data_root / "one-01.edl"), str(data_root))
    assert (result["rest_unknown"], result["events"]) == (["one-01"], 1)
    with pytest.raises(LabelsInvalid, match="there are no label files in"):
        import_labels(str(data_root / "validation"), str(data_root))


def test_an_event_log_moves_from_one_bucket_to_another(
    data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(data_root, other, dirs_exist_ok=True)
    say(other, "ad", source="person", author="ann")
    shutil.rmtree(data_root / "labels" / "events" / "two-02")
    result = import_labels(str(other / "labels" / "events"), str(data_root))
    assert result["imported"] == ["one-01", "two-02"]
    for name in ("one-01", "two-02"):
        moved, said = (read_events(str(root), name) for root in (data_root, other))
        assert sorted(moved, key=lambda e: e.event_id) == sorted(said, key=lambda e: e.event_id)
    assert import_labels(str(other / "labels" / "events"), str(data_root))["events"] == 0
    (data_root / "bad.jsonl").write_text('{"version": 1}\n')
    with pytest.raises(LabelsInvalid, match="line 1: event_id: Field required"):
        import_labels(str(data_root / "bad.jsonl"), str(data_root))


def test_conflicts_between_labelers_are_told_with_whose_word_holds(data_root: Path) -> None:
    say(data_root, "ad", source="person", author="ann")
    say(data_root, "content", source="person", author="bob")
    told = conflicts(str(data_root), ["one-01", "one-02"])
    assert (told["recordings"], told["in_conflict"], told["seconds"]) == (2, 1, 8.0)
    first = told["conflicts"][0]
    assert first["said"] == {"file:tester": "content", "person:ann": "ad", "person:bob": "content"}
    assert (first["start_seconds"], first["end_seconds"]) == (0, 4)
    assert (first["holds"], first["because"]) == ("person:bob", "newest")
    assert told["pairs"]["person:ann and person:bob"] == 8.0
    assert told["pairs"]["file:tester and person:ann"] == 5.0
    assert show(str(data_root), "one-01")["conflicts"] == 3
    assert conflicts(str(data_root))["recordings"] == 6


def test_one_label_on_a_creative_labels_its_airings(data_root: Path) -> None:
    rows = [
        {"creative_id": "c1", "recording_id": name, "start_seconds": 1.0, "end_seconds": 3.0, "channel": "one",
         "date": "2026-01-01", "label": "", "label_source": ""}
        for name in ("one-01", "two-01")
    ]  # fmt: skip
    (data_root / "creatives").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=AIRINGS_SCHEMA), catalogue_uri(str(data_root)))
    append_label(str(data_root), "c1", "promo", source="person", author="ann")
    for name in ("one-01", "two-01"):
        assert show(str(data_root), name)["seconds"]["promo"] == 3.0
    say(data_root, "content", source="person", author="bob")
    assert show(str(data_root), "one-01")["seconds"] == {"content": 8.0}, "a person on the spot knows better"


def test_the_command_imports_other_formats(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_root / "list.txt").write_text("FILE PROCESSING COMPLETE  80 FRAMES\n-----\n10\t40\n")
    arguments = ["import", "--labels", str(data_root / "list.txt"), "--data-dir", str(data_root), "--json"]
    assert main([*arguments, "--recording", "one-01", "--fps", "10", "--author", "x"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 3
    assert main(["conflicts", "--data-dir", str(data_root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["in_conflict"] == 1
