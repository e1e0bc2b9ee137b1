"""The catalogue: which creative aired where, and what people and models called it.

    for airing in read_airings("s3://adbreak").to_pylist():
        airing["creative_id"], airing["recording_id"], airing["start_seconds"], airing["end_seconds"]

A creative is a stretch of sound and picture that aired at least twice; an airing is one of those times.
``creatives/catalogue.parquet`` has a row an airing, in order of creative and recording.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.creatives.labels import CreativeLabel, read_labels, resolve_labels
from ml_training.utils.errors import ObjectNotFound
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Label, LabelEvent

AIRINGS_SCHEMA = pa.schema(
    [
        ("creative_id", pa.string()),
        ("recording_id", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("channel", pa.string()),
        ("date", pa.string()),  # YYYY-MM-DD; empty where it is not known
        ("label", pa.string()),  # the creative's class; empty where nobody gave one
        ("label_source", pa.string()),  # person, model or empty
    ]
)
SEGMENT_LABELS: Mapping[str, Label] = {
    "ad": "ad",
    "promo": "promo",
    "ident": "ident",
    "sponsor": "sponsor",
    "teleshopping": "teleshopping",
    "title_sequence": "content",
    "content": "content",
}


def catalogue_uri(data_dir: str) -> str:
    """Return the address of the catalogue."""
    return storage.join(data_dir, "creatives", "catalogue.parquet")


def read_airings(data_dir: str) -> pa.Table:
    """Return every airing (``AIRINGS_SCHEMA``); an empty table where there is no catalogue yet."""
    try:
        version = storage.stat(catalogue_uri(data_dir)).version
    except ObjectNotFound:
        return AIRINGS_SCHEMA.empty_table()
    return _read_version(catalogue_uri(data_dir), version)


@lru_cache(maxsize=2)
def _read_version(uri: str, version: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(storage.read_bytes(uri)), schema=AIRINGS_SCHEMA)


def derived_events_by_recording(data_dir: str) -> dict[str, list[LabelEvent]]:
    """Return the ``derived_events`` of every recording that has some: one look at the labels, whatever their number."""
    labels = resolve_labels(read_labels(data_dir))
    events: dict[str, list[LabelEvent]] = {}
    for row in read_airings(data_dir).to_pylist() if labels else []:
        if label := labels.get(row["creative_id"]):
            events.setdefault(row["recording_id"], []).append(_event(row, label))
    return {name: sorted(own, key=lambda e: (e.start_seconds, e.event_id)) for name, own in sorted(events.items())}


def table_bytes(table: pa.Table) -> bytes:
    """Return a table as one Parquet file; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def derived_events(data_dir: str, recording_id: str) -> list[LabelEvent]:
    """Return what the labels of creatives say of one recording: an event for each airing of a labelled creative.

    A person's label on a creative has the source ``creative`` and its author; a model's has the source ``model`` and
    the author ``creative:<author>``. A title sequence is ``content``. The ids depend on what is said and nothing else.
    """
    airings = read_airings(data_dir)
    own = airings.filter(pc.equal(airings["recording_id"], recording_id)).to_pylist() if len(airings) else []
    events = []
    for creative_id in sorted({str(row["creative_id"]) for row in own}):
        label = resolve_labels(read_labels(data_dir, creative_id)).get(creative_id)
        if label is not None:
            events += [_event(row, label) for row in own if row["creative_id"] == creative_id]
    return sorted(events, key=lambda event: (event.start_seconds, event.event_id))


def _event(airing: Mapping[str, Any], label: CreativeLabel) -> LabelEvent:
    said = [airing["creative_id"], airing["recording_id"], airing["start_seconds"], airing["end_seconds"]]
    created_at: datetime = label.created_at
    return LabelEvent(
        event_id=short_hash([*said, label.label, label.source, label.author]),
        recording_id=airing["recording_id"],
        start_seconds=airing["start_seconds"],
        end_seconds=airing["end_seconds"],
        label=SEGMENT_LABELS[label.label],
        creative=airing["creative_id"],
        source="creative" if label.source == "person" else "model",
        author=label.author if label.source == "person" else f"creative:{label.author}",
        created_at=created_at,
    )
