"""What cannot be used is set aside, with the reason beside it, and the rest of the night goes on.

    put("s3://adbreak/quarantine", Entry(recording_id="a", stage="extraction", reason="…", …), path)
    entry = read("s3://adbreak/quarantine", "a")       # None when nothing of that recording is set aside

``quarantine/<recording_id>/`` holds a copy of the refused file and ``reason.json``. The original stays where it is.
"""

from pathlib import Path
from typing import Literal

from ml_training.cloud import storage
from ml_training.utils.errors import ObjectNotFound
from ml_training.utils.records import Record

REASON_FILE = "reason.json"


class Entry(Record):
    """Why something of a recording is set aside, and how to try again. ``extraction_id`` names what was refused."""

    version: Literal[1] = 1
    recording_id: str
    stage: Literal["extraction", "validation"]
    reason: str
    tool_output: str = ""
    source_uri: str
    extraction_id: str = ""
    retry: str


def put(quarantine_dir: str, entry: Entry, file: Path | None = None, *, file_name: str | None = None) -> None:
    """Set ``file`` aside with its reason; the reason is written last."""
    folder = storage.join(quarantine_dir, entry.recording_id)
    if file is not None:
        storage.upload(file, storage.join(folder, file_name or file.name))
    storage.write_json(storage.join(folder, REASON_FILE), entry.model_dump(mode="json"))


def read(quarantine_dir: str, recording_id: str) -> Entry | None:
    """Return why a recording is in quarantine, None when it is not."""
    try:
        return Entry.model_validate(storage.read_json(storage.join(quarantine_dir, recording_id, REASON_FILE)))
    except ObjectNotFound:
        return None


def release(quarantine_dir: str, recording_id: str) -> None:
    """Remove what is set aside of a recording, the reason last; nothing there is no error."""
    folder = storage.join(quarantine_dir, recording_id)
    for item in list(storage.list_objects(folder + "/")):
        if not item.uri.endswith("/" + REASON_FILE):
            storage.delete(item.uri)
    storage.delete(storage.join(folder, REASON_FILE))
