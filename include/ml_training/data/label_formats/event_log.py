"""Reads and checks the event log: JSON lines, one ``LabelEvent`` each, as ``labels/events/`` of any bucket holds them.

    events = read_event_log(data, "s3://other/labels/events/news-0105/5f0e….jsonl")

An event keeps its author, its time and its id, so that labels move from one bucket to another as they were said.
"""

from pydantic import ValidationError

from ml_training.data.label_formats.batches import require_no_mistakes
from ml_training.utils.records import LabelEvent


def read_event_log(data: bytes, source: str) -> list[LabelEvent]:
    """Return the events in the order of the lines. Raises LabelsInvalid with every mistake and its line."""
    events: list[LabelEvent] = []
    mistakes: list[str] = []
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            event = LabelEvent.model_validate_json(line)
        except ValidationError as error:
            mistakes += [f"line {number}: {'.'.join(map(str, m['loc']))}: {m['msg']}" for m in error.errors()]
            continue
        if event.source == "creative":
            mistakes.append(f"line {number}: events of creatives follow from the catalogue, none is stored")
        events.append(event)
    require_no_mistakes(source, mistakes)
    return events
