"""Brings label files of any format into the event log.

    import_labels("labels.json", "s3://adbreak", source="file", author="ann")
    import_labels("recordings/", "s3://adbreak")                       # comskip's .edl beside each recording

An edit list names the ads; the rest of the recording is content, as far as its length is known.
"""

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_training.cloud import storage
from ml_training.data.frames import read_extraction
from ml_training.data.label_events import append_events, append_log
from ml_training.data.label_formats.batches import LabelBatch
from ml_training.data.label_formats.event_log import read_event_log
from ml_training.data.label_formats.reading import ENDINGS, SOURCES, find_format, read_label_file
from ml_training.data.recordings import MEDIA_ENDINGS
from ml_training.utils.errors import LabelsInvalid, ObjectNotFound
from ml_training.utils.records import LabelEvent, Segment, Sidecar

END_TOLERANCE_SECONDS = 1.0  # a label may end so far past the last frame; it is clipped
SHORTEST_REST_SECONDS = 0.04  # one frame: between two ads there is no programme of less

logger = logging.getLogger(__name__)


class ImportOptions(NamedTuple):
    """How label files are read."""

    file_format: str = "auto"
    frames_per_second: float | None = None  # for times that are frame numbers
    recording_id: str | None = None  # of a file that names no recording (default: its own name)
    fill_rest: bool = True  # what an edit list does not name is content


def import_labels(
    labels_uri: str,
    data_dir: str,
    *,
    source: str | None = None,
    author: str = "unknown",
    only: Collection[str] | None = None,
    options: ImportOptions | None = None,
) -> dict[str, Any]:
    """Append the labels of a file, or of the label files in a folder, to the events of the recordings they name.

    ``source`` is by default what the format means; an author that a file names is kept. Returns ``imported`` and
    ``known`` recordings, ``unknown_recordings`` (labelled, but not there), ``rest_unknown`` (ads of an edit list, whose
    recording has no frames yet: import it again) and the number of ``events`` added. Imported twice, the second time
    adds nothing. Raises LabelsInvalid when a file is wrong, when it names no recording that is there, and, after
    importing the rest, when labels lie past the end of a recording.
    """
    read = list(_read(labels_uri, options or ImportOptions()))
    batches = [(f, b) for f, batches, _ in read for b in batches if only is None or b.recording_id in only]
    logged = [event for _, _, events in read for event in events if only is None or event.recording_id in only]
    named = {b.recording_id for _, b in batches} | {event.recording_id for event in logged}
    there = _recordings_there(data_dir, named)
    unknown = sorted(named - there)
    if not there:
        raise LabelsInvalid(_nothing_matches(labels_uri, data_dir, unknown), unknown_recordings=unknown)
    if unknown:
        logger.warning("labels of recordings that are not there: %s", ", ".join(unknown))
    tally = _Tally(data_dir, (options or ImportOptions()).fill_rest)
    for found_format, batch in sorted(batches, key=lambda item: (item[1].recording_id, item[1].author or "")):
        if batch.recording_id in there:
            tally.add_batch(batch, source=source or SOURCES[found_format], author=batch.author or author)
    tally.add_events([event for event in logged if event.recording_id in there])
    result = tally.result(unknown)
    if tally.past_end:
        rest = f"the labels of {len(there) - len(tally.refused)} other recordings were imported"
        raise LabelsInvalid("\n".join([*tally.past_end, rest]), **result)
    return result


class _Tally:
    """Appends what was read, and counts."""

    def __init__(self, data_dir: str, fill_rest: bool) -> None:
        self.data_dir, self.fill_rest = data_dir, fill_rest
        self.added: dict[str, int] = {}
        self.past_end: list[str] = []
        self.refused: set[str] = set()
        self.rest_unknown: set[str] = set()

    def add_batch(self, batch: LabelBatch, *, source: str, author: str) -> None:
        name = batch.recording_id
        duration = duration_of(self.data_dir, name)
        try:
            segments = fit(name, batch.segments, duration)
        except LabelsInvalid as error:
            self._refuse(name, error)
            return
        if batch.lists_ads_only and self.fill_rest:
            segments = with_rest(segments, duration)
            if duration is None:
                self.rest_unknown.add(name)
        self._count(name, append_events(self.data_dir, name, segments, source=source, author=author))

    def add_events(self, events: Sequence[LabelEvent]) -> None:
        by_recording: dict[str, list[LabelEvent]] = {}
        for event in events:
            by_recording.setdefault(event.recording_id, []).append(event)
        for name, own in sorted(by_recording.items()):
            try:
                fit(name, own, duration_of(self.data_dir, name))
            except LabelsInvalid as error:
                self._refuse(name, error)
                continue
            self._count(name, append_log(self.data_dir, own))

    def _count(self, name: str, events: int) -> None:
        self.added[name] = self.added.get(name, 0) + events

    def _refuse(self, name: str, error: LabelsInvalid) -> None:
        self.past_end.append(error.message)
        self.refused.add(name)

    def result(self, unknown: Sequence[str]) -> dict[str, Any]:
        return {
            "imported": sorted(name for name, events in self.added.items() if events),
            "known": sorted(name for name, events in self.added.items() if not events),
            "unknown_recordings": list(unknown),
            "rest_unknown": sorted(self.rest_unknown),
            "events": sum(self.added.values()),
        }


