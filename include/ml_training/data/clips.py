"""Takes folders of short labelled clips as recordings: ``ads/`` and ``games/``, ten seconds each, with sound.

    import_clips("clips", "s3://adbreak")["imported"]

    clips/ads/soap-7.mp4          an ad from one end to the other
    clips/games/arena/g1-0001.mp4     content, of the channel arena

A clip becomes ``recordings/<channel>/<date of the file>/<folder>-<name>.mp4`` with one label over its whole length. A
clip of no known channel stands for itself when it comes to splits. Clips that were cut from one broadcast look alike:
put them into a sub-folder of their own, so that they go to one split together.
"""

import logging
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any, NamedTuple

import av
from av.error import FFmpegError

from ml_training.cloud import storage
from ml_training.data.label_events import append_events
from ml_training.data.recordings import MEDIA_ENDINGS, UNKNOWN_CHANNEL, VIDEO_ENDINGS
from ml_training.utils.errors import DataError, RecordingUnreadable
from ml_training.utils.hashing import sha256_file
from ml_training.utils.records import LABELS, Segment, Sidecar

FOLDERS = {"ads": "ad", "games": "content"}

logger = logging.getLogger(__name__)


class Clip(NamedTuple):
    """A clip, and what it becomes."""

    uri: str
    recording_id: str
    channel: str
    date: str
    label: str


class ClipFacts(NamedTuple):
    """What a clip's container says."""

    duration_seconds: float
    has_sound: bool


def import_clips(
    source: str,
    data_dir: str,
    *,
    folders: Mapping[str, str] | None = None,
    channel: str | None = None,
    genre: str | None = None,
    author: str = "clips",
) -> dict[str, Any]:
    """Copy the clips below ``source``/<folder> into the recordings and label them; ``folders`` maps folder to label.

    Returns ``imported`` and ``known`` recordings, ``refused`` (clip: why), ``without_sound`` and ``seconds`` by label.
    Imported twice, the second time adds nothing. Raises DataError when there are no clips, or none can be read.
    """
    clips = find_clips(source, folders or FOLDERS, channel or UNKNOWN_CHANNEL)
    there = _recordings_there(data_dir)
    seen: dict[str, Clip] = {}
    result: dict[str, Any] = {"imported": [], "known": [], "refused": {}, "without_sound": [], "seconds": {}}
    for clip in clips:
        try:
            _import_clip(clip, data_dir, there, seen, result, genre=genre, author=author)
        except RecordingUnreadable as error:
            logger.warning("refused %s: %s", clip.uri, error.message)
            result["refused"][clip.uri] = error.message
    if not result["imported"] and not result["known"]:
        raise DataError(f"none of the {len(clips)} clips in {source} can be taken: {result['refused']}", **result)
    return result


def find_clips(source: str, folders: Mapping[str, str], channel: str) -> list[Clip]:
    """List the clips below each folder, in order of address. Raises DataError for a wrong label, or without clips."""
    wrong = {folder: label for folder, label in folders.items() if label not in LABELS}
    if wrong:
        raise DataError(f"expected folders with labels among {', '.join(LABELS)}, received {wrong}")
    clips = []
    for folder, label in sorted(folders.items()):
        root = storage.join(source, folder) + "/"
        for item in storage.list_objects(root):
            path = PurePosixPath(item.uri[len(root) :])
            if path.suffix.lower() in VIDEO_ENDINGS:
                name = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join([folder, *path.parts[:-1], path.stem]))
                own = re.sub(r"[^A-Za-z0-9._-]+", "_", path.parts[0]) if len(path.parts) > 1 else channel
                clips.append(Clip(item.uri, name, own, f"{item.modified:%Y-%m-%d}", label))
    if not clips:
        expected = ", ".join(f"{folder}/ ({label})" for folder, label in sorted(folders.items()))
        raise DataError(f"there are no clips in {source}: expected video files in {expected}", source=source)
    return clips


def read_facts(path: Path) -> ClipFacts:
    """Return how long a clip's pictures last, and whether it has sound. Raises RecordingUnreadable without pictures."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise RecordingUnreadable(f"{path.name} has no video stream")
            stream = container.streams.video[0]
            shown = sorted(
                (float(p.pts * p.time_base), float((p.duration or 0) * p.time_base))
                for p in container.demux(stream)
                if p.pts is not None and p.time_base is not None
            )
            has_sound = bool(container.streams.audio)
    except FFmpegError as error:
        raise RecordingUnreadable(f"{path.name} cannot be read: {error}") from error
    if not shown:
        raise RecordingUnreadable(f"{path.name} has no pictures")
    starts = [start for start, _ in shown]
    step = median(after - before for before, after in pairwise(starts)) if len(starts) > 1 else 0.0
    last = shown[-1][1] or step  # a transport stream does not say how long its last picture lasts
    return ClipFacts(round(starts[-1] - starts[0] + last, 6), has_sound)


def _import_clip(
    clip: Clip,
    data_dir: str,
    there: Mapping[str, str],
    seen: dict[str, Clip],
    result: dict[str, Any],
    *,
    genre: str | None,
    author: str,
) -> None:
    with storage.local_copy(clip.uri) as path:
        content = sha256_file(path)
        other = seen.setdefault(content, clip)
        if other is not clip:
            differ = "" if other.label == clip.label else f", and is called {other.label} there"
            raise RecordingUnreadable(f"it is the same file as {other.uri}{differ}")
        facts = read_facts(path)
        if clip.recording_id in there:
            with storage.local_copy(there[clip.recording_id]) as stored:
                if sha256_file(stored) != content:
                    raise RecordingUnreadable(f"there is another recording {clip.recording_id}: rename the clip")
        else:
            folder = storage.join(data_dir, "recordings", clip.channel, clip.date)
            if genre:
                sidecar = Sidecar(genre=genre).model_dump(mode="json", exclude_none=True)
                storage.write_json(storage.join(folder, f"{clip.recording_id}.json"), sidecar)
            storage.upload(path, storage.join(folder, clip.recording_id + PurePosixPath(clip.uri).suffix.lower()))
    whole = Segment.model_validate({"start_seconds": 0, "end_seconds": facts.duration_seconds, "label": clip.label})
    added = append_events(data_dir, clip.recording_id, [whole], source="file", author=author)
    result["known" if clip.recording_id in there and not added else "imported"].append(clip.recording_id)
    result["seconds"][clip.label] = round(result["seconds"].get(clip.label, 0.0) + facts.duration_seconds, 3)
    if not facts.has_sound:
        result["without_sound"].append(clip.recording_id)


def _recordings_there(data_dir: str) -> dict[str, str]:
    listed = [item.uri for item in storage.list_objects(storage.join(data_dir, "recordings") + "/")]
    return {PurePosixPath(uri).stem: uri for uri in listed if PurePosixPath(uri).suffix.lower() in MEDIA_ENDINGS}
