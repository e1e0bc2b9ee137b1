"""What an extraction stored is read with its mistakes, not in spite of them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ml_training.data.frames import INDEX_SCHEMA
from ml_training.data.validation.stored import read_stored, schema_mistakes
from ml_training.data.validation.suites.frames import sample_pictures


def test_a_good_extraction_has_no_mistakes(data_root: Path) -> None:
    stored = read_stored(str(data_root), "one-01")
    assert (stored.fact_mistakes, stored.index_mistakes) == ([], [])
    assert len(stored.index) == stored.facts["frame_count"] == 8
    assert sample_pictures(stored) == (0, 0)


def test_facts_that_are_missing_or_of_another_kind_are_named(data_root: Path) -> None:
    path = next((data_root / "frames" / "one-01").rglob("extraction.json"))
    facts = json.loads(path.read_text())
    facts["duration_seconds"] = "eight"
    del facts["gaps"]
    path.write_text(json.dumps(facts))
    mistakes = read_stored(str(data_root), "one-01").fact_mistakes
    assert [mistake.split(":")[0] for mistake in mistakes] == ["duration_seconds", "gaps"]
    path.write_text("{")
    assert "should be JSON" in read_stored(str(data_root), "one-01").fact_mistakes[0]
    path.write_text("[]")
    assert read_stored(str(data_root), "one-01").facts == {}


def test_pictures_that_are_damaged_or_gone_are_counted(data_root: Path) -> None:
    stored = read_stored(str(data_root), "one-01")
    path = next((data_root / "frames" / "one-01").rglob("frames-00000.parquet"))
    table = pq.read_table(path)
    jpegs = table.column("jpeg").to_pylist()
    jpegs[0], jpegs[1] = b"no picture", jpegs[2]
    pq.write_table(table.set_column(table.column_names.index("jpeg"), "jpeg", pa.array(jpegs, pa.binary())), path)
    bad, altered = sample_pictures(stored)
    assert bad == 1
    assert altered == (2 if "sha256" in INDEX_SCHEMA.names else 0)
    path.unlink()
    assert sample_pictures(stored)[0] == 8


def test_columns_that_are_missing_or_of_another_type_are_named() -> None:
    assert schema_mistakes(INDEX_SCHEMA, with_sound=True) == []
    fewer = pa.schema([field for field in INDEX_SCHEMA if field.name != "luma"])
    assert schema_mistakes(fewer, with_sound=False) == ["column luma is missing"]
    at = INDEX_SCHEMA.get_field_index("row")
    other = INDEX_SCHEMA.set(at, pa.field("row", pa.string()))
    assert schema_mistakes(other, with_sound=False) == ["column row is string, expected int32"]
