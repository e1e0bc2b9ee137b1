"""The recordings of a night: finds them in a folder, says what is wrong with them before anything starts, uploads them.

    found = find_recordings(Path("/video"))
    labels = check_labels(Path("labels.json"), found)
    upload_recordings(bucket, found.recordings, say)

A file below ``<channel>/<YYYY-MM-DD>/`` keeps its place. Any other goes to ``<channel>/<date of the file>/`` with the
channel of its sidecar, else ``unknown``.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from local_stack.bucket import Bucket
from local_stack.errors import InputError
from local_stack.workplace import Workplace, read_json, write_json

VIDEO_ENDINGS = {".ts", ".m2ts", ".mts", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".avi", ".flv"}
SOUND_ENDINGS = {".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg"}
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")


class Recording(NamedTuple):
    """One video file, with the place that it gets in the bucket."""

    recording_id: str
    path: Path
    key: str
    sidecar: Path | None


class Found(NamedTuple):
    """What a folder holds, and what a person should know of it."""

    recordings: list[Recording]
    notes: list[str]


class Labels(NamedTuple):
    """Labels under the ids of the recordings that are there."""

    by_recording: dict[str, list[dict[str, Any]]]
    notes: list[str]


def find_recordings(folder: Path) -> Found:
    """Find the video files below ``folder``. Raises InputError when there is none, or two share a name."""
    if not folder.is_dir():
        raise InputError(f"RECORDINGS={folder}: there is no such folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    videos = [path for path in files if path.suffix.lower() in VIDEO_ENDINGS]
    if not videos:
        held = f"it holds {len(files)} other files" if files else "it is empty"
        endings = " ".join(sorted(VIDEO_ENDINGS))
        raise InputError(f"RECORDINGS={folder}: no video in this folder ({held}); expected files ending in {endings}")
    recordings = [_describe(folder, path) for path in videos]
    seen: dict[str, Path] = {}
    for recording in recordings:
        other = seen.setdefault(recording.recording_id, recording.path)
        if other is not recording.path:
            raise InputError(f"{other} and {recording.path} have the same name: rename one, the name is the id")
    notes = [
        f"{path.name} is left out: sound without picture" for path in files if path.suffix.lower() in SOUND_ENDINGS
    ]
    notes += [f"{r.path.name} is called {r.recording_id}" for r in recordings if r.path.stem != r.recording_id]
    return Found(recordings, notes)


def _describe(folder: Path, path: Path) -> Recording:
    recording_id = NOT_IN_AN_ID.sub("_", path.stem)
    parts = path.relative_to(folder).parts
    sidecar = path.with_suffix(".json")
    if len(parts) >= 3 and DATE.fullmatch(parts[-2]):
        channel, date = parts[-3], parts[-2]
    else:
        channel = _sidecar_channel(sidecar)
        date = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d")
    name = recording_id + path.suffix.lower()
    return Recording(recording_id, path, f"recordings/{channel}/{date}/{name}", sidecar if sidecar.is_file() else None)


def _sidecar_channel(sidecar: Path) -> str:
    try:
        channel = json.loads(sidecar.read_text()).get("channel")
    except (OSError, ValueError, AttributeError):
        channel = None
    return NOT_IN_AN_ID.sub("_", channel) if isinstance(channel, str) and channel else "unknown"


def check_labels(path: Path, found: Found) -> Labels:
    """Read labels and keep those of recordings that are there.

    Raises InputError when the file is missing or not of the right form, when it names none of the recordings, or when
    it does not have both classes.
    """
    content = _read_labels(path)
    ids = {recording.path.stem: recording.recording_id for recording in found.recordings}
    ids.update({recording.recording_id: recording.recording_id for recording in found.recordings})
    kept = {ids[name]: segments for name, segments in content.items() if name in ids}
    missing = sorted(name for name in content if name not in ids)
    if not kept:
        raise InputError(
            f"LABELS={path} names none of the recordings: it names {', '.join(missing[:5]) or 'nothing'}; "
            f"there are {', '.join(sorted(set(ids.values()))[:5])}"
        )
    classes = {str(segment.get("label")) for segments in kept.values() for segment in segments}
    for needed in ("ad", "content"):
        if needed not in classes:
            raise InputError(
                f"LABELS={path} has no segment labelled {needed!r} (it has: {', '.join(sorted(classes)) or 'none'}): "
                "a model needs both 'ad' and 'content'"
            )
    notes = [f"labels of recordings that are not there are left out: {', '.join(missing)}"] if missing else []
    unlabelled = sorted({recording.recording_id for recording in found.recordings} - set(kept))
    if unlabelled:
        notes.append(f"without labels, so not trained on: {', '.join(unlabelled)}")
    return Labels(kept, notes)


def _read_labels(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"LABELS={path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"LABELS={path} is not JSON: {error}") from error
    form = '{"<recording>": [{"start": 0, "end": 49.1, "label": "content"}, ...]}'
    if not isinstance(content, dict):
        raise InputError(f"LABELS={path}: expected {form}, received a {type(content).__name__}")
    for name, segments in content.items():
        if not isinstance(segments, list) or not all(isinstance(segment, dict) for segment in segments):
            raise InputError(f"LABELS={path}: {name}: expected a list of segments, as in {form}")
    return content


def fingerprint(place: Workplace, found: Found, labels: Labels | None) -> str:
    """Return a hash of all recordings, sidecars and labels: the same again is nothing new."""
    contents = sorted(
        [
            recording.key,
            file_sha256(place, recording.path),
            file_sha256(place, recording.sidecar) if recording.sidecar else "",
        ]
        for recording in found.recordings
    )
    text = json.dumps([contents, labels.by_recording if labels else None], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(place: Workplace, path: Path) -> str:
    """Return a file's SHA-256; remembered as long as its size and time stay."""
    cache = place.state / "work" / "sha256.json"
    known = read_json(cache, {})
    facts = path.stat()
    key = f"{path.absolute()}|{facts.st_size}|{facts.st_mtime_ns}"
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        write_json(cache, known)
    return str(known[key])


def upload_recordings(place: Workplace, bucket: Bucket, found: Found, say: Callable[[int, int], None]) -> int:
    """Store what is not in the bucket yet; returns how many recordings that were. ``say`` hears done and total."""
    stored = 0
    for at, recording in enumerate(found.recordings, 1):
        if recording.sidecar:
            key = str(Path(recording.key).with_suffix(".json"))
            bucket.upload(recording.sidecar, key, file_sha256(place, recording.sidecar))
        stored += bucket.upload(recording.path, recording.key, file_sha256(place, recording.path))
        say(at, len(found.recordings))
    return stored
