"""Turns one recording into stored frames: shards of JPEG, an index, and last ``extraction.json``, the mark of the end.

    outcome = extract_recording(recording, output_dir="data/frames", quarantine_dir="data/quarantine")
    outcome.status            # 'extracted', 'known' (found its result) or 'quarantined' (outcome.reason says why)

An extraction is named by the hash of the source's version, the extractor's version and the parameters, and writes the
same bytes each time: one that was killed is simply started again.
"""

import logging
import shlex
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data import quarantine
from ml_training.data.frames import INDEX_SCHEMA, JPEG_QUALITY, RESIZE_NAME, SHARD_SCHEMA, Image, encode_jpeg, measure
from ml_training.data.recordings import Recording, Refused, read_sidecar, source_version
from ml_training.data.video import SampledFrame, VideoFacts, VideoReader
from ml_training.utils.errors import ObjectNotFound, RecordingUnreadable
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Sidecar

EXTRACTOR_VERSION = 1  # changes when the same recording would give other frames
SHARD_ROWS = 512  # about 7 MB of JPEG: one request of a bucket, 0.15 s to decode

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one recording. ``reason`` is empty unless it was quarantined."""

    recording_id: str
    status: Literal["extracted", "known", "quarantined"]
    extraction_id: str = ""
    frames: int = 0
    duration_seconds: float = 0.0
    reason: str = ""


def extraction_name(version: str, frames_per_second: float) -> str:
    """Return the id of the extraction of a source version with these parameters."""
    parameters = {"frames_per_second": float(frames_per_second), "resize": RESIZE_NAME, "jpeg_quality": JPEG_QUALITY}
    return short_hash({"source": version, "extractor": EXTRACTOR_VERSION, "parameters": parameters})


def extract_recording(
    recording: Recording,
    *,
    output_dir: str,
    quarantine_dir: str,
    frames_per_second: float = 1.0,
    retry: bool = False,
) -> Outcome:
    """Extract the frames of one recording, unless that is done; an unreadable one goes to quarantine.

    ``retry`` tries again what is in quarantine already. Returns the outcome; raises only when the storage fails.
    """
    version = source_version(recording)
    name = extraction_name(version, frames_per_second)
    set_aside = quarantine.read(quarantine_dir, recording.recording_id)
    if set_aside and set_aside.extraction_id == name and not retry:
        return Outcome(recording.recording_id, "quarantined", name, reason=set_aside.reason)
    done = _finished(output_dir, recording.recording_id, name)
    if done is None:
        try:
            facts = _extract(recording, version, name, output_dir, frames_per_second)
        except RecordingUnreadable as error:
            return _set_aside(recording, name, error, output_dir, quarantine_dir, frames_per_second)
    else:
        facts = done
    _point_to(output_dir, facts)
    if set_aside:
        quarantine.release(quarantine_dir, recording.recording_id)
    status: Literal["known", "extracted"] = "known" if done else "extracted"
    return Outcome(recording.recording_id, status, name, facts["frame_count"], facts["duration_seconds"])


def refuse(refused: Refused, *, quarantine_dir: str) -> Outcome:
    """Set a file aside that cannot be a recording at all: a bad name, or a second one of the same name."""
    entry = quarantine.Entry(
        recording_id=refused.recording_id,
        stage="extraction",
        reason=refused.reason,
        source_uri=refused.uri,
        retry="rename the file, then extract it again",
    )
    with storage.local_copy(refused.uri) as path:
        quarantine.put(quarantine_dir, entry, path)
    logger.warning("refused %s: %s", refused.uri, refused.reason)
    return Outcome(refused.recording_id, "quarantined", reason=refused.reason)


def _finished(output_dir: str, recording_id: str, name: str) -> dict[str, Any] | None:
    try:
        return dict(storage.read_json(storage.join(output_dir, recording_id, name, "extraction.json")))
    except ObjectNotFound:
        return None


def _point_to(output_dir: str, facts: dict[str, Any]) -> None:
    pointer = {"extraction_id": facts["extraction_id"], "source_version": facts["source_version"]}
    uri = storage.join(output_dir, facts["recording_id"], "current.json")
    try:
        if storage.read_json(uri) == pointer:
            return
    except ObjectNotFound:
        pass
    storage.write_json(uri, pointer)


def _extract(
    recording: Recording, version: str, name: str, output_dir: str, frames_per_second: float
) -> dict[str, Any]:
    started = time.monotonic()
    sidecar = read_sidecar(recording)
    target = storage.join(output_dir, recording.recording_id, name)
    with (
        storage.local_copy(recording.uri) as path,
        VideoReader(path) as video,
        tempfile.TemporaryDirectory() as scratch,
    ):
        rows = _write_shards(video.sample(frames_per_second), Path(scratch), target)
        facts = video.facts()
    index = pa.Table.from_pylist(
        [{"recording_id": recording.recording_id, "width": facts.width, "height": facts.height} | row for row in rows],
        schema=INDEX_SCHEMA,
    )
    storage.write_bytes(storage.join(target, "index.parquet"), parquet_bytes(index))
    summary = _summary(recording, sidecar, facts) | {
        "extraction_id": name,
        "source_version": version,
        "frames_per_second": float(frames_per_second),
        "frame_count": len(rows),
    }
    storage.write_json(storage.join(target, "extraction.json"), summary)
    _log_done(recording, facts, len(rows), time.monotonic() - started)
    return summary


def _log_done(recording: Recording, facts: VideoFacts, frames: int, seconds: float) -> None:
    logger.info(
        "extracted %s: %d frames of %.0f s, %d gaps, %d decode errors, %.0f times real time",
        recording.recording_id,
        frames,
        facts.duration_seconds,
        len(facts.gaps),
        facts.decode_errors,
        facts.duration_seconds / seconds,
    )


def _summary(recording: Recording, sidecar: Sidecar, facts: VideoFacts) -> dict[str, Any]:
    return {
        "version": 1,
        "recording_id": recording.recording_id,
        "source_uri": recording.uri,
        "channel": recording.channel(sidecar),
        "date": recording.date(sidecar),
        "show": sidecar.show,
        "genre": sidecar.genre,
        "sport": sidecar.sport,
        "gaps": [gap._asdict() for gap in facts.gaps],
        "has_audio": facts.audio_sample_rate is not None,
        **{key: value for key, value in facts._asdict().items() if key != "gaps"},
    }


def _write_shards(frames: Iterable[SampledFrame], scratch: Path, target: str) -> list[dict[str, Any]]:
    """Store the frames, one shard at a time, and return their rows of the index."""
    rows: list[dict[str, Any]] = []
    for number, (pictures, described) in enumerate(_shards(frames)):
        shard = f"frames-{number:05d}.parquet"
        table = pa.Table.from_pylist(pictures, schema=SHARD_SCHEMA)
        path = scratch / shard
        path.write_bytes(parquet_bytes(table, compression="none"))
        storage.upload(path, storage.join(target, shard))
        path.unlink()
        rows += [row | {"frame_index": len(rows) + at, "shard": shard, "row": at} for at, row in enumerate(described)]
    return rows


def _shards(frames: Iterable[SampledFrame]) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    pictures: list[dict[str, Any]] = []
    described: list[dict[str, Any]] = []
    previous_gray: Image | None = None
    for frame in frames:
        appearance, previous_gray = measure(frame.image, previous_gray)
        pictures.append({"pts_seconds": frame.pts_seconds, "jpeg": encode_jpeg(frame.image)})
        described.append({"pts_seconds": frame.pts_seconds, **appearance._asdict()})
        if len(pictures) == SHARD_ROWS:
            yield pictures, described
            pictures, described = [], []
    if pictures:
        yield pictures, described


def parquet_bytes(table: pa.Table, *, compression: str = "zstd") -> bytes:
    """Return a table as one Parquet file; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=compression, write_statistics=False, use_dictionary=False)
    return bytes(sink.getvalue().to_pybytes())


def _set_aside(
    recording: Recording,
    name: str,
    error: RecordingUnreadable,
    output_dir: str,
    quarantine_dir: str,
    frames_per_second: float,
) -> Outcome:
    options = ["--video-source", recording.uri, "--output-dir", output_dir, "--quarantine-dir", quarantine_dir]
    command = [*options, "--fps", f"{frames_per_second:g}", "--retry"]
    entry = quarantine.Entry(
        recording_id=recording.recording_id,
        stage="extraction",
        reason=error.message,
        tool_output=error.facts.get("tool_output", ""),
        source_uri=recording.uri,
        extraction_id=name,
        retry=f"python -m ml_training.data.collectors extract {shlex.join(command)}",
    )
    with storage.local_copy(recording.uri) as path:
        quarantine.put(quarantine_dir, entry, path)
    logger.warning("quarantined %s: %s", recording.recording_id, error.message)
    return Outcome(recording.recording_id, "quarantined", name, reason=error.message)


def as_result(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON can hold it."""
    return asdict(outcome)
