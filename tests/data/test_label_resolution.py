"""Which labels hold, and where labelers contradict each other."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from ml_training.data.label_resolution import find_conflicts, resolve, segment_numbers
from ml_training.utils.records import LabelEvent, Segment

START = datetime(2026, 1, 5, tzinfo=UTC)


def event(
    start: float, end: float, label: str, *, source: str = "file", author: str = "x", minute: int = 0
) -> LabelEvent:
    return LabelEvent(
        event_id=f"{source}-{minute}-{start}",
        recording_id="a",
        start_seconds=start,
        end_seconds=end,
        label=label,
        source=source,
        author=author,
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


def test_a_label_on_a_creative_stands_between_persons_and_files() -> None:
    weakest = event(0, 60, "ident", source="model", author="creative:m", minute=9)
    model, file = event(0, 50, "ad", source="model"), event(0, 40, "content")
    creative, person = event(0, 20, "promo", source="creative"), event(0, 10, "ad", source="person")
    assert spans(resolve([creative, model, person, weakest, file])) == [
        (0, 10, "ad"),
        (10, 20, "promo"),
        (20, 40, "content"),
        (40, 50, "ad"),
        (50, 60, "ident"),
    ]


def test_conflicts_name_the_stretch_the_words_and_the_reason() -> None:
    events = [event(0, 30, "content", author="file"), event(10, 20, "ad", source="person", author="ann")]
    (conflict,) = find_conflicts(events)
    assert conflict == (10, 20, {"file:file": "content", "person:ann": "ad"}, "person:ann", "rank")
    newer = event(10, 20, "content", source="person", author="bob", minute=1)
    (conflict,) = find_conflicts([*events, newer])
    assert (conflict.holds, conflict.because) == ("person:bob", "newest")


def test_agreement_correcting_oneself_and_jitter_are_no_conflicts() -> None:
    assert find_conflicts([event(0, 9, "ad"), event(0, 9, "content", minute=1)]) == [], "the same labeler"
    assert find_conflicts([event(0, 9, "ad"), event(0, 20, "ad", author="y")]) == []
    sections = [event(0, 9, "ad"), event(9, 20, "content")]
    other = [event(0, 9.4, "ad", author="y", minute=1), event(9.4, 20, "content", author="y", minute=1)]
    assert find_conflicts([*sections, *other]) == []
    assert len(find_conflicts([*sections, *other], shortest_seconds=0.1)) == 1


@given(drawn)
def test_the_word_that_holds_in_a_conflict_is_the_one_that_resolution_takes(
    items: list[tuple[int, int, str, str]],
) -> None:
    events = [
        event(s, s + n, label, source=by, author=f"a{i % 3}", minute=i) for i, (s, n, label, by) in enumerate(items)
    ]
    segments = resolve(events)
    for conflict in find_conflicts(events):
        middle = (conflict.start_seconds + conflict.end_seconds) / 2
        (holds,) = [s.label for s in segments if s.start_seconds <= middle < s.end_seconds]
        assert conflict.said[conflict.holds] == holds
