"""The suite ``recordings``: what a recording is, by its facts, its sidecar and its likeness to others.

tables(Scope("s3://adbreak"))["recordings"]         # a row a recording
rules()["recordings"]

A wrong sidecar, facts that contradict themselves and a copy of another recording set the recording aside; what is only
unusual is told.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from ml_training.data.frames import extraction_folder, read_current
from ml_training.data.recordings import Recording, find_recordings, read_sidecar
from ml_training.data.splits import read_split
from ml_training.data.validation.duplicates import COPY_SHARE, Copy, Prints, find_copies, read_prints
from ml_training.data.validation.rules import Rules, between, filled, matches, once, zero
from ml_training.data.validation.scope import (
    Scope,
    Tables,
    extracted_recordings,
    in_parallel,
    number,
    recordings_with_frames,
)
from ml_training.data.validation.stored import read_facts
from ml_training.utils.errors import DataError, RecordingUnreadable
from ml_training.utils.records import Sidecar

LONGEST_GAP_SECONDS = 60.0
LONGEST_SECONDS = 24 * 3600.0
MOST_RESETS = 5  # a splice or a reconnect resets the counter; more often something is wrong with the source
USUAL_FRAME_RATE = 25.0  # where the stream does not say

Source = tuple[Recording | None, Sidecar | str]  # the file, where it still is, and its sidecar or what is wrong with it


def tables(scope: Scope) -> Tables:
    """Return ``recordings``: a row for each recording to check."""
    names = recordings_with_frames(scope)
    if not names:
        return {}
    loaded = in_parallel(names, lambda name: _load(scope.data_dir, name))
    copies, same = _repetitions(scope, names)
    rows = [
        summarise(name, facts, mistakes) | describe_source(facts, source) | describe_copy(copies.get(name), same[name])
        for name, (facts, mistakes, source) in zip(names, loaded, strict=True)
    ]
    return {"recordings": pd.DataFrame(rows)}


def _load(data_dir: str, recording_id: str) -> tuple[dict[str, Any], list[str], Source]:
    current = read_current(data_dir, recording_id) or {}
    facts, mistakes = read_facts(extraction_folder(data_dir, recording_id, str(current.get("extraction_id"))))
    return facts, mistakes, _source(str(facts.get("source_uri", "")))


def _source(uri: str) -> Source:
    try:
        found = find_recordings(uri).recordings if uri else []
    except DataError:
        found = []  # kept no longer: its frames are still good
    try:
        return (found[0], read_sidecar(found[0])) if found else (None, Sidecar())
    except RecordingUnreadable as error:
        return found[0], error.message


def _repetitions(scope: Scope, names: Sequence[str]) -> tuple[dict[str, Copy], dict[str, str | None]]:
    """Compare with all that has frames. What is new comes later: what is named, else what has no split yet."""
    prints = read_prints(scope.data_dir, extracted_recordings(scope.data_dir))
    new = set(scope.recordings or [name for name in prints if read_split(scope.data_dir, name) is None])
    order = sorted(prints, key=lambda name: (name in new, name))
    return find_copies(names, prints, order=order), same_sources(names, prints, order)


def same_sources(names: Sequence[str], prints: Mapping[str, Prints], order: Sequence[str]) -> dict[str, str | None]:
    """Return for each recording the earlier one of ``order`` that has the same bytes and sidecar, None without one."""
    first: dict[str, str] = {}
    for name in order:
        first.setdefault(prints[name].source_version or name, name)
    twins = {name: first[prints[name].source_version or name] for name in names if name in prints}
    return {name: twin if (twin := twins.get(name)) != name else None for name in names}


def describe_copy(copy: Copy | None, same: str | None) -> dict[str, Any]:
    """Return the columns about repetition; ``repeated_share`` is what of it another recording shows as well."""
    return {
        "copy_of": same or (copy.of if copy else None),
        "same_file": int(same is not None),
        "repeated_share": copy.share if copy else 0.0,
    }


def describe_source(facts: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Return the columns about the sidecar, and whether it and the layout say the same."""
    recording, sidecar = source
    known = sidecar if isinstance(sidecar, Sidecar) else Sidecar()
    folder = recording.folder_channel if recording else None
    start, day = known.start_time, as_date(facts.get("date"))
    return {
        "sidecar_mistakes": int(isinstance(sidecar, str)),
        "mistake": sidecar if isinstance(sidecar, str) else None,
        "channels_named": len({folder, known.channel} - {None}) if folder and known.channel else np.nan,
        "days_apart": abs((start.date() - day).days) if start and day else np.nan,
    }


