"""Which recordings of a source are new, or changed since their frames were extracted.

    scan("s3://adbreak/recordings", data_dir="s3://adbreak")["recordings"]

The answer is what an Airflow task maps over: small, and the same as long as nothing changes.
"""

from typing import Any

from ml_training.cloud import storage
from ml_training.data import quarantine
from ml_training.data.extraction import extraction_name
from ml_training.data.frames import read_current
from ml_training.data.recordings import Recording, find_recordings, read_sidecar, source_version
from ml_training.utils.errors import RecordingUnreadable
from ml_training.utils.records import Sidecar


def scan(source: str, *, data_dir: str, frames_per_second: float = 1.0) -> dict[str, Any]:
    """Return ``recordings`` (new or changed ones), ``known``, ``quarantined`` ids and ``refused`` files.

    A recording whose present version is in quarantine is not offered again: its reason.json says how to retry.
    Raises DataError when the source holds no media file.
    """
    found = find_recordings(source)
    new: list[dict[str, Any]] = []
    quarantined: list[str] = []
    for recording in found.recordings:
        name = extraction_name(source_version(recording), frames_per_second)
        entry = quarantine.read(storage.join(data_dir, "quarantine"), recording.recording_id)
        current = read_current(data_dir, recording.recording_id)
        if entry is not None and entry.extraction_id == name:
            quarantined.append(recording.recording_id)
        elif current is None or current["extraction_id"] != name:
            new.append(_describe(recording))
    return {
        "recordings": new,
        "known": len(found.recordings) - len(new) - len(quarantined),
        "quarantined": quarantined,
        "refused": [refused._asdict() for refused in found.refused],
    }


def _describe(recording: Recording) -> dict[str, Any]:
    try:
        sidecar = read_sidecar(recording)
    except RecordingUnreadable:
        sidecar = Sidecar()  # the extraction will say what is wrong with it
    return {
        "recording_id": recording.recording_id,
        "uri": recording.uri,
        "channel": recording.channel(sidecar),
        "date": recording.date(sidecar),
        "bytes": recording.size_bytes,
    }
