"""The table of a dataset version: one row a frame, with its label, its split and where its picture is.

    table = read_manifest("s3://adbreak", "4be1…")
    table.select(["pts_seconds", "label", "shard_uri", "row"])

| column | meaning |
| --- | --- |
| recording_id, channel, genre, show, split | of the recording; empty where it is not known |
| pts_seconds | media time of the frame |
| label | 1 ad, 0 content, -1 not scored: no label, a class that is ignored, or a creative of another split |
| label_name | the label as it was given; empty where there is none |
| creative | the creative that airs, where the labels name it; empty for a frame that carries almost no information |
| seen_creative | in test only: the creative belongs to another split, so the frame counts only in that slice |
| shard_uri, row | the picture, below the data root |
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.data.frames import read_index
from ml_training.data.labels import segment_numbers
from ml_training.data.masking import PLAIN_SHARPNESS, foreign_frames
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound
from ml_training.utils.records import Segment, Split

AD, CONTENT, NOT_SCORED = 1, 0, -1
CLASS_VALUES = {"ad": AD, "content": CONTENT, "ignore": NOT_SCORED}

MANIFEST_SCHEMA = pa.schema(
    [
        ("recording_id", pa.string()),
        ("channel", pa.string()),
        ("genre", pa.string()),
        ("show", pa.string()),
        ("split", pa.string()),
        ("pts_seconds", pa.float64()),
        ("label", pa.int8()),
        ("label_name", pa.string()),
        ("creative", pa.string()),
        ("seen_creative", pa.bool_()),
        ("shard_uri", pa.string()),
        ("row", pa.int32()),
    ]
)


class LabelledRecording(NamedTuple):
    """A recording with what a dataset version needs of it."""

    extraction: Mapping[str, Any]  # its extraction.json
    segments: Sequence[Segment]
    label_sources: Sequence[str]

    @property
    def recording_id(self) -> str:
        """The recording's id."""
        return str(self.extraction["recording_id"])

    @property
    def hours(self) -> float:
        """The recording's length in hours."""
        return float(self.extraction["duration_seconds"]) / 3600


def recording_rows(
    data_dir: str,
    recording: LabelledRecording,
    split: Split,
    label_classes: Mapping[Any, str],
    belongs_to: Mapping[str, Split],
) -> pa.Table:
    """Return the rows of one recording (``MANIFEST_SCHEMA``), in order of time.

    Labels that ``label_classes`` does not name are taken as the schema's default takes them.
    """
    classes = {**DataSection().label_classes, **label_classes}
    facts, segments = recording.extraction, recording.segments
    index = read_index(data_dir, recording.recording_id, facts["extraction_id"])
    pts = index.column("pts_seconds").to_numpy()
    numbers = segment_numbers(segments, pts)
    plain = index.column("is_black").to_numpy() | (index.column("sharpness").to_numpy() < PLAIN_SHARPNESS)
    foreign = foreign_frames(segments, numbers, split, belongs_to, plain)
    labels = np.array([*(CLASS_VALUES[classes[s.label]] for s in segments), NOT_SCORED], np.int8)[numbers]
    if split != "test":
        labels = np.where(foreign, np.int8(NOT_SCORED), labels)
    rows = len(index)
    folder = f"frames/{recording.recording_id}/{facts['extraction_id']}/"
    columns = {
        "recording_id": pa.repeat(recording.recording_id, rows),
        "channel": pa.repeat(facts["channel"], rows),
        "genre": pa.repeat(facts["genre"] or "", rows),
        "show": pa.repeat(facts["show"] or "", rows),
        "split": pa.repeat(split, rows),
        "pts_seconds": index.column("pts_seconds"),
        "label": labels,
        "label_name": np.array([*(s.label for s in segments), ""], object)[numbers],
        "creative": np.where(plain, "", np.array([*(s.creative or "" for s in segments), ""], object)[numbers]),
        "seen_creative": foreign & (split == "test"),
        "shard_uri": pc.binary_join_element_wise(folder, index.column("shard"), ""),
        "row": index.column("row"),
    }
    return pa.table(columns, schema=MANIFEST_SCHEMA)


def read_manifest(data_dir: str, dataset_id: str) -> pa.Table:
    """Return the manifest of a dataset version. Raises DatasetUnusable when there is no such version."""
    uri = storage.join(data_dir, "datasets", dataset_id, "manifest.parquet")
    try:
        return pq.read_table(storage.cached_copy(uri), schema=MANIFEST_SCHEMA)
    except ObjectNotFound as error:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id") from error
