"""Gathers what a dataset version may list: labelled recordings, their splits, and the creatives that air in them.

gathered = gather(data_dir, config.data)
listing = list_version(gathered, config.data)
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_training.config.schema import DataSection
from ml_training.data.creatives.catalogue import derived_events_by_recording, read_airings
from ml_training.data.dataset_card import UsedRecording
from ml_training.data.dataset_listing import ListedCreative, ListedRecording, Listing, make_listing
from ml_training.data.frames import read_extraction
from ml_training.data.label_events import labelled_recordings, read_events
from ml_training.data.label_resolution import find_conflicts, resolve
from ml_training.data.masking import Span, airings, creative_splits, link_creatives, named_spans
from ml_training.data.splits import Member, SplitRecord, assign_splits, read_split, split_for
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound
from ml_training.utils.parallel import in_threads
from ml_training.utils.records import LabelEvent, Segment, Split


class LabelledRecording(NamedTuple):
    """A recording that has both labels and frames."""

    extraction: Mapping[str, Any]  # its extraction.json
    segments: Sequence[Segment]
    label_sources: Sequence[str]
    conflict_seconds: float

    @property
    def hours(self) -> float:
        """The recording's length in hours."""
        return float(self.extraction["duration_seconds"]) / 3600


class Gathered(NamedTuple):
    """All labelled recordings, those that the config asks for, and what is known of each."""

    labelled: Mapping[str, LabelledRecording]
    chosen: Sequence[str]  # with a split
    records: Mapping[str, SplitRecord]
    found_airings: Mapping[str, Sequence[Span]]  # of the catalogue
    notes: Sequence[str]

    def used(self, data: DataSection) -> list[UsedRecording]:
        """Return what the card tells of the chosen recordings."""
        return [
            UsedRecording(
                name,
                self.labelled[name].extraction["channel"],
                _require(split_for(self.records[name], data)),
                self.records[name].unit,
                self.labelled[name].hours,
                self.labelled[name].label_sources,
                self.labelled[name].conflict_seconds,
            )
            for name in self.chosen
        ]


def gather(data_dir: str, data: DataSection) -> Gathered:
    """Read labels, extractions, splits and the catalogue; recordings that were never seen get their split.

    Raises DatasetUnusable, with advice, when nothing is labelled, nothing has frames, or nothing is asked for.
    """
    labelled, notes = _labelled(data_dir, data.frames_per_second)
    asked = _asked_for(labelled, data)
    first_seen = list(labelled) if data.hold_out_channels else asked
    members = [Member(name, labelled[name].extraction["channel"], labelled[name].hours) for name in first_seen]
    records = assign_splits(data_dir, members, data)
    others = [name for name in labelled if name not in records]
    read = in_threads(others, lambda name: read_split(data_dir, name))
    records |= {name: record for name, record in zip(others, read, strict=True) if record}
    chosen = [name for name in asked if split_for(records[name], data)]
    if len(chosen) < len(asked):
        notes.append(
            f"{len(asked) - len(chosen)} recordings of training channels are held out for the models of their channel"
        )
    return Gathered(labelled, chosen, records, found_airings(data_dir), notes)


def list_version(gathered: Gathered, data: DataSection) -> Listing:
    """Return the listing of the version that the gathered recordings and the config give."""
    labelled = gathered.labelled
    spans = {name: named_spans(labelled[name].segments) for name in labelled}
    found = {name: gathered.found_airings.get(name, ()) for name in labelled}
    keys = link_creatives((spans[name], found[name]) for name in labelled)
    linked = {name: _linked([*spans[name], *found[name]], keys) for name in labelled}
    recordings = [_listed(name, gathered, linked[name], data) for name in gathered.chosen]
    aired_in, owners = _owners(gathered.records, linked, data)
    airing = {creative for listed in recordings for _, _, creative in listed.airings}
    creatives = [
        ListedCreative(creative=name, split=owners[name], aired_in=tuple(sorted(aired_in[name])))
        for name in sorted(airing)
    ]
    return make_listing(data, recordings, creatives)