def fit(recording_id: str, segments: Sequence[Segment] | Sequence[LabelEvent], duration: float | None) -> list[Segment]:
    """Clip what ends a little past the last frame. Raises LabelsInvalid for more than that."""
    if duration is None:
        return [Segment(**_times_and_label(segment)) for segment in segments]
    for segment in segments:
        if segment.end_seconds > duration + END_TOLERANCE_SECONDS or segment.start_seconds >= duration:
            raise LabelsInvalid(
                f"{recording_id}: the label {segment.label} {segment.start_seconds:g}..{segment.end_seconds:g} s lies "
                f"past the recording's end at {duration:g} s: correct it, or see whether it is of another recording",
                recording_id=recording_id,
            )
    return [
        Segment(**_times_and_label(segment) | {"end_seconds": min(segment.end_seconds, duration)})
        for segment in segments
    ]


def with_rest(segments: Sequence[Segment], duration: float | None) -> list[Segment]:
    """Return the segments and, between and around them, content; without a length only what is named."""
    if duration is None:
        return list(segments)
    filled: list[Segment] = []
    reached = 0.0
    for segment in [*segments, None]:
        until = segment.start_seconds if segment else duration
        if until - reached >= SHORTEST_REST_SECONDS:
            filled.append(Segment(start_seconds=reached, end_seconds=until, label="content"))
        if segment:
            filled.append(segment)
            reached = max(reached, segment.end_seconds)
    return filled


def duration_of(data_dir: str, recording_id: str) -> float | None:
    """Return the length of a recording in seconds; None while it has no frames."""
    try:
        return float(read_extraction(data_dir, recording_id)["duration_seconds"])
    except ObjectNotFound:
        return None


def _times_and_label(segment: Segment | LabelEvent) -> dict[str, Any]:
    return {name: getattr(segment, name) for name in Segment.model_fields}


def _read(labels_uri: str, options: ImportOptions) -> Iterator[tuple[str, list[LabelBatch], list[LabelEvent]]]:
    """Yield the format, the batches and the logged events of each file."""
    for uri in _files(labels_uri):
        data = storage.read_bytes(uri)
        found = find_format(data, uri) if options.file_format == "auto" else options.file_format
        if found == "events":
            yield found, [], read_event_log(data, uri)
        else:
            yield (
                found,
                read_label_file(
                    data,
                    uri,
                    file_format=found,
                    frames_per_second=options.frames_per_second,
                    recording_id=options.recording_id,
                ),
                [],
            )


def _files(labels_uri: str) -> list[str]:
    """Return the label files of a folder: what lies there for other purposes (sidecars, notes) is passed over."""
    if Path(labels_uri).suffix.lower() in ENDINGS or storage.exists(labels_uri):
        return [labels_uri]
    listed = (item.uri for item in storage.list_objects(labels_uri.rstrip("/") + "/"))
    files = [uri for uri in listed if uri.lower().endswith(ENDINGS) and _holds_labels(uri)]
    if not files:
        raise LabelsInvalid(f"there are no label files in {labels_uri}: expected {', '.join(ENDINGS)}")
    return files


def _holds_labels(uri: str) -> bool:
    """Tell whether a file of a folder is for labels: sidecars of recordings and texts of other programs are not."""
    ending = Path(uri).suffix.lower()
    if ending not in (".json", ".txt"):
        return True
    data = storage.read_bytes(uri)
    try:
        if ending == ".txt":
            return bool(find_format(data, uri))
        content = json.loads(data)
    except LabelsInvalid:
        return False
    except ValueError:
        return True  # the reader says what is wrong
    return not (isinstance(content, dict) and set(content) <= set(Sidecar.model_fields))


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
        "recordings without their ending; ingest the recordings first"
    )
