"""Labels are events that nothing overwrites: who said what of which stretch of a recording.

    python -m ml_training.data.labels import --labels labels.json --data-dir s3://adbreak --source file --author ann
    python -m ml_training.data.labels show   --recording news-0105 --data-dir s3://adbreak

``resolve`` makes of all events of a recording the one list of segments that holds: persons over files and edit lists,
those over generators and models, and within each of these ranks the newest.
"""

import argparse
import getpass
import logging
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.data.frames import read_extraction
from ml_training.data.label_files import parse_labels
from ml_training.data.recordings import MEDIA_ENDINGS
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DataError, LabelsInvalid, ObjectExists, ObjectNotFound
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import LabelEvent, Segment

SOURCES = ("file", "generator", "person", "edl", "model")
RANK = {"generator": 0, "model": 0, "file": 1, "edl": 1, "person": 2}
END_TOLERANCE_SECONDS = 1.0  # a label may end so far past the last frame; it is clipped

logger = logging.getLogger(__name__)


def import_labels(
    labels_uri: str, data_dir: str, *, source: str, author: str, only: Collection[str] | None = None
) -> dict[str, Any]:
    """Append the labels of a file to the events of the recordings that it names.

    Returns ``imported`` and ``known`` recordings, ``unknown_recordings`` (labelled, but not there) and the number of
    ``events`` added. Imported twice, the second time adds nothing. Raises LabelsInvalid when the file is wrong, when it
    names no recording that is there, and, after importing the rest, when labels lie past the end of a recording.
    """
    with storage.local_copy(labels_uri) as path:
        labels = parse_labels(path.read_bytes(), source=labels_uri)
    if only is not None:
        labels = {name: segments for name, segments in labels.items() if name in only}
    there = _recordings_there(data_dir, labels)
    unknown = sorted(set(labels) - there)
    if not there:
        raise LabelsInvalid(_nothing_matches(labels_uri, data_dir, unknown), unknown_recordings=unknown)
    if unknown:
        logger.warning("labels of recordings that are not there: %s", ", ".join(unknown))
    result: dict[str, Any] = {"imported": [], "known": [], "unknown_recordings": unknown, "events": 0}
    past_end: list[str] = []
    for recording_id in sorted(there):
        try:
            segments = _fit(recording_id, labels[recording_id], data_dir)
        except LabelsInvalid as error:
            past_end.append(error.message)
            continue
        added = append_events(data_dir, recording_id, segments, source=source, author=author)
        result["imported" if added else "known"].append(recording_id)
        result["events"] += added
    if past_end:
        rest = f"the labels of {len(there) - len(past_end)} other recordings were imported"
        raise LabelsInvalid("\n".join([*past_end, rest]), **result)
    return result


def append_events(data_dir: str, recording_id: str, segments: Sequence[Segment], *, source: str, author: str) -> int:
    """Append one batch of events and return their number; 0 when this author's newest batch says the same already."""
    if not segments:
        return 0
    said = [segment.model_dump(mode="json") for segment in segments]
    batches = _read_batches(data_dir, recording_id)
    own = [batch for batch in batches.values() if (batch[0].source, batch[0].author) == (source, author)]
    newest = max(own, key=lambda batch: batch[0].created_at, default=[])
    if [_segment_of(event).model_dump(mode="json") for event in newest] == said:
        return 0
    name = short_hash([recording_id, said, source, author, sorted(batches)])
    now = datetime.now(UTC)
    events = [
        LabelEvent(
            event_id=short_hash([name, at]),
            recording_id=recording_id,
            source=source,
            author=author,
            created_at=now,
            **segment.model_dump(),
        )
        for at, segment in enumerate(segments)
    ]
    lines = "".join(event.model_dump_json() + "\n" for event in events)
    try:
        storage.write_bytes(_events_uri(data_dir, recording_id, f"{name}.jsonl"), lines.encode(), if_absent=True)
    except ObjectExists:
        return 0
    return len(events)


def read_events(data_dir: str, recording_id: str) -> list[LabelEvent]:
    """Return all events of a recording; none is no error. Raises LabelsInvalid when a stored batch is damaged."""
    return [event for batch in _read_batches(data_dir, recording_id).values() for event in batch]


def labelled_recordings(data_dir: str) -> list[str]:
    """Return the ids of the recordings that have events, sorted."""
    prefix = storage.join(data_dir, "labels", "events") + "/"
    return sorted({item.uri.split("/")[-2] for item in storage.list_objects(prefix) if item.uri.endswith(".jsonl")})


def resolve(events: Iterable[LabelEvent]) -> list[Segment]:
    """Return the segments that hold, in order and without overlaps.

    Where events overlap, a person's holds over a file's or an edit list's, and those over a generator's or a model's;
    among equals the newest holds. What is left of an event that another one cuts keeps its label.
    """
    ordered = sorted(events, key=lambda event: (RANK[event.source], event.created_at, event.event_id))
    if not ordered:
        return []
    bounds = np.unique([time for event in ordered for time in (event.start_seconds, event.end_seconds)])
    owners = np.full(len(bounds) - 1, -1)
    for number, event in enumerate(ordered):
        first, last = np.searchsorted(bounds, (event.start_seconds, event.end_seconds))
        owners[first:last] = number
    starts = np.flatnonzero(np.diff(owners, prepend=-2))
    ends = np.append(starts[1:], len(owners))
    return [
        _segment_of(ordered[owners[start]]).model_copy(
            update={"start_seconds": float(bounds[start]), "end_seconds": float(bounds[end])}
        )
        for start, end in zip(starts, ends, strict=True)
        if owners[start] >= 0
    ]