def _labelled(data_dir: str, frames_per_second: float) -> tuple[dict[str, LabelledRecording], list[str]]:
    """Gather the recordings that have both labels and frames; the notes tell which have labels only."""
    derived = derived_events_by_recording(data_dir)
    names = sorted({*labelled_recordings(data_dir), *derived})
    if not names:
        raise DatasetUnusable(
            f"there are no labels in {data_dir}: import some (python -m ml_training.data.labels import)"
        )
    gathered = in_threads(names, lambda name: _gather(data_dir, name, frames_per_second, derived.get(name, ())))
    found = {name: recording for name, recording in zip(names, gathered, strict=True) if recording is not None}
    without = [name for name in names if name not in found]
    if not found:
        raise DatasetUnusable(
            f"none of the {len(names)} labelled recordings in {data_dir} has frames at {frames_per_second:g} a second: "
            f"extract them (python -m ml_training.data.collectors extract --fps {frames_per_second:g})"
        )
    return found, [f"labelled, but without frames: {', '.join(without)}"] if without else []


def _gather(
    data_dir: str, recording_id: str, frames_per_second: float, derived: Sequence[LabelEvent]
) -> LabelledRecording | None:
    try:
        extraction = read_extraction(data_dir, recording_id, frames_per_second=frames_per_second)
    except ObjectNotFound:
        return None
    events = [*read_events(data_dir, recording_id), *derived]
    conflicts = find_conflicts(events)
    return LabelledRecording(
        extraction,
        resolve(events),
        sorted({event.source for event in events}),
        sum(conflict.end_seconds - conflict.start_seconds for conflict in conflicts),
    )


def _asked_for(labelled: Mapping[str, LabelledRecording], data: DataSection) -> list[str]:
    wanted = {"genre": data.genres, "channel": data.channels, "show": data.shows}
    chosen = [
        name
        for name, recording in sorted(labelled.items())
        if all(values is None or recording.extraction[key] in values for key, values in wanted.items())
    ]
    if not chosen:
        there = {key: sorted({str(r.extraction[key]) for r in labelled.values()}) for key in wanted}
        raise DatasetUnusable(
            f"none of the {len(labelled)} labelled recordings has "
            + ", ".join(f"{key} {values or 'any'}" for key, values in wanted.items())
            + ": there are "
            + "; ".join(f"the {key}s {', '.join(values)}" for key, values in there.items())
        )
    return chosen


def found_airings(data_dir: str) -> dict[str, list[Span]]:
    """Return what the catalogue found in each recording, in order of time."""
    table = read_airings(data_dir).sort_by([("recording_id", "ascending"), ("start_seconds", "ascending")])
    names = ("recording_id", "start_seconds", "end_seconds", "creative_id")
    found: dict[str, list[Span]] = defaultdict(list)
    for recording_id, *span in zip(*(table.column(name).to_pylist() for name in names), strict=True):
        found[recording_id].append(Span(*span))
    return found


def _linked(spans: Sequence[Span], keys: Mapping[str, str]) -> list[Span]:
    return sorted({span._replace(creative=keys[span.creative]) for span in spans})


def _owners(
    records: Mapping[str, SplitRecord], linked: Mapping[str, Sequence[Span]], data: DataSection
) -> tuple[dict[str, set[Split]], dict[str, Split]]:
    """Return where each creative airs and the split it belongs to, over all labelled recordings.

    Models that hold out recordings within a channel are fine-tuned from general ones: what those learn is training
    for them, too.
    """

    def owners_of(rules: DataSection) -> tuple[dict[str, set[Split]], dict[str, Split]]:
        aired_in = airings((split_for(records[n], rules) if n in records else None, linked[n]) for n in linked)
        return aired_in, creative_splits(aired_in, rules.split_shares, rules.split_salt)

    if data.hold_out_channels:
        return owners_of(data)
    _, learned = owners_of(data.model_copy(update={"hold_out_channels": True}))
    aired_in, owners = owners_of(data)
    for creative in aired_in:
        if learned.get(creative) == "train":
            aired_in[creative].add("train")
            owners[creative] = "train"
    return aired_in, owners


def _listed(name: str, gathered: Gathered, spans: Sequence[Span], data: DataSection) -> ListedRecording:
    extraction = gathered.labelled[name].extraction
    return ListedRecording(
        recording_id=name,
        extraction_id=extraction["extraction_id"],
        channel=extraction["channel"],
        genre=extraction["genre"] or "",
        show=extraction["show"] or "",
        split=_require(split_for(gathered.records[name], data)),
        segments=tuple((s.start_seconds, s.end_seconds, s.label, s.creative) for s in gathered.labelled[name].segments),
        airings=tuple(tuple(span) for span in spans),
    )


def _require(split: Split | None) -> Split:
    if split is None:
        raise AssertionError("only recordings that have a split are chosen")
    return split
