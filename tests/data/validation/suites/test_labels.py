"""The suite ``labels``: every rule holds for good labels, and each is broken by what it is there for."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ml_training.data.validation.suites.labels import (
    Labelled,
    add_lengths,
    disputed_share,
    rules,
    summarise,
    summarise_channels,
)
from ml_training.utils.records import LabelEvent

TIMES = [(0.0, 70.0, "content"), (70.0, 90.0, "ad"), (90.0, 100.0, "content")]


def segments(recording_id: str = "a", times: Sequence[tuple[float, float, str]] = TIMES) -> pd.DataFrame:
    rows = [
        {"recording_id": recording_id, "duration_seconds": 100.0, "start_seconds": s, "end_seconds": e, "label": n}
        for s, e, n in times
    ]
    return pd.DataFrame(rows, columns=["recording_id", "duration_seconds", "start_seconds", "end_seconds", "label"])


def event(author: str, label: Any, start: float = 0.0, end: float = 70.0, name: str = "") -> LabelEvent:
    return LabelEvent(
        event_id=name or f"{author}-{label}-{start}",
        recording_id="a",
        start_seconds=start,
        end_seconds=end,
        label=label,
        source="person",
        author=author,
        created_at=datetime(2026, 1, 5, tzinfo=UTC),
    )


def labelled(events: Sequence[LabelEvent] = (), mistake: str | None = None, duration: float = 100.0) -> Labelled:
    return Labelled("a", "one", duration, events, mistake)


def changed(column: str, value: Any, row: int = 1) -> Callable[[], pd.DataFrame]:
    def change() -> pd.DataFrame:
        table = segments()
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return add_lengths(table.infer_objects())

    return change


def summary(
    one: Labelled | None = None, times: Sequence[tuple[float, float, str]] = TIMES
) -> Callable[[], pd.DataFrame]:
    return lambda: pd.DataFrame([summarise(one or labelled([event("ann", "ad")]), add_lengths(segments("a", times)))])


def channels(times: Sequence[tuple[float, float, str]] = TIMES) -> Callable[[], pd.DataFrame]:
    return lambda: summarise_channels([labelled()], add_lengths(segments("a", times)))


AGREED = [event("ann", "ad"), event("bob", "ad")]
DISPUTED = [event("ann", "ad"), event("bob", "content")]

BROKEN: dict[tuple[str, str], Callable[[], pd.DataFrame]] = {
    ("segments", "label_filled"): changed("label", None),
    ("segments", "label_known"): changed("label", "advert"),
    ("segments", "start_not_negative"): changed("start_seconds", -1.0, 0),
    ("segments", "end_after_start"): changed("end_seconds", 70.0),
    ("segments", "within_recording"): changed("end_seconds", 101.5, 2),
    ("segments", "ad_not_long"): changed("end_seconds", 700.0),
    ("segments", "ad_not_short"): changed("end_seconds", 72.0),
    ("recordings", "events_readable"): summary(labelled(mistake="line 1 is no event")),
    ("recordings", "event_once"): summary(labelled([event("ann", "ad", name="x"), event("ann", "ad", name="x")])),
    ("recordings", "has_frames"): summary(labelled(duration=np.nan)),
    ("recordings", "mostly_labelled"): summary(times=TIMES[1:]),
    ("recordings", "plausible_ad_share"): summary(times=[(0.0, 70.0, "ad"), (70.0, 90.0, "content")]),
    ("recordings", "rarely_disputed"): summary(labelled(DISPUTED)),
    ("channels", "channel_labelled"): channels([(0.0, 5.0, "ad")]),
    ("channels", "channel_has_ads"): channels([(0.0, 100.0, "content")]),
    ("channels", "channel_has_content"): channels([(0.0, 100.0, "ad")]),
    ("channels", "channel_ad_share"): channels([(0.0, 70.0, "ad"), (70.0, 90.0, "content")]),
    ("all_labels", "both_classes"): lambda: segments(times=TIMES[:1]),
}


def good(table: str) -> pd.DataFrame:
    tables = {
        "segments": lambda: add_lengths(segments()),
        "recordings": summary(labelled(AGREED)),
        "channels": channels(),
        "all_labels": segments,
    }
    return tables[table]()


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert [(table, rule.meta["name"]) for table, found in rules().items() for rule in found] == list(BROKEN)


@pytest.mark.parametrize("case", BROKEN, ids="-".join)
def test_a_rule_holds_for_good_data_and_not_for_bad(case: tuple[str, str], check_rule: Any) -> None:
    check_rule(rules()[case[0]], case[1], good(case[0]), BROKEN[case]())


def test_a_channel_that_nobody_labelled_has_no_share_of_ads(check_rule: Any) -> None:
    found = summarise_channels([labelled(), Labelled("b", "two", 50.0, [], None)], add_lengths(segments()))
    assert found["channel"].tolist() == ["one", "two"]
    assert found["labelled_share"].tolist() == [1.0, 0.0]
    assert found[found["channel"] == "two"][["ad_share", "ad_seconds", "other_seconds"]].isna().all(axis=None)


def test_persons_dispute_what_they_name_differently() -> None:
    assert disputed_share([event("ann", "ad", 0, 50), event("bob", "ad", 0, 40)]) == 0
    parts = [event("ann", "ad", 0, 50), event("bob", "ad", 0, 40), event("bob", "content", 40, 50)]
    assert disputed_share(parts) == pytest.approx(0.2)
    assert np.isnan(disputed_share([event("ann", "ad"), event("ann", "content", 70, 80)])), "one person alone"
