"""The suite ``labels``: the segments that hold, how much of each recording and channel they cover, who disagrees.

found = tables(Scope("s3://adbreak"))
found["segments"], found["recordings"], found["channels"], found["all_labels"]

Recordings without labels are left out of all but ``channels``, which counts every recording that has frames.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ml_training.data.frames import read_extraction
from ml_training.data.label_resolution import find_conflicts
from ml_training.data.labels import all_events, labelled_recordings, resolve
from ml_training.data.validation.rules import Rules, among, between, contains, filled, zero
from ml_training.data.validation.scope import Scope, Tables, extracted_recordings, in_parallel, number
from ml_training.utils.errors import DataError, LabelsInvalid, ObjectNotFound
from ml_training.utils.records import LABELS, LabelEvent

LONGEST_AD_SECONDS = 600.0  # teleshopping is a label of its own
SHORTEST_AD_SECONDS = 3.0
SEGMENT_COLUMNS = ["recording_id", "duration_seconds", "start_seconds", "end_seconds", "label", "creative"]


class Labelled(NamedTuple):
    """A recording with what is said of it. ``duration_seconds`` is NaN where there are no frames."""

    recording_id: str
    channel: str | None
    duration_seconds: float
    events: Sequence[LabelEvent]
    mistake: str | None


def tables(scope: Scope) -> Tables:
    """Return ``segments``, ``recordings``, ``channels`` and ``all_labels``.

    ``all_labels`` and ``channels`` are about every recording, also when a few are named. Raises DataError when nothing
    is labelled at all.
    """
    names = labelled_recordings(scope.data_dir)
    if scope.recordings is not None and not set(scope.recordings) & set(names):
        return {}
    if not names:
        raise DataError(f"there are no labels in {scope.data_dir} to validate: import some first")
    unlabelled = sorted(set(extracted_recordings(scope.data_dir)) - set(names))
    loaded = in_parallel([*names, *unlabelled], lambda name: _load(scope.data_dir, name))
    labelled = loaded[: len(names)]
    segments = {one.recording_id: _segments(one) for one in labelled}
    every = pd.concat([pd.DataFrame(columns=SEGMENT_COLUMNS), *segments.values()], ignore_index=True)
    chosen = [one for one in labelled if scope.recordings is None or one.recording_id in scope.recordings]
    here = pd.concat(
        [pd.DataFrame(columns=SEGMENT_COLUMNS), *(segments[one.recording_id] for one in chosen)], ignore_index=True
    )
    return {
        "segments": add_lengths(here),
        "recordings": pd.DataFrame([summarise(one, add_lengths(segments[one.recording_id])) for one in chosen]),
        "channels": summarise_channels(loaded, add_lengths(every)),
        "all_labels": every,
    }


def _load(data_dir: str, recording_id: str) -> Labelled:
    try:
        facts = read_extraction(data_dir, recording_id)
        channel, duration = facts.get("channel"), number(facts, "duration_seconds")
    except ObjectNotFound:
        channel, duration = None, np.nan
    try:
        return Labelled(recording_id, channel, duration, all_events(data_dir, recording_id), None)
    except LabelsInvalid as error:
        return Labelled(recording_id, channel, duration, [], error.message)


def _segments(one: Labelled) -> pd.DataFrame:
    rows = [
        {"recording_id": one.recording_id, "duration_seconds": one.duration_seconds, **segment.model_dump()}
        for segment in resolve(one.events)
    ]
    return pd.DataFrame(rows, columns=SEGMENT_COLUMNS)


def add_lengths(segments: pd.DataFrame) -> pd.DataFrame:
    """Add ``length_seconds``, ``past_end_seconds`` (NaN: the end is not known) and ``ad_seconds`` (NaN: no ad)."""
    length = (segments["end_seconds"] - segments["start_seconds"]).astype(float)
    return segments.assign(
        length_seconds=length,
        past_end_seconds=(segments["end_seconds"] - segments["duration_seconds"]).astype(float),
        ad_seconds=length.where(segments["label"] == "ad"),
    )


def summarise(one: Labelled, segments: pd.DataFrame) -> dict[str, Any]:
    """Return one recording's row of the table ``recordings``."""
    labelled, ads = segments["length_seconds"].sum(), segments["ad_seconds"].sum()
    return {
        "recording_id": one.recording_id,
        "damaged": int(one.mistake is not None),
        "mistake": one.mistake,
        "without_frames": int(np.isnan(one.duration_seconds)),
        "labelled_share": labelled / one.duration_seconds if one.duration_seconds > 0 else np.nan,
        "ad_share": ads / labelled if labelled else np.nan,
        "disputed_share": disputed_share(one.events),
        "repeated_events": repeated_events(one.events),
    }


