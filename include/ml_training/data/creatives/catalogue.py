"""The catalogue: which creative aired where, and what people and models called it.

    for airing in read_airings("s3://adbreak").to_pylist():
        airing["creative_id"], airing["recording_id"], airing["start_seconds"], airing["end_seconds"]

A creative is a stretch of sound and picture that aired at least twice; an airing is one of those times.
``creatives/catalogue.parquet`` has a row an airing, in order of creative and recording.
"""

import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.utils.errors import ObjectNotFound

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


def catalogue_uri(data_dir: str) -> str:
    """Return the address of the catalogue."""
    return storage.join(data_dir, "creatives", "catalogue.parquet")


def read_airings(data_dir: str) -> pa.Table:
    """Return every airing (``AIRINGS_SCHEMA``); an empty table where there is no catalogue yet."""
    try:
        data = storage.read_bytes(catalogue_uri(data_dir))
    except ObjectNotFound:
        return AIRINGS_SCHEMA.empty_table()
    return pq.read_table(pa.BufferReader(data), schema=AIRINGS_SCHEMA)
