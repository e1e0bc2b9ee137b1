"""The promotion ledger only grows, keeps its order and survives many writers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ml_training.registry.ledger import PromotionEvent, VersionReference, append_event, event_time, read_ledger
from ml_training.utils.errors import RegistryError

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def event(number: int, moment: datetime = NOON, name: str = "base-general") -> PromotionEvent:
    model = VersionReference(version=str(number), semver=f"1.{number}.0", sha256="ab" * 32)
    return PromotionEvent(event="promoted", name=name, model=model, replaced=None, approved_by="ana", created_at=moment)


def test_events_come_back_in_order_of_time(tmp_path: Path) -> None:
    root = str(tmp_path)
    for number in (2, 0, 1):
        append_event(root, event(number, NOON + timedelta(seconds=number)))
    append_event(root, event(9, NOON, name="sports-nfl"))
    assert [found.model.version for found in read_ledger(root, "base-general")] == ["0", "1", "2"]
    assert len(read_ledger(root)) == 4


def test_an_event_is_written_once_and_never_changed(tmp_path: Path) -> None:
    first = append_event(str(tmp_path), event(1))
    written = Path(first).stat().st_mtime_ns
    assert append_event(str(tmp_path), event(1)) == first
    assert Path(first).stat().st_mtime_ns == written
    assert len(read_ledger(str(tmp_path))) == 1


def test_many_writers_at_the_same_moment_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: append_event(str(tmp_path), event(number)), list(range(40)) * 2))
    assert len(read_ledger(str(tmp_path))) == 40


def test_a_clock_that_is_behind_does_not_reorder(tmp_path: Path) -> None:
    root = str(tmp_path)
    append_event(root, event(1, NOON))
    append_event(root, event(2, event_time(root, now=NOON - timedelta(days=1))))
    assert [found.model.version for found in read_ledger(root)] == ["1", "2"]


def test_a_file_that_is_no_event_is_named(tmp_path: Path) -> None:
    uri = append_event(str(tmp_path), event(1))
    Path(uri).write_text('{"event": "promoted"}')
    with pytest.raises(RegistryError, match="is no promotion event"):
        read_ledger(str(tmp_path))


def test_an_empty_ledger(tmp_path: Path) -> None:
    assert read_ledger(str(tmp_path)) == []