def as_date(text: Any) -> date | None:
    """Return a date of the form YYYY-MM-DD, None for anything else."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def summarise(recording_id: str, facts: Mapping[str, Any], mistakes: Sequence[str]) -> dict[str, Any]:
    """Return what ``extraction.json`` says of a recording, in numbers that the rules look at."""
    duration, errors = number(facts, "duration_seconds"), number(facts, "decode_errors")
    gaps = [(gap["at_seconds"], gap["length_seconds"]) for gap in facts.get("gaps", [])] if not mistakes else []
    lost = sum(length for _, length in gaps)
    rate = number(facts, "average_frame_rate")
    shown = max((duration - lost) * (rate if rate > 0 else USUAL_FRAME_RATE), 1.0)
    day = as_date(facts.get("date"))
    return {
        "recording_id": recording_id,
        "wrong_facts": len(mistakes),
        "wrong_fact": "; ".join(mistakes) or None,
        "channel": facts.get("channel"),
        "date": facts.get("date"),
        "days_ahead": (day - datetime.now(UTC).date()).days if day else np.nan,
        "duration_seconds": duration,
        "width": number(facts, "width"),
        "height": number(facts, "height"),
        "source_frame_rate": rate if rate > 0 else np.nan,
        "timestamp_resets": number(facts, "timestamp_resets"),
        "damaged_share": errors / shown,
        "longest_gap_seconds": max((length for _, length in gaps), default=0.0),
        "gap_share": lost / duration if duration > 0 else np.nan,
        "misplaced_gaps": misplaced(gaps, duration),
    }


def misplaced(gaps: Sequence[tuple[float, float]], duration_seconds: float) -> int:
    """Count the gaps that begin before the one before ends, have no length, or lie past the recording's end."""
    ends = [0.0, *(at + length for at, length in gaps)]
    pairs = zip(gaps, ends[:-1], strict=True)
    return sum(at < before or length <= 0 or at + length > duration_seconds + 1 for (at, length), before in pairs)


def rules() -> Rules:
    """Return the rules of the suite, by table."""
    return {"recordings": [*_facts(), *_time(), *_metadata(), *_repetition()]}


def _facts() -> list[Any]:
    pixels = {"min_value": 16, "max_value": 8192}
    return [
        filled("recording_id", "stop"),
        once("recording_id", "recording_once", "stop", "each recording is there once"),
        zero("wrong_facts", "facts_complete", "quarantine", "extraction.json says what readers need"),
        between("width", "width_range", "quarantine", "the source is 16 to 8192 pixels wide", **pixels),
        between("height", "height_range", "quarantine", "the source is 16 to 8192 pixels high", **pixels),
        between(
            "source_frame_rate",
            "usual_frame_rate",
            "warn",
            "a source has 5 to 120 frames a second",
            min_value=5,
            max_value=120,
        ),
        between(
            "damaged_share", "mostly_intact", "quarantine", "at most half of the frames are damaged", max_value=0.5
        ),
        between("damaged_share", "rarely_damaged", "warn", "at most 2 % of the frames are damaged", max_value=0.02),
    ]


def _time() -> list[Any]:
    return [
        between(
            "duration_seconds", "has_length", "quarantine", "a recording has a length", min_value=0, strict_min=True
        ),
        between("duration_seconds", "not_overlong", "warn", "it is at most a day long", max_value=LONGEST_SECONDS),
        zero("misplaced_gaps", "gaps_in_order", "quarantine", "gaps lie one after the other within the recording"),
        between(
            "longest_gap_seconds",
            "longest_gap",
            "warn",
            "no gap is longer than a minute",
            max_value=LONGEST_GAP_SECONDS,
        ),
        between("gap_share", "gap_share", "quarantine", "gaps are at most half of the recording", max_value=0.5),
        between(
            "timestamp_resets",
            "rarely_reset",
            "warn",
            "timestamps start anew at most five times",
            max_value=MOST_RESETS,
        ),
    ]


def _metadata() -> list[Any]:
    return [
        zero("sidecar_mistakes", "sidecar_valid", "quarantine", "the sidecar, where there is one, has known fields"),
        filled("channel", "quarantine"),
        matches("date", "date_form", "quarantine", "a date has the form YYYY-MM-DD", r"^\d{4}-\d\d-\d\d$"),
        between("days_ahead", "date_not_ahead", "warn", "the date is not in the future", max_value=1),
        between("channels_named", "one_channel", "warn", "folder and sidecar name the same channel", max_value=1),
        between("days_apart", "one_date", "warn", "folder and sidecar name the same day, or the next", max_value=1),
    ]


def _repetition() -> list[Any]:
    return [
        zero("same_file", "file_once", "quarantine", "no other recording is the same file"),
        between(
            "repeated_share",
            "not_a_copy",
            "quarantine",
            "less than 90 % of its pictures run in another recording",
            max_value=COPY_SHARE,
            strict_max=True,
        ),
        between(
            "repeated_share",
            "rarely_repeated",
            "warn",
            "at most half of its pictures run in another recording",
            max_value=0.5,
        ),
    ]
