"""The suite ``recordings``: every rule holds for a good recording, and each is broken by what it is there for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from ml_training.data.recordings import Recording
from ml_training.data.validation.duplicates import Copy
from ml_training.data.validation.stored import ExtractionFacts
from ml_training.data.validation.suites.recordings import describe_copy, describe_source, rules, summarise
from ml_training.utils.records import Sidecar
from pydantic import ValidationError

FACTS: dict[str, Any] = {
    "recording_id": "a",
    "extraction_id": "0123456789abcdef",
    "source_uri": "recordings/one/2026-01-05/a.ts",
    "source_version": "1",
    "channel": "one",
    "date": "2026-01-05",
    "show": None,
    "genre": "news",
    "sport": None,
    "frames_per_second": 1.0,
    "frame_count": 199,
    "duration_seconds": 200.0,
    "first_pts_seconds": 1.4,
    "average_frame_rate": 25.0,
    "width": 1280,
    "height": 720,
    "video_codec": "h264",
    "timestamp_resets": 0,
    "decode_errors": 0,
    "gaps": [{"at_seconds": 3.0, "length_seconds": 1.0}],
    "has_audio": True,
}
SOURCE = Recording("a", "recordings/one/2026-01-05/a.ts", 1, "1")
SIDECAR = Sidecar(channel="one", start_time=datetime(2026, 1, 5, 20, tzinfo=UTC))


def mistakes_in(facts: dict[str, Any]) -> list[str]:
    try:
        ExtractionFacts.model_validate(facts)
    except ValidationError as error:
        return [item["msg"] for item in error.errors()]
    return []


def table(
    sidecar: Any = SIDECAR, copy: Copy | None = None, same: str | None = None, source: Any = SOURCE, **facts: Any
) -> pd.DataFrame:
    given = {name: value for name, value in (FACTS | facts).items() if value is not ...}
    described = summarise("a", given, mistakes_in(given))
    return pd.DataFrame([described | describe_source(given, (source, sidecar)) | describe_copy(copy, same)])


def gap(at: float, length: float) -> dict[str, float]:
    return {"at_seconds": at, "length_seconds": length}


def nobody() -> pd.DataFrame:
    return table().assign(recording_id=None)


NEXT_YEAR = (datetime.now(UTC) + timedelta(days=365)).date().isoformat()

BROKEN: dict[str, Callable[[], pd.DataFrame]] = {
    "recording_id_filled": nobody,
    "recording_once": lambda: pd.concat([table(), table()], ignore_index=True),
    "facts_complete": lambda: table(decode_errors=...),
    "width_range": lambda: table(width=0),
    "height_range": lambda: table(height=10_000),
    "usual_frame_rate": lambda: table(average_frame_rate=1000.0),
    "mostly_intact": lambda: table(decode_errors=3000),
    "rarely_damaged": lambda: table(decode_errors=150),
    "has_length": lambda: table(duration_seconds=0.0),
    "not_overlong": lambda: table(duration_seconds=100_000.0),
    "gaps_in_order": lambda: table(gaps=[gap(30, 2), gap(31, 2)]),
    "longest_gap": lambda: table(gaps=[gap(3, 61)]),
    "gap_share": lambda: table(gaps=[gap(3, 50), gap(60, 52)]),
    "rarely_reset": lambda: table(timestamp_resets=6),
    "sidecar_valid": lambda: table(sidecar="the sidecar is wrong: chanel: extra inputs are not permitted"),
    "channel_filled": lambda: table(channel=None),
    "date_form": lambda: table(date="5.1.2026"),
    "date_not_ahead": lambda: table(date=NEXT_YEAR),
    "one_channel": lambda: table(sidecar=Sidecar(channel="two")),
    "one_date": lambda: table(sidecar=Sidecar(start_time=datetime(2026, 1, 8, tzinfo=UTC))),
    "file_once": lambda: table(same="b"),
    "not_a_copy": lambda: table(copy=Copy("b", 0.95)),
    "rarely_repeated": lambda: table(copy=Copy("b", 0.6)),
}


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert [rule.meta["name"] for rule in rules()["recordings"]] == list(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_holds_for_good_data_and_not_for_bad(name: str, check_rule: Any) -> None:
    check_rule(rules()["recordings"], name, table(), BROKEN[name]())


@pytest.mark.parametrize(
    "gaps", [[gap(-1, 2)], [gap(5, 0)], [gap(199, 20)], [gap(10, 5), gap(9, 2)]], ids=["before", "none", "past", "back"]
)
def test_gaps_that_cannot_be_are_counted(gaps: list[dict[str, float]]) -> None:
    assert table(gaps=gaps)["misplaced_gaps"].item() == 1


def test_what_is_absent_breaks_nothing(check_rule: Any) -> None:
    absent = table(sidecar=Sidecar(), source=None, date=None, average_frame_rate=0.0, gaps=[])
    for name in ("sidecar_valid", "date_form", "one_channel", "one_date", "usual_frame_rate", "longest_gap"):
        check_rule(rules()["recordings"], name, absent, BROKEN[name]())
