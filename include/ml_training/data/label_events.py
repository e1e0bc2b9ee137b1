"""The event log of labels: appended to, never changed.

    append_events("s3://adbreak", "news-0105", segments, source="person", author="ann")    # how many were new
    read_events("s3://adbreak", "news-0105")

``labels/events/<recording_id>/<hash>.jsonl`` is what one labeler said at one time. What people say of a creative is
kept by the catalogue; its events (source ``creative``) are derived, never stored here.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ml_training.cloud import storage
from ml_training.data.label_resolution import segment_of
from ml_training.utils.errors import LabelsInvalid, ObjectExists
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import LabelEvent, Segment


def append_events(data_dir: str, recording_id: str, segments: Sequence[Segment], *, source: str, author: str) -> int:
    """Append one batch of events and return their number; 0 when this author's newest batch says the same already."""
    if not segments:
        return 0
    said = [segment.model_dump(mode="json") for segment in segments]
    batches = _read_batches(data_dir, recording_id)
    own = [batch for batch in batches.values() if (batch[0].source, batch[0].author) == (source, author)]
    newest = max(own, key=lambda batch: batch[0].created_at, default=[])
    if [segment_of(event).model_dump(mode="json") for event in newest] == said:
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
    return _write(data_dir, recording_id, name, events)


def append_log(data_dir: str, events: Sequence[LabelEvent]) -> int:
    """Append events of another log as they are and return how many were new; those that are known add nothing."""
    by_batch: dict[tuple[str, str, str, datetime], list[LabelEvent]] = defaultdict(list)
    for event in events:
        by_batch[event.recording_id, event.source, event.author, event.created_at].append(event)
    known = {name: {e.event_id for e in read_events(data_dir, name)} for name in {e.recording_id for e in events}}
    added = 0
    for (recording_id, *_), batch in sorted(by_batch.items()):
        new = [event for event in batch if event.event_id not in known[recording_id]]
        if new:
            added += _write(data_dir, recording_id, short_hash([event.event_id for event in new]), new)
    return added


def read_events(data_dir: str, recording_id: str) -> list[LabelEvent]:
    """Return all events of a recording; none is no error. Raises LabelsInvalid when a stored batch is damaged."""
    return [event for batch in _read_batches(data_dir, recording_id).values() for event in batch]


def labelled_recordings(data_dir: str) -> list[str]:
    """Return the ids of the recordings that have events, sorted."""
    prefix = storage.join(data_dir, "labels", "events") + "/"
    return sorted({item.uri.split("/")[-2] for item in storage.list_objects(prefix) if item.uri.endswith(".jsonl")})


def _write(data_dir: str, recording_id: str, name: str, events: Sequence[LabelEvent]) -> int:
    lines = "".join(event.model_dump_json() + "\n" for event in events)
    try:
        storage.write_bytes(_events_uri(data_dir, recording_id, f"{name}.jsonl"), lines.encode(), if_absent=True)
    except ObjectExists:
        return 0
    return len(events)


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
