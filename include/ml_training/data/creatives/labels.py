"""What people and models say a creative is: events that nothing overwrites.

    append_label("s3://adbreak", "c1f0…", "ad", source="person", author="ann")
    resolve_labels(read_labels("s3://adbreak"))["c1f0…"].label          # 'ad'

One label on a creative holds for all its airings. A person's holds over a model's; among equals the newest.
``creatives/labels/<creative_id>/<hash>.jsonl`` has one event each.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, get_args

from ml_training.cloud import storage
from ml_training.utils.errors import LabelsInvalid, ObjectExists
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Record

CreativeClass = Literal["ad", "promo", "ident", "sponsor", "teleshopping", "title_sequence", "content"]
CREATIVE_CLASSES: tuple[CreativeClass, ...] = get_args(CreativeClass)
LabelSource = Literal["person", "model"]
RANK: dict[LabelSource, int] = {"model": 0, "person": 1}


class CreativeLabel(Record):
    """Somebody (or a model) said what a creative is. Never changed, only added to."""

    version: Literal[1] = 1
    creative_id: str
    label: CreativeClass
    source: LabelSource
    author: str
    created_at: datetime


def append_label(
    data_dir: str, creative_id: str, label: CreativeClass, *, source: LabelSource, author: str
) -> CreativeLabel | None:
    """Append a label and return it; None when this author's newest label of the creative says the same already."""
    own = [e for e in read_labels(data_dir, creative_id) if (e.source, e.author) == (source, author)]
    newest = max(own, key=lambda event: event.created_at, default=None)
    if newest is not None and newest.label == label:
        return None
    event = CreativeLabel(
        creative_id=creative_id, label=label, source=source, author=author, created_at=datetime.now(UTC)
    )
    name = short_hash([creative_id, label, source, author, len(own)])
    uri = storage.join(data_dir, "creatives", "labels", creative_id, f"{name}.jsonl")
    try:
        storage.write_bytes(uri, (event.model_dump_json() + "\n").encode(), if_absent=True)
    except ObjectExists:
        return None
    return event


def read_labels(data_dir: str, creative_id: str | None = None) -> list[CreativeLabel]:
    """Return all events, or those of one creative; none is no error. Raises LabelsInvalid when one is damaged."""
    parts = [creative_id] if creative_id else []
    events: list[CreativeLabel] = []
    for item in storage.list_objects(storage.join(data_dir, "creatives", "labels", *parts) + "/"):
        if item.uri.endswith(".jsonl"):
            try:
                lines = storage.read_bytes(item.uri).splitlines()
                events += [CreativeLabel.model_validate_json(line) for line in lines if line]
            except ValueError as error:
                raise LabelsInvalid(f"the label {item.uri} is damaged: {error}", uri=item.uri) from error
    return events


def resolve_labels(events: Iterable[CreativeLabel]) -> dict[str, CreativeLabel]:
    """Return the event that holds for each creative: a person's over a model's, then the newest."""
    ordered = sorted(events, key=lambda event: (RANK[event.source], event.created_at, event.author))
    return {event.creative_id: event for event in ordered}
