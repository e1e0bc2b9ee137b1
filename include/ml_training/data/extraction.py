"""Turns a recording into stored frames and sound: shards, an index, and last ``extraction.json``, the mark of the end.

    settings = Settings(frames_per_second=1.0)
    outcome = extract_recording(recording, settings, output_dir="data/frames", quarantine_dir="data/quarantine")
    outcome.status            # 'extracted', 'known' (found its result) or 'quarantined' (outcome.reason says why)

An extraction is named by the hash of the source's version, the extractor's version and the parameters, and writes the
same bytes each time. One that was killed goes on with the parts that are not stored yet.
"""

import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from ml_training.cloud import storage
from ml_training.data import quarantine
from ml_training.data.audio.sound import SAMPLE_RATE, shard_name
from ml_training.data.frames import JPEG_QUALITY, RESIZE_NAME
from ml_training.data.media_file import MediaFile
from ml_training.data.packet_plan import plan_part
from ml_training.data.part_work import PartJob, do_part, do_whole
from ml_training.data.parts import Layout
from ml_training.data.recordings import Recording, Refused, read_sidecar, source_version
from ml_training.data.shards import PartRows, frames_name, index_table, parquet_bytes, read_part
from ml_training.data.timeline import Timeline, read_timeline
from ml_training.data.video import PlanBroken, VideoFacts, stream_facts
from ml_training.data.workers import WorkerPool
from ml_training.utils.errors import ObjectNotFound, RecordingUnreadable
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Sidecar

EXTRACTOR_VERSION = 3  # changes when the same recording would give other frames or other sound
HOLE_SECONDS = 0.1  # a stretch without sound that is shorter is not listed

Mode = Literal["exact", "keyframes"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How to extract. ``stream`` and ``retry`` do not change the result, the others do.

    ``mode``: every frame is a candidate, or keyframes only. ``stream``: range reads instead of a local copy of an
    object. ``retry``: try again what is in quarantine. ``part_seconds``: what workers share, for extractions that are
    not kept.
    """

    frames_per_second: float = 1.0
    mode: Mode = "exact"
    stream: bool = False
    retry: bool = False
    part_seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one recording. ``reason`` is empty unless it was quarantined."""

    recording_id: str
    status: Literal["extracted", "known", "quarantined"]
    extraction_id: str = ""
    frames: int = 0
    duration_seconds: float = 0.0
    reason: str = ""


class Opened(NamedTuple):
    """A recording that is open, and its timeline; None where it has to be decoded whole."""

    media: MediaFile
    timeline: Timeline | None


@contextmanager
def open_recording(location: str) -> Iterator[Opened]:
    """Open a recording and read its timeline. Raises RecordingUnreadable."""
    with MediaFile(location) as media:
        yield Opened(media, read_timeline(media))


def extraction_name(
    version: str, frames_per_second: float, mode: Mode = "exact", part_seconds: float | None = None
) -> str:
    """Return the id of the extraction of a source version with these parameters."""
    parameters = {
        "frames_per_second": float(frames_per_second),
        "mode": mode,
        "resize": RESIZE_NAME,
        "jpeg_quality": JPEG_QUALITY,
    }
    if part_seconds is not None:
        parameters["part_seconds"] = part_seconds
    return short_hash({"source": version, "extractor": EXTRACTOR_VERSION, "parameters": parameters})


def extract_recording(
    recording: Recording,
    settings: Settings,
    *,
    output_dir: str,
    quarantine_dir: str,
    pool: WorkerPool | None = None,
    opened: Opened | None = None,
) -> Outcome:
    """Extract the frames and the sound of one recording, unless that is done; an unreadable one goes to quarantine.

    ``pool`` works on several parts at a time; ``opened`` is the recording, where it is open already. Returns the
    outcome; raises only when the storage fails.
    """
    version = source_version(recording)
    name = extraction_name(version, settings.frames_per_second, settings.mode, settings.part_seconds)
    set_aside = quarantine.read(quarantine_dir, recording.recording_id)
    if set_aside and set_aside.extraction_id == name and not settings.retry:
        return Outcome(recording.recording_id, "quarantined", name, reason=set_aside.reason)
    done = _finished(output_dir, recording.recording_id, name)
    if done is None:
        try:
            facts = _extract(recording, settings, (version, name), output_dir, pool or WorkerPool(1), opened)
        except RecordingUnreadable as error:
            return _set_aside(recording, name, error, output_dir, quarantine_dir, settings)
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
    recording: Recording,
    settings: Settings,
    names: tuple[str, str],
    output_dir: str,
    pool: WorkerPool,
    opened: Opened | None,
) -> dict[str, Any]:
    started = time.monotonic()
    sidecar = read_sidecar(recording)
    version, name = names
    target = storage.join(output_dir, recording.recording_id, name)
    layout = Layout(settings.frames_per_second, settings.part_seconds)
    storage.remove_leftovers(target)
    with _opened(recording, settings, opened) as found:
        parts, facts = _decode(found, target, layout, settings, pool)
        sound = _sound_facts(found.media, parts, layout, facts.duration_seconds)
    shards = {number: table for part in parts for number, table in part.shards.items()}
    index = index_table(recording.recording_id, facts.width, facts.height, shards)
    storage.write_bytes(storage.join(target, "index.parquet"), parquet_bytes(index))
    _remove_others(target, {frames_name(n) for n in shards} | {shard_name(n) for n in shards if sound})
    summary = _summary(recording, sidecar, facts) | {
        "extraction_id": name,
        "source_version": version,
        "frames_per_second": float(settings.frames_per_second),
        "mode": settings.mode,
        "shard_seconds": layout.shard_seconds,
        "frame_count": index.num_rows,
        "sound": sound,
    }
    storage.write_json(storage.join(target, "extraction.json"), summary)
    _log_done(recording, facts, index.num_rows, time.monotonic() - started)
    return summary


