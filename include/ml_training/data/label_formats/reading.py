"""Reads a label file of any format, found by its ending and its content.

    read_label_file(data, "news-0105.edl")                                    # MPlayer's, Kodi's or CMX 3600
    read_label_file(data, "export.json", file_format="label-studio", frames_per_second=25)

| format | file | what it is |
| --- | --- | --- |
| ``json`` | ``.json`` | recordings, each with its list of segments |
| ``csv`` | ``.csv``, ``.tsv`` | a header and a row a segment |
| ``edl`` | ``.edl`` | the ads of one recording, as players and comskip write them |
| ``comskip`` | ``.txt`` | the ads of one recording, in frame numbers |
| ``cmx`` | ``.edl``, ``.cmx`` | CMX 3600, as editing programs write it |
| ``chapters`` | ``.ffmetadata``, ``.ffmeta`` | chapters named by their label, as ffmpeg writes them |
| ``label-studio`` | ``.json`` | an export, full or JSON-MIN |
| ``events`` | ``.jsonl`` | the event log (``event_log``) |
"""

import json
from pathlib import PurePosixPath
from typing import Any

from ml_training.data.label_formats.batches import LabelBatch, ReadOptions
from ml_training.data.label_formats.chapters import CHAPTERS_MARK, read_chapters
from ml_training.data.label_formats.cmx import looks_like_cmx, read_cmx
from ml_training.data.label_formats.csv_tables import read_csv
from ml_training.data.label_formats.edit_lists import COMSKIP_MARK, read_comskip, read_edl
from ml_training.data.label_formats.intervals import read_intervals
from ml_training.data.label_formats.label_studio import looks_like_label_studio, read_label_studio
from ml_training.utils.errors import LabelsInvalid

SOURCES = {
    "json": "file", "csv": "file", "edl": "edl", "comskip": "edl", "cmx": "edl", "chapters": "edl",
    "label-studio": "person",
}  # fmt: skip
FORMATS = ("auto", *SOURCES, "events")
ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".edl", ".cmx", ".txt", ".ffmetadata", ".ffmeta")


def find_format(data: bytes, source: str) -> str:
    """Return the format of a file. Raises LabelsInvalid when it is none of those that are read."""
    ending = PurePosixPath(source).suffix.lower()
    head = data[:4096].decode("utf-8", "replace")
    if ending == ".jsonl":
        return "events"
    if ending == ".json":
        return "label-studio" if head.lstrip("\ufeff \t\r\n").startswith("[") or _is_one_task(data) else "json"
    if ending in (".csv", ".tsv"):
        return "csv"
    if ending in (".edl", ".cmx"):
        return "cmx" if ending == ".cmx" or looks_like_cmx(_text(data, source)) else "edl"
    if head.startswith(CHAPTERS_MARK):
        return "chapters"
    if head.startswith(COMSKIP_MARK):
        return "comskip"
    raise LabelsInvalid(
        f"{source} is no label file that is known: expected {', '.join(ENDINGS)} (a .txt of comskip's); say what it "
        f"is with --format ({', '.join(FORMATS[1:])})",
        source=source,
    )


def read_label_file(
    data: bytes,
    source: str,
    *,
    file_format: str = "auto",
    frames_per_second: float | None = None,
    recording_id: str | None = None,
) -> list[LabelBatch]:
    """Return what a file says, a batch for each recording and labeler.

    ``recording_id`` is that of a file that names none (default: the file's name without its ending). Raises
    LabelsInvalid with every mistake and its place. Event logs have their own reader.
    """
    found = find_format(data, source) if file_format == "auto" else file_format
    options = ReadOptions(recording_id or PurePosixPath(source).stem, frames_per_second)
    if found == "json":
        return read_intervals(data, source)
    if found == "label-studio":
        return read_label_studio(_tasks(data, source), source, options)
    readers = {
        "csv": read_csv, "edl": read_edl, "comskip": read_comskip, "cmx": read_cmx, "chapters": read_chapters,
    }  # fmt: skip
    return readers[found](_text(data, source), source, options)


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsInvalid(f"{source} is not text in UTF-8: {error}", source=source) from error


def _is_one_task(data: bytes) -> bool:
    """Tell whether this is a task or an annotation as Label Studio's target storage writes it."""
    try:
        content = json.loads(data)
    except ValueError:
        return False
    return isinstance(content, dict) and (
        isinstance(content.get("annotations"), list) or {"result", "task"} <= set(content)
    )


def _tasks(data: bytes, source: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise LabelsInvalid(f"{source} is not JSON: {error}", source=source) from error
    if isinstance(content, dict) and "task" in content:
        content = {**content["task"], "annotations": [content]} if isinstance(content["task"], dict) else None
    if isinstance(content, dict):
        content = [content]
    if not looks_like_label_studio(content):
        raise LabelsInvalid(f"{source} is no export of Label Studio: expected a list of tasks", source=source)
    return list(content)
