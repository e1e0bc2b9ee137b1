"""Reads what an extraction stored, and says what is wrong with it instead of failing.

    stored = read_stored("s3://adbreak", "news-0105")
    stored.facts, stored.index, stored.index_mistakes        # dict, pandas, sentences

A file that cannot be read, or that lacks columns, is a mistake of its recording; the others are still to be checked.
"""

from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_training.cloud import storage
from ml_training.data.frames import INDEX_SCHEMA, extraction_folder, read_current
from ml_training.utils.errors import StorageError

LATER_COLUMNS = ("sha256", "loudness_lufs", "is_silent", "shot_change")  # extractions without sound facts lack them


class GapFacts(BaseModel):
    """A stretch without frames."""

    model_config = ConfigDict(strict=True)

    at_seconds: float
    length_seconds: float


class ExtractionFacts(BaseModel):
    """What ``extraction.json`` must say; more is no mistake."""

    model_config = ConfigDict(strict=True, extra="ignore")

    recording_id: str
    extraction_id: str
    source_uri: str
    source_version: str
    channel: str = Field(min_length=1)
    date: str | None
    show: str | None
    genre: str | None
    sport: str | None
    frames_per_second: float = Field(gt=0)
    frame_count: int = Field(ge=0)
    duration_seconds: float
    first_pts_seconds: float
    average_frame_rate: float | None
    width: int
    height: int
    video_codec: str
    timestamp_resets: int
    decode_errors: int
    gaps: list[GapFacts]
    has_audio: bool


class Stored(NamedTuple):
    """One recording's newest extraction. ``index`` has no rows where it cannot be read."""

    recording_id: str
    facts: dict[str, Any]
    index: pd.DataFrame
    fact_mistakes: list[str]
    index_mistakes: list[str]
    folder: str


def read_stored(data_dir: str, recording_id: str) -> Stored:
    """Return what is stored of a recording, with what is wrong with it."""
    current = read_current(data_dir, recording_id) or {}
    folder = extraction_folder(data_dir, recording_id, str(current.get("extraction_id")))
    facts, fact_mistakes = read_facts(folder)
    index, index_mistakes = _read_index(folder, with_sound="sound" in facts)
    return Stored(recording_id, facts, index, fact_mistakes, index_mistakes, folder)


def read_facts(folder: str) -> tuple[dict[str, Any], list[str]]:
    """Return an extraction's facts and what is wrong with them."""
    try:
        facts = storage.read_json(storage.join(folder, "extraction.json"))
        ExtractionFacts.model_validate(facts)
    except StorageError as error:
        return {}, [error.message]
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        return facts if isinstance(facts, dict) else {}, mistakes
    return dict(facts), []


def _read_index(folder: str, *, with_sound: bool) -> tuple[pd.DataFrame, list[str]]:
    table = INDEX_SCHEMA.empty_table()
    mistakes = []
    try:
        path = storage.cached_copy(storage.join(folder, "index.parquet"))
        mistakes = schema_mistakes(pq.read_schema(path), with_sound=with_sound)
        table = table if mistakes else pq.read_table(path, schema=INDEX_SCHEMA)
    except (StorageError, pa.ArrowException, OSError) as error:
        mistakes = [f"index.parquet cannot be read: {error}"]
    return table.to_pandas(), mistakes


def schema_mistakes(found: pa.Schema, *, with_sound: bool) -> list[str]:
    """Return which columns of an index are missing or of another type."""
    mistakes = []
    for field in INDEX_SCHEMA:
        if field.name not in found.names:
            if with_sound or field.name not in LATER_COLUMNS:
                mistakes.append(f"column {field.name} is missing")
        elif found.field(field.name).type != field.type:
            mistakes.append(f"column {field.name} is {found.field(field.name).type}, expected {field.type}")
    return mistakes
