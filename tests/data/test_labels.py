"""Labels as events: nothing is overwritten, and which of them hold."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_training.data.labels import import_labels, main, read_events, resolve, segment_numbers, show
from ml_training.utils.errors import DataError, LabelsInvalid
from ml_training.utils.records import LabelEvent, Segment

START = datetime(2026, 1, 5, tzinfo=UTC)


def event(start: float, end: float, label: str, *, source: str = "file", minute: int = 0) -> LabelEvent:
    return LabelEvent(
        event_id=f"{source}-{minute}-{start}",
        recording_id="a",
        start_seconds=start,
        end_seconds=end,
        label=label,
        source=source,
        author="x",
        created_at=START + timedelta(minutes=minute),
    )


def spans(segments: list[Segment]) -> list[tuple[float, float, str]]:
    return [(s.start_seconds, s.end_seconds, s.label) for s in segments]


def test_the_newest_holds_where_events_overlap() -> None:
    events = [event(0, 100, "content"), event(40, 60, "ad", minute=1), event(55, 70, "content", minute=2)]
    assert spans(resolve(events)) == [(0, 40, "content"), (40, 55, "ad"), (55, 70, "content"), (70, 100, "content")]
    assert resolve(reversed(events)) == resolve(events)


def test_a_person_holds_over_a_newer_file_and_a_file_over_a_newer_model() -> None:
    events = [event(0, 10, "ad", source="person"), event(0, 20, "content", minute=9)]
    assert spans(resolve(events)) == [(0, 10, "ad"), (10, 20, "content")]
    events = [event(0, 10, "ad"), event(0, 20, "content", source="model", minute=9)]
    assert spans(resolve(events)) == [(0, 10, "ad"), (10, 20, "content")]


def test_stretches_without_labels_stay_open_and_neighbours_stay_apart() -> None:
    assert spans(resolve([event(0, 5, "ad"), event(5, 9, "ad"), event(20, 30, "ad")])) == [
        (0, 5, "ad"),
        (5, 9, "ad"),
        (20, 30, "ad"),
    ]
    assert resolve([]) == []


moments = st.integers(0, 30)
drawn = st.lists(
    st.tuples(
        moments, st.integers(1, 10), st.sampled_from(["ad", "content", "promo"]), st.sampled_from(["file", "person"])
    ),
    max_size=8,
)


@given(drawn)
def test_resolution_says_at_each_moment_what_the_strongest_event_says(items: list[tuple[int, int, str, str]]) -> None:
    events = [event(s, s + n, label, source=by, minute=i) for i, (s, n, label, by) in enumerate(items)]
    segments = resolve(events)
    for moment in np.arange(0.5, 41):
        over = [e for e in events if e.start_seconds <= moment < e.end_seconds]
        best = max(over, key=lambda e: (e.source == "person", e.created_at), default=None)
        said = [s.label for s in segments if s.start_seconds <= moment < s.end_seconds]
        assert said == ([best.label] if best else [])


def test_a_frame_belongs_to_the_segment_that_contains_it() -> None:
    segments = [
        Segment(start_seconds=1, end_seconds=2, label="ad"),
        Segment(start_seconds=2, end_seconds=3, label="content"),
        Segment(start_seconds=5, end_seconds=6, label="ad"),
    ]
    times = np.array([0.0, 1.0, 1.999, 2.0, 3.0, 4.9, 5.0, 6.0])
    assert segment_numbers(segments, times).tolist() == [-1, 0, 0, 1, -1, -1, 2, -1]
    assert segment_numbers([], times).tolist() == [-1] * 8


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def say(root: Path, label: str, *, author: str = "tester", source: str = "file") -> dict[str, Any]:
    labels = write(root / "new.json", {"one-01": [{"start": 0, "end": 8, "label": label}]})
    return import_labels(labels, str(root), source=source, author=author)


def test_importing_twice_adds_nothing_and_corrections_are_appended(data_root: Path) -> None:
    assert say(data_root, "ad")["imported"] == ["one-01"]
    assert say(data_root, "ad") | {"unknown_recordings": []} == {
        "imported": [],
        "known": ["one-01"],
        "unknown_recordings": [],
        "events": 0,
    }
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
