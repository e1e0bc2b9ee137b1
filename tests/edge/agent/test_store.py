import gzip
import json
import os

import pytest
from ml_training.edge.agent.store import RECORDS_IN_A_BATCH, Store

DAY = "2026-11-23"


def store(tmp_path, limit=1_000_000):
    return Store(tmp_path / "store", limit_bytes=limit)


def ids_in(item):
    return [json.loads(line)["record_id"] for line in gzip.decompress(item.path.read_bytes()).splitlines()]


def test_records_go_out_in_one_batch_a_day_and_are_forgotten_when_sent(tmp_path):
    own = store(tmp_path)
    names = [own.add_record({"n": n}, day=DAY) for n in range(3)]
    later = own.add_record({"n": 3}, day="2026-11-24")
    items = list(own.outgoing())
    assert [ids_in(item) for item in items] == [names, [later]]
    assert items[0].name.startswith(f"{DAY}/")
    assert items[0].name.endswith(".jsonl.gz")
    for item in items:
        own.sent(item)
    assert list(own.outgoing()) == []


def test_the_same_records_have_the_same_name_until_they_are_sent(tmp_path):
    own = store(tmp_path)
    own.add_record({"n": 1}, day=DAY)
    first = list(own.outgoing())
    own.add_record({"n": 2}, day=DAY)
    second = list(own.outgoing())
    assert second[0] == first[0]
    assert len(second) == 2


def test_records_that_a_batch_holds_already_are_not_sent_twice(tmp_path, monkeypatch):
    own = store(tmp_path)
    names = [own.add_record({"n": n}, day=DAY) for n in range(3)]
    monkeypatch.setattr(Store, "_remove", lambda *arguments: None)
    own._seal()  # power went before the records did
    monkeypatch.undo()
    assert own.counts()["records"] == 3
    again = store(tmp_path)
    assert again.counts()["records"] == 0
    assert sorted(name for item in again.outgoing() for name in ids_in(item)) == sorted(names)


def test_many_records_are_batched_without_a_network(tmp_path):
    own = store(tmp_path)
    for number in range(RECORDS_IN_A_BATCH + 1):
        own.add_record({"n": number}, day=DAY)
    assert own.counts() == {"records": 1, "telemetry": 1, "hard_examples": 0}


def test_a_full_store_drops_the_oldest_pictures_first_and_says_so(tmp_path):
    own = store(tmp_path, limit=10_000)
    record = own.add_record({"n": 1}, day=DAY)
    for number in range(20):
        own.add_example(bytes([number]) * 1000, day=f"2026-11-{number + 1:02}")
    assert own.size_bytes() <= 10_000
    assert own.dropped() == {"records": 0, "hard_examples": 11, "bytes": 11_000}
    kept = [item for item in own.outgoing() if item.kind == "hard_examples"]
    assert [item.path.read_bytes()[0] for item in kept] == list(range(11, 20))
    assert ids_in(next(own.outgoing())) == [record]


def test_telemetry_goes_last_and_is_counted_by_record(tmp_path):
    own = store(tmp_path, limit=6000)
    for number in range(RECORDS_IN_A_BATCH + 50):
        own.add_record({"n": number, "noise": os.urandom(100).hex()}, day=DAY)
    left = sum(len(ids_in(item)) for item in own.outgoing())
    assert own.dropped()["records"] + left == RECORDS_IN_A_BATCH + 50
    assert own.dropped()["records"] > 0


def test_what_was_to_be_dropped_when_power_went_is_dropped_and_counted_once(tmp_path, monkeypatch):
    own = store(tmp_path, limit=2500)
    own.add_example(b"a" * 1000, day=DAY)
    own.add_example(b"b" * 1000, day=DAY)
    monkeypatch.setattr(Store, "_finish_drops", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        own.add_example(b"c" * 1000, day=DAY)
    monkeypatch.undo()
    again = store(tmp_path, limit=2500)
    assert again.dropped()["hard_examples"] == 1
    assert again.counts()["hard_examples"] == 1


def test_equal_pictures_are_one(tmp_path):
    own = store(tmp_path)
    assert own.add_example(b"same", day=DAY) == own.add_example(b"same", day=DAY)
    assert own.counts()["hard_examples"] == 1


@pytest.mark.parametrize(
    "content",
    [b"", bytes(50), gzip.compress(b"x" * 1000)[:-12], gzip.compress(b"{\n[]\n{}\n")],
    ids=["empty", "zeros", "cut off", "no records"],
)
def test_a_damaged_batch_stops_nothing(tmp_path, content):
    own = store(tmp_path, limit=2000)
    name = own.add_record({"n": 1}, day=DAY)
    batch = tmp_path / "store" / "telemetry" / f"2026-11-01_{'0' * 64}.jsonl.gz"
    batch.write_bytes(content)
    again = store(tmp_path, limit=2000)
    assert [ids_in(item) for item in again.outgoing() if item.path != batch] == [[name]]
    again.add_example(b"a" * 1990, day=DAY)  # so that the batches go
    assert not batch.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"records": null}', '{"records": 1, "hard_examples": 1}'])
def test_damaged_counts_of_what_was_dropped_begin_anew(tmp_path, content):
    own = store(tmp_path, limit=2000)
    (tmp_path / "store" / "dropped.json").write_text(content)
    for number in range(3):
        own.add_example(bytes([number]) * 900, day=DAY)
    assert store(tmp_path).dropped() == {"records": 0, "hard_examples": 1, "bytes": 900}
