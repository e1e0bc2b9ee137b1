"""Which recordings of a source need their frames extracted.

    scan("s3://adbreak/recordings", data_dir="s3://adbreak")["recordings"]                    # all of the source
    scan(source, data_dir=root, selection=Selection("2026-01-05", "2026-01-07", ["one"]))     # a channel's three days
    scan(source, data_dir=root, new_only=True)                                                # the sweep

The answer is what an Airflow task maps over: small, and the same as long as nothing changes. A scan compares with what
is stored, two requests a recording; the sweep compares the listing with what it remembers (``data.sweep``), whatever
the date of a recording.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from ml_training.cloud import storage
from ml_training.data import quarantine
from ml_training.data.extraction import Mode, extraction_name
from ml_training.data.frames import read_current
from ml_training.data.recordings import Found, Recording, Refused, find_recordings, read_sidecar, source_version
from ml_training.data.sweep import Look
from ml_training.utils.errors import DataError, RecordingUnreadable, UsageError
from ml_training.utils.records import Sidecar

REQUESTS_AT_ONCE = 16
DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


class Selection(NamedTuple):
    """A part of the archive: days from the first to the last, both included, as YYYY-MM-DD; none means no bound.

    A recording has the date and the channel of its folder, else those of its sidecar. One without a date belongs to no
    range of dates.
    """

    from_date: str | None = None
    to_date: str | None = None
    channels: Sequence[str] = ()

    @property
    def is_everything(self) -> bool:
        """Tell whether nothing is left out."""
        return not (self.from_date or self.to_date or self.channels)

    def check(self) -> None:
        """Raise UsageError for what is no day, and for a range that ends before it starts."""
        for day in (self.from_date, self.to_date):
            if day is not None and not DAY.fullmatch(day):
                raise UsageError(f"a date is written YYYY-MM-DD, received {day!r}")
        if self.from_date and self.to_date and self.from_date > self.to_date:
            raise UsageError(f"the range of dates ends before it starts: {self.from_date} to {self.to_date}")

    def holds(self, channel: str, date: str | None) -> bool:
        """Tell whether a recording of this channel and date belongs to it."""
        if self.channels and channel not in self.channels:
            return False
        if not (self.from_date or self.to_date):
            return True
        return date is not None and (self.from_date or date) <= date <= (self.to_date or date)


class Candidate(NamedTuple):
    """A recording with the channel and the date that it counts under."""

    recording: Recording
    channel: str
    date: str | None


def scan(
    source: str,
    *,
    data_dir: str,
    frames_per_second: float = 1.0,
    mode: Mode = "exact",
    selection: Selection = Selection(),  # noqa: B008 (frozen)
    new_only: bool = False,
    note_look: bool = False,
) -> dict[str, Any]:
    """Return ``recordings`` (those to extract), ``known``, ``quarantined`` ids and ``refused`` files.

    A recording whose present version is in quarantine is not offered again: its reason.json says how to retry. With
    ``new_only`` the sweep decides: it also offers again what a run extracted but did not live to announce. With
    ``note_look`` the answer has ``look``, the address of what ``data.sweep.remember`` takes when all of that is done.
    Raises DataError when the source holds no media file (a sweep then finds nothing), UsageError for wrong dates.
    """
    selection.check()
    if new_only and not selection.is_everything:
        raise UsageError("the sweep looks at every channel and date: leave out --new-only, or the dates and channels")
    everything = _find(source, may_be_empty=new_only)
    look = Look.read(data_dir, frames_per_second, mode)
    found = _news(everything, look) if new_only else everything
    chosen, refused = _choose(found, selection)
    standing = partial(_standing, data_dir=data_dir, frames_per_second=frames_per_second, mode=mode)
    offered, quarantined = (chosen, []) if new_only else _compare(chosen, standing)
    known = len(everything.recordings) - len(offered) if new_only else len(chosen) - len(offered) - len(quarantined)
    result: dict[str, Any] = {
        "recordings": [_describe(candidate) for candidate in offered],
        "known": known,
        "quarantined": quarantined,
        "refused": [{"recording_id": item.recording_id, "uri": item.uri, "reason": item.reason} for item in refused],
    }
    if note_look:
        versions: dict[str, str | None] = dict(_versioned(candidate.recording) for candidate in offered)
        versions |= {item.uri: item.stored_version for item in refused}
        result["look"] = look.write(versions | (_gone(look, source, everything) if new_only else {}))
    return result


def _find(source: str, *, may_be_empty: bool) -> Found:
    try:
        return find_recordings(source)
    except DataError:
        if not may_be_empty:
            raise
        return Found([], [])


def _news(found: Found, look: Look) -> Found:
    """Return what came or changed since it was remembered."""
    return Found(
        [recording for recording in found.recordings if look.is_new(*_versioned(recording))],
        [item for item in found.refused if look.is_new(item.uri, item.stored_version)],
    )


def _gone(look: Look, source: str, found: Found) -> dict[str, None]:
    present = {recording.uri for recording in found.recordings} | {item.uri for item in found.refused}
    return dict.fromkeys(look.gone(source, present))


def _choose(found: Found, selection: Selection) -> tuple[list[Candidate], list[Refused]]:
    """Return the recordings of a selection, and the refused files of it, by their folders."""
    described = [_place(recording) for recording in found.recordings]
    chosen = [candidate for candidate in described if selection.holds(candidate.channel, candidate.date)]
    return chosen, [item for item in found.refused if selection.holds(item.channel, item.date)]


def _place(recording: Recording) -> Candidate:
    """Say where a recording belongs; its sidecar is read only where the folders do not tell."""
    if recording.folder_channel:
        return Candidate(recording, recording.folder_channel, recording.folder_date)
    try:
        sidecar = read_sidecar(recording)
    except RecordingUnreadable:
        sidecar = Sidecar()  # the extraction will say what is wrong with it
    return Candidate(recording, recording.channel(sidecar), recording.date(sidecar))


def _compare(chosen: Sequence[Candidate], standing_of: Callable[[Recording], str]) -> tuple[list[Candidate], list[str]]:
    """Return the recordings without current frames, and the ids of those in quarantine."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        standings = list(pool.map(standing_of, (candidate.recording for candidate in chosen)))
    pairs = list(zip(chosen, standings, strict=True))
    offered = [candidate for candidate, standing in pairs if standing == "new"]
    return offered, [candidate.recording.recording_id for candidate, standing in pairs if standing == "quarantined"]


def _standing(recording: Recording, *, data_dir: str, frames_per_second: float, mode: Mode) -> str:
    name = extraction_name(source_version(recording), frames_per_second, mode)
    entry = quarantine.read(storage.join(data_dir, "quarantine"), recording.recording_id)
    if entry is not None and entry.extraction_id == name:
        return "quarantined"
    current = read_current(data_dir, recording.recording_id)
    return "known" if current is not None and current["extraction_id"] == name else "new"


def _versioned(recording: Recording) -> tuple[str, str]:
    return recording.uri, f"{recording.stored_version} {recording.sidecar_version or ''}".rstrip()


def _describe(candidate: Candidate) -> dict[str, Any]:
    return {
        "recording_id": candidate.recording.recording_id,
        "uri": candidate.recording.uri,
        "channel": candidate.channel,
        "date": candidate.date,
        "bytes": candidate.recording.size_bytes,
    }
