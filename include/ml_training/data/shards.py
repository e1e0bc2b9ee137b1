"""The stored form of a part of a recording: pictures, their numbers, and sound, a shard at a time.

    writer = PartWriter(target, part, layout, previous=None)
    writer.add(frame)                                   # SampledFrame, in order
    rows = writer.store(marks, sound, duration_seconds)

``frames-NNNNN.parquet`` holds the pictures and all that is known of each, ``sound-NNNNN.flac`` the sound of the same
stretch of media time. The sound is written first: where the frames of all shards of a part are there, it is done.
"""

import io
import json
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.audio.loudness import LoudnessMarks, is_silent
from ml_training.data.audio.sound import SAMPLE_RATE, encode_flac, shard_name
from ml_training.data.audio.track import SoundBuffer
from ml_training.data.frames import INDEX_SCHEMA, Seen, encode_jpeg, measure
from ml_training.data.parts import Layout, Part
from ml_training.data.video import SampledFrame
from ml_training.utils.hashing import sha256_bytes

ADDED_LATER = ("recording_id", "frame_index", "shard", "row", "width", "height")  # the index adds them
ROW_SCHEMA = pa.schema([field for field in INDEX_SCHEMA if field.name not in ADDED_LATER])
SHARD_SCHEMA = ROW_SCHEMA.append(pa.field("jpeg", pa.binary()))
SOUND_KEY = b"adbreak.sound"  # of a shard's metadata: the sound of its part


class PartSound(NamedTuple):
    """Where a part has sound, as ranges of samples of media time, and how many packets could not be decoded."""

    runs: list[list[int]]
    errors: int


class PartRows(NamedTuple):
    """What is stored of a part: a table of ``ROW_SCHEMA`` for each shard, and where there is sound."""

    shards: dict[int, pa.Table]
    sound: PartSound


def frames_name(shard: int) -> str:
    """Return the name of a shard's pictures."""
    return f"frames-{shard:05d}.parquet"


class PartWriter:
    """Gathers the frames of a part; ``seen`` is what the next frame is compared with."""

    def __init__(self, target: str, part: Part, layout: Layout, *, previous: Seen | None) -> None:
        self._target, self.part, self._layout = target, part, layout
        self.seen = previous
        self._rows: list[dict[str, Any]] = []

    def add(self, frame: SampledFrame) -> None:
        """Measure and encode the next frame."""
        appearance, self.seen = measure(frame.image, self.seen)
        jpeg = encode_jpeg(frame.image)
        self._rows.append(
            {"pts_seconds": frame.pts_seconds, "jpeg": jpeg, "sha256": sha256_bytes(jpeg), **appearance._asdict()}
        )

    def skip(self, frame: SampledFrame) -> None:
        """Look at the frame before the part, which is stored in another."""
        _, self.seen = measure(frame.image, None)

    def store(
        self, marks: LoudnessMarks, sound: SoundBuffer | None, *, duration_seconds: float, sound_errors: int
    ) -> PartRows:
        """Write all shards of the part, the last pictures last."""
        for row in self._rows:
            row["loudness_lufs"] = marks.around(row["pts_seconds"])
            row["is_silent"] = is_silent(row["loudness_lufs"])
        facts = PartSound(sound.runs if sound else [], sound_errors)
        numbers = range(self.part.first_shard, self.part.end_shard)
        if sound is not None:
            for number in numbers:
                self._store_sound(number, sound, duration_seconds)
        return PartRows({number: self._store_frames(number, facts) for number in numbers}, facts)

    def _store_sound(self, number: int, sound: SoundBuffer, duration_seconds: float) -> None:
        length = self._layout.shard_samples
        begin, end = number * length, min((number + 1) * length, round(duration_seconds * SAMPLE_RATE))
        samples = sound.samples[max(0, begin - sound.first) : max(0, end - sound.first)]
        storage.write_bytes(storage.join(self._target, shard_name(number)), encode_flac(samples))

    def _store_frames(self, number: int, facts: PartSound) -> pa.Table:
        rows = [row for row in self._rows if self._layout.shard_of(row["pts_seconds"]) == number]
        schema = SHARD_SCHEMA.with_metadata({SOUND_KEY: json.dumps(facts._asdict())})
        table = pa.Table.from_pylist(rows, schema=schema)
        storage.write_bytes(storage.join(self._target, frames_name(number)), parquet_bytes(table, compression="none"))
        return table.drop_columns(["jpeg"])


def read_part(target: str, part: Part) -> PartRows:
    """Return what is stored of a finished part, without its pictures."""
    shards: dict[int, pa.Table] = {}
    sound = PartSound([], 0)
    for number in range(part.first_shard, part.end_shard):
        data = storage.read_bytes(storage.join(target, frames_name(number)))
        table = pq.read_table(io.BytesIO(data), columns=ROW_SCHEMA.names)
        sound = PartSound(**json.loads((table.schema.metadata or {})[SOUND_KEY]))
        shards[number] = table
    return PartRows(shards, sound)


def index_table(recording_id: str, width: int, height: int, shards: dict[int, pa.Table]) -> pa.Table:
    """Return the index of a recording, in order of media time."""
    numbers = sorted(shards)
    counts = [shards[number].num_rows for number in numbers]
    rows = pa.concat_tables([shards[number].replace_schema_metadata(None) for number in numbers])
    total = rows.num_rows
    places = {
        "recording_id": pa.array([recording_id] * total, pa.string()),
        "frame_index": np.arange(total, dtype=np.int32),
        "shard": np.repeat([frames_name(number) for number in numbers], counts),
        "row": np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
        "width": np.full(total, width, np.int32),
        "height": np.full(total, height, np.int32),
    }
    columns = {name: places[name] if name in places else rows.column(name) for name in INDEX_SCHEMA.names}
    return pa.table(columns, schema=INDEX_SCHEMA).combine_chunks()


def parquet_bytes(table: pa.Table, *, compression: str = "zstd") -> bytes:
    """Return a table as one Parquet file; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=compression, write_statistics=False, use_dictionary=False)
    return bytes(sink.getvalue().to_pybytes())
