"""Sets aside what broke a rule of severity ``quarantine``, with the reason beside it, so that nobody reads it.

    set_recordings_aside("s3://adbreak", {"news-0105": "time_increases: expected that ..."})
    set_telemetry_aside("s3://adbreak", {"pi-attic/2026-01-05/0700.jsonl": "lines_readable: ..."})

A recording loses only its pointer ``frames/<id>/current.json``: its frames stay, and dataset builds pass over it. A
file of telemetry is moved, the copy first.
"""

import logging
import shlex
from collections.abc import Mapping

from ml_training.cloud import storage
from ml_training.data import quarantine
from ml_training.data.frames import read_current, read_extraction
from ml_training.utils.errors import ObjectNotFound

logger = logging.getLogger(__name__)


def set_recordings_aside(data_dir: str, reasons: Mapping[str, str]) -> list[str]:
    """Set recordings aside; one that has no frames any more is passed over. Returns their ids, sorted."""
    for recording_id, reason in sorted(reasons.items()):
        current = read_current(data_dir, recording_id)
        if current is None:
            continue
        source_uri, frames = _source(data_dir, recording_id), storage.join(data_dir, "frames")
        options = shlex.join(["--video-source", source_uri, "--retry", "--output-dir", frames])
        entry = quarantine.Entry(
            recording_id=recording_id,
            stage="validation",
            reason=reason,
            source_uri=source_uri,
            extraction_id=current["extraction_id"],
            retry=f"python -m ml_training.data.collectors extract {options}",
        )
        storage.write_json(storage.join(data_dir, "quarantine", recording_id, "current.json"), current)
        quarantine.put(storage.join(data_dir, "quarantine"), entry)
        storage.delete(storage.join(frames, recording_id, "current.json"))
        logger.error("quarantined %s: %s", recording_id, reason)
    return sorted(reasons)


def _source(data_dir: str, recording_id: str) -> str:
    try:
        return str(read_extraction(data_dir, recording_id).get("source_uri", "unknown"))
    except ObjectNotFound:
        return "unknown"


def set_telemetry_aside(data_dir: str, reasons: Mapping[str, str]) -> list[str]:
    """Move files of telemetry (their addresses below ``telemetry/``) to quarantine. Returns those addresses, sorted."""
    for name, reason in sorted(reasons.items()):
        source = storage.join(data_dir, "telemetry", name)
        target = storage.join(data_dir, "quarantine", "telemetry", name)
        try:
            storage.write_bytes(target, storage.read_bytes(source))
        except ObjectNotFound:
            continue
        storage.write_json(f"{target}.reason.json", {"version": 1, "reason": reason, "source_uri": source})
        storage.delete(source)
        logger.error("quarantined telemetry/%s: %s", name, reason)
    return sorted(reasons)