def disputed_share(events: Sequence[LabelEvent]) -> float:
    """Return the share of what persons labelled on which they contradict each other; NaN for fewer than two."""
    said = [event for event in events if event.source == "person"]
    if len({event.author for event in said}) < 2:
        return np.nan
    disputed = sum(conflict.end_seconds - conflict.start_seconds for conflict in find_conflicts(said))
    return disputed / sum(segment.end_seconds - segment.start_seconds for segment in resolve(said))


def repeated_events(events: Sequence[LabelEvent]) -> int:
    """Count the events that bear the id of another one: a log that was copied into itself."""
    return len(events) - len({event.event_id for event in events})


def summarise_channels(loaded: Sequence[Labelled], segments: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each channel: how much of its recorded time is labelled, and what share of that is ads."""
    known = pd.DataFrame(
        [(one.recording_id, one.channel, one.duration_seconds) for one in loaded if one.channel is not None],
        columns=["recording_id", "channel", "recorded_seconds"],
    )
    sums = segments.groupby("recording_id")[["length_seconds", "ad_seconds"]].sum()
    both = known.join(sums, on="recording_id")
    grouped = both.groupby("channel")[["recorded_seconds", "length_seconds", "ad_seconds"]].sum().reset_index()
    labelled = grouped["length_seconds"].where(grouped["length_seconds"] > 0)
    return grouped.assign(
        labelled_share=grouped["length_seconds"] / grouped["recorded_seconds"],
        ad_share=grouped["ad_seconds"] / labelled,
        ad_seconds=grouped["ad_seconds"].where(labelled.notna()),
        other_seconds=grouped["length_seconds"].where(labelled.notna()) - grouped["ad_seconds"],
    )


def rules() -> Rules:
    """Return the rules of the suite, by table."""
    known = f"labels are among {', '.join(LABELS)}"
    both = "all labels together have both ad and content"
    return {
        "segments": [filled("label", "stop"), among("label", "label_known", "stop", known, LABELS), *_times()],
        "recordings": _recordings(),
        "channels": _channels(),
        "all_labels": [contains("label", "both_classes", "stop", both, ["ad", "content"])],
    }


def _times() -> list[Any]:
    positive = {"min_value": 0, "strict_min": True}
    return [
        between("start_seconds", "start_not_negative", "stop", "no label starts before the recording", min_value=0),
        between("length_seconds", "end_after_start", "stop", "labels end after they start", **positive),
        between(
            "past_end_seconds", "within_recording", "stop", "no label ends a second past the recording", max_value=1.0
        ),
        between("ad_seconds", "ad_not_long", "warn", "no ad is longer than ten minutes", max_value=LONGEST_AD_SECONDS),
        between(
            "ad_seconds", "ad_not_short", "warn", "no ad is shorter than three seconds", min_value=SHORTEST_AD_SECONDS
        ),
    ]


def _recordings() -> list[Any]:
    return [
        zero("damaged", "events_readable", "stop", "the label events can be read"),
        zero("repeated_events", "event_once", "warn", "each event is on record once"),
        zero("without_frames", "has_frames", "warn", "what is labelled has frames"),
        between("labelled_share", "mostly_labelled", "warn", "at least half of a recording is labelled", min_value=0.5),
        between("ad_share", "plausible_ad_share", "warn", "ads are at most 60 % of what is labelled", max_value=0.6),
        between(
            "disputed_share",
            "rarely_disputed",
            "warn",
            "persons agree on 90 % of what several labelled",
            max_value=0.1,
        ),
    ]


def _channels() -> list[Any]:
    return [
        between(
            "labelled_share", "channel_labelled", "warn", "a tenth of each channel's hours is labelled", min_value=0.1
        ),
        between("ad_seconds", "channel_has_ads", "warn", "the labels of a channel have ads", min_value=1),
        between(
            "other_seconds", "channel_has_content", "warn", "the labels of a channel have more than ads", min_value=1
        ),
        between("ad_share", "channel_ad_share", "warn", "ads are at most 60 % of a channel", max_value=0.6),
    ]
