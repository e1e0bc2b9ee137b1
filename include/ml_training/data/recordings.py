"""Finds recordings in a folder or a bucket and says what is known of each before it is decoded.

    for recording in find_recordings("s3://adbreak/recordings").recordings:
        recording.recording_id, recording.channel, source_version(recording)

A recording is a media file; its id is the file's name without the ending. The layout
``<channel>/<YYYY-MM-DD>/<recording_id>.ts`` gives channel and date; files that lie elsewhere take both from the sidecar
``<recording_id>.json`` beside them, else the channel is ``unknown``.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from ml_training.cloud import storage
from ml_training.utils.errors import DataError, RecordingUnreadable
from ml_training.utils.hashing import sha256_file, short_hash
from ml_training.utils.records import Sidecar

VIDEO_ENDINGS = (".ts", ".m2ts", ".mts", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".avi", ".flv")
SOUND_ENDINGS = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg")  # recordings that went wrong: said, not overlooked
MEDIA_ENDINGS = frozenset(VIDEO_ENDINGS + SOUND_ENDINGS)
UNKNOWN_CHANNEL = "unknown"
ID_PATTERN = re.compile(r"[A-Za-z0-9._-]+")
DATE_PATTERN = re.compile(r"\d{4}-\d{2}-\d{2}")


class Recording(NamedTuple):
    """A media file with its address. ``stored_version`` is what the storage says of the file without reading it."""

    recording_id: str
    uri: str
    size_bytes: int
    stored_version: str
    sidecar_uri: str | None = None
    sidecar_version: str | None = None

    @property
    def folder_channel(self) -> str | None:
        """The channel that the layout gives; None outside the layout."""
        return _layout(self.uri)[0]

    @property
    def folder_date(self) -> str | None:
        """The date that the layout gives, as YYYY-MM-DD; None outside the layout."""
        return _layout(self.uri)[1]

    def channel(self, sidecar: Sidecar) -> str:
        """The channel: the folder's, else the sidecar's, else ``unknown``."""
        return self.folder_channel or sidecar.channel or UNKNOWN_CHANNEL

    def date(self, sidecar: Sidecar) -> str | None:
        """The date as YYYY-MM-DD: the folder's, else that of the sidecar's start time."""
        return self.folder_date or (sidecar.start_time.date().isoformat() if sidecar.start_time else None)


class Refused(NamedTuple):
    """A media file that cannot be a recording, and why."""

    recording_id: str
    uri: str
    reason: str
    stored_version: str = ""

    @property
    def channel(self) -> str:
        """The channel of its folder, else ``unknown``."""
        return _layout(self.uri)[0] or UNKNOWN_CHANNEL

    @property
    def date(self) -> str | None:
        """The date of its folder."""
        return _layout(self.uri)[1]


class Found(NamedTuple):
    """What a source holds, in order of address."""

    recordings: list[Recording]
    refused: list[Refused]


def _layout(uri: str) -> tuple[str, str] | tuple[None, None]:
    """Return the channel and the date of ``<channel>/<YYYY-MM-DD>/<file>``."""
    parts = uri.split("/")
    inside = len(parts) >= 3 and DATE_PATTERN.fullmatch(parts[-2]) and parts[-3]
    return (parts[-3], parts[-2]) if inside else (None, None)


def find_recordings(source: str) -> Found:
    """List the media files at ``source``: one file, or everything below a folder or a prefix.

    Names that cannot be an id and second files of the same id are refused. Raises DataError when there is none.
    """
    listing = [storage.stat(source)] if _is_one_file(source) else list(storage.list_objects(source))
    media = [item for item in listing if Path(item.uri).suffix.lower() in MEDIA_ENDINGS]
    if not media:
        endings = " ".join(sorted(MEDIA_ENDINGS))
        raise DataError(f"there are no recordings in {source}: expected files ending in {endings}", source=source)
    sidecars = {item.uri: item for item in listing if item.uri.endswith(".json")}
    return _sort_out(_describe(item, sidecars, alone=len(listing) == 1) for item in media)


def _is_one_file(source: str) -> bool:
    return Path(source).suffix.lower() in MEDIA_ENDINGS and storage.exists(source)


def _describe(item: storage.StoredObject, sidecars: dict[str, storage.StoredObject], *, alone: bool) -> Recording:
    stem, sidecar_uri = Path(item.uri).stem, item.uri[: item.uri.rfind(".")] + ".json"
    sidecar = sidecars.get(sidecar_uri)
    if sidecar is None and alone and storage.exists(sidecar_uri):
        sidecar = storage.stat(sidecar_uri)
    recording = Recording(stem, item.uri, item.size_bytes, item.version)
    return recording._replace(sidecar_uri=sidecar.uri, sidecar_version=sidecar.version) if sidecar else recording


def _sort_out(recordings: Iterable[Recording]) -> Found:
    found = Found([], [])
    seen: dict[str, str] = {}
    for recording in recordings:
        name, uri = recording.recording_id, recording.uri
        if not ID_PATTERN.fullmatch(name):
            reason = (
                f"the file name {name!r} cannot be an id: use only letters, digits, dots, _ and -, then run it again"
            )
            found.refused.append(Refused(re.sub(r"[^A-Za-z0-9._-]", "_", name), uri, reason, recording.stored_version))
        elif name in seen:
            reason = f"{seen[name]} has the same recording id {name!r}: give one of the two files another name"
            found.refused.append(Refused(name, uri, reason, recording.stored_version))
        else:
            seen[name] = uri
            found.recordings.append(recording)
    return found


def source_version(recording: Recording) -> str:
    """Return a name for the recording's content, its sidecar included: the ETags in a bucket, SHA-256 in a folder."""
    return short_hash([_content(recording.uri, recording.stored_version), _sidecar_content(recording)])


def _content(uri: str, stored_version: str) -> str:
    return stored_version if storage.is_s3(uri) else sha256_file(Path(uri))


def _sidecar_content(recording: Recording) -> str | None:
    if recording.sidecar_uri is None or recording.sidecar_version is None:
        return None
    return _content(recording.sidecar_uri, recording.sidecar_version)


def read_sidecar(recording: Recording) -> Sidecar:
    """Return the recording's sidecar, an empty one where there is none. Raises RecordingUnreadable when it is wrong."""
    if recording.sidecar_uri is None:
        return Sidecar()
    try:
        return Sidecar.model_validate_json(storage.read_bytes(recording.sidecar_uri))
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors())
        raise RecordingUnreadable(
            f"the sidecar {recording.sidecar_uri} is wrong: {mistakes}. It may have {', '.join(Sidecar.model_fields)}",
            uri=recording.sidecar_uri,
        ) from error