@contextmanager
def _opened(recording: Recording, settings: Settings, opened: Opened | None) -> Iterator[Opened]:
    if opened is not None:
        yield opened
    elif settings.stream:
        with open_recording(recording.uri) as found:
            yield found
    else:
        with storage.local_copy(recording.uri) as path, open_recording(str(path)) as found:
            yield found


def _decode(
    opened: Opened, target: str, layout: Layout, settings: Settings, pool: WorkerPool
) -> tuple[list[PartRows], VideoFacts]:
    """Make the parts of a recording: as planned, or in one pass where it is damaged or irregular."""
    media, timeline = opened
    if timeline is not None:
        try:
            return _decode_parts(media, timeline, target, layout, settings, pool)
        except PlanBroken as broken:
            logger.info("%s is decoded whole: %s", media.name, broken)
    return do_whole(media, target, layout, keyframes_only=settings.mode == "keyframes")


def _decode_parts(
    media: MediaFile, timeline: Timeline, target: str, layout: Layout, settings: Settings, pool: WorkerPool
) -> tuple[list[PartRows], VideoFacts]:
    keyframes_only = settings.mode == "keyframes"
    choice = timeline.choose(settings.frames_per_second, keyframes_only=keyframes_only)
    facts = timeline.facts(media.frame_seconds)
    parts = layout.parts(facts.duration_seconds)
    there = {item.uri.rsplit("/", 1)[1] for item in storage.list_objects(target + "/")}
    stored = {part for part in parts if all(frames_name(n) in there for n in range(part.first_shard, part.end_shard))}
    jobs = [
        PartJob(
            location=media.location,
            plan=plan_part(timeline, choice, p, layout, is_last=p is parts[-1], keyframes_only=keyframes_only),
            target=target,
            layout=layout,
            duration_seconds=facts.duration_seconds,
            has_sound=media.audio is not None,
        )
        for p in parts
        if p not in stored
    ]
    made = dict(zip((job.plan.part for job in jobs), pool.map(do_part, jobs), strict=True))
    rows = [made[part] if part in made else read_part(target, part) for part in parts]
    return rows, VideoFacts(**facts._asdict(), timestamp_resets=0, decode_errors=0, **stream_facts(media))


def _sound_facts(
    media: MediaFile, parts: list[PartRows], layout: Layout, duration_seconds: float
) -> dict[str, Any] | None:
    """Return what ``extraction.json`` says of the sound; None when there is none."""
    runs = sorted(run for part in parts for run in part.sound.runs)
    if media.audio is None or not runs:
        return None
    end = round(duration_seconds * SAMPLE_RATE)
    at, holes, heard = 0, [], 0
    for first, last in [*runs, [end, end]]:
        if min(first, end) - at > HOLE_SECONDS * SAMPLE_RATE:
            holes.append({"at_seconds": at / SAMPLE_RATE, "length_seconds": (min(first, end) - at) / SAMPLE_RATE})
        heard += max(0, min(last, end) - max(first, at))
        at = max(at, min(last, end))
    context = media.audio.codec_context
    return {
        "shards": layout.shard_count(duration_seconds),
        "duration_seconds": heard / SAMPLE_RATE,
        "holes": holes,
        "decode_errors": sum(part.sound.errors for part in parts),
        "tracks": len(media.container.streams.audio),
        "track": media.audio.index,
        "language": media.audio.language,
        "codec": context.name,
        "channels": context.channels,
        "source_sample_rate": context.sample_rate,
    }


def _remove_others(target: str, names: set[str]) -> None:
    """Remove what a plan that did not come out has left."""
    for item in list(storage.list_objects(target + "/")):
        if item.uri.rsplit("/", 1)[1] not in names | {"index.parquet"}:
            storage.delete(item.uri)


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


def _set_aside(
    recording: Recording,
    name: str,
    error: RecordingUnreadable,
    output_dir: str,
    quarantine_dir: str,
    settings: Settings,
) -> Outcome:
    options = ["--video-source", recording.uri, "--output-dir", output_dir, "--quarantine-dir", quarantine_dir]
    mode = ["--mode", settings.mode] if settings.mode != "exact" else []
    command = [*options, "--fps", f"{settings.frames_per_second:g}", *mode, "--retry"]
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