def segment_numbers(segments: Sequence[Segment], pts_seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return for each time the number of the segment that contains it, -1 where there is none.

    ``segments`` are ordered and do not overlap, as ``resolve`` gives them; a segment's end is excluded.
    """
    if not segments:
        return np.full(len(pts_seconds), -1, np.int64)
    numbers = np.searchsorted([segment.start_seconds for segment in segments], pts_seconds, side="right") - 1
    ends = np.array([segment.end_seconds for segment in segments])
    return np.where((numbers >= 0) & (pts_seconds < ends[numbers]), numbers, -1)


def show(data_dir: str, recording_id: str) -> dict[str, Any]:
    """Return the segments of a recording that hold, its seconds per label and where its labels come from."""
    events = read_events(data_dir, recording_id)
    if not events:
        raise DataError(f"{recording_id} has no labels in {data_dir}: import some, or see whether the id is right")
    segments = resolve(events)
    seconds: dict[str, float] = {}
    for segment in segments:
        length = segment.end_seconds - segment.start_seconds
        seconds[segment.label] = round(seconds.get(segment.label, 0.0) + length, 3)
    return {
        "recording_id": recording_id,
        "segments": [segment.model_dump(mode="json") for segment in segments],
        "seconds": seconds,
        "events": len(events),
        "sources": sorted({f"{event.source}:{event.author}" for event in events}),
    }


def _events_uri(data_dir: str, recording_id: str, *parts: str) -> str:
    return storage.join(data_dir, "labels", "events", recording_id, *parts)


def _read_batches(data_dir: str, recording_id: str) -> dict[str, list[LabelEvent]]:
    batches: dict[str, list[LabelEvent]] = {}
    for item in storage.list_objects(_events_uri(data_dir, recording_id) + "/"):
        if item.uri.endswith(".jsonl"):
            try:
                lines = storage.read_bytes(item.uri).splitlines()
                batches[Path(item.uri).stem] = [LabelEvent.model_validate_json(line) for line in lines if line]
            except ValueError as error:
                raise LabelsInvalid(f"the label events {item.uri} are damaged: {error}", uri=item.uri) from error
    return batches


def _segment_of(event: LabelEvent) -> Segment:
    return Segment(
        start_seconds=event.start_seconds, end_seconds=event.end_seconds, label=event.label, creative=event.creative
    )


def _recordings_there(data_dir: str, names: Collection[str]) -> set[str]:
    there = {name for name in names if storage.exists(storage.join(data_dir, "frames", name, "current.json"))}
    if there == set(names):
        return there
    listed = (Path(item.uri) for item in storage.list_objects(storage.join(data_dir, "recordings") + "/"))
    return there | ({path.stem for path in listed if path.suffix.lower() in MEDIA_ENDINGS} & set(names))


def _nothing_matches(labels_uri: str, data_dir: str, unknown: Sequence[str]) -> str:
    some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "") if unknown else "none"
    return (
        f"{labels_uri} labels no recording that is in {data_dir} (it names: {some}): the names must be file names of "
        " recordings without their ending; ingest the recordings first"
    )


def _fit(recording_id: str, segments: Sequence[Segment], data_dir: str) -> list[Segment]:
    """Clip what ends a little past the last frame. Raises LabelsInvalid for more than that."""
    try:
        duration = float(read_extraction(data_dir, recording_id)["duration_seconds"])
    except ObjectNotFound:
        return list(segments)
    for segment in segments:
        if segment.end_seconds > duration + END_TOLERANCE_SECONDS or segment.start_seconds >= duration:
            raise LabelsInvalid(
                f"{recording_id}: the label {segment.label} {segment.start_seconds:g}..{segment.end_seconds:g} s lies "
                f"past the recording's end at {duration:g} s: correct it, or see whether it is of another recording",
                recording_id=recording_id,
            )
    return [s.model_copy(update={"end_seconds": min(s.end_seconds, duration)}) for s in segments]


def _parser() -> argparse.ArgumentParser:
    data_dir = read_settings().data_dir
    parser = command_parser("ml_training.data.labels", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("import", help="append labels from a JSON file")
    add.add_argument("--labels", required=True, help="the file, or its S3 address")
    add.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    add.add_argument("--source", choices=SOURCES, default="file", help="what the labels come from (default: file)")
    add.add_argument("--author", default=None, help="who says so (default: the user who runs the command)")
    add.add_argument("--recordings", nargs="+", help="only these recordings (default: all of the file)")
    add.set_defaults(run=_import)
    look = commands.add_parser("show", help="show the labels of a recording that hold")
    look.add_argument("--recording", required=True, help="the recording's id")
    look.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    look.set_defaults(run=lambda args: show(args.data_dir, args.recording))
    return parser


def _import(args: argparse.Namespace) -> dict[str, Any]:
    author = args.author or getpass.getuser()
    return import_labels(args.labels, args.data_dir, source=args.source, author=author, only=args.recordings)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
