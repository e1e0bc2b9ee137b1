"""What airs again: the evidence of repetition, within a recording and against an archive.

    archive = open_archive("s3://adbreak")                       # or None: the recordings at hand alone
    archive.add(prints)                                          # fingerprints of the recordings to be judged
    found = archive.repeats(prints)                              # list[Repeat]
    repetition(found, 3600, within=False)                        # float32 [3600, 9], a row a second

Programme is rarely shown twice within days; spots are, and in pieces of their own length. Title sequences and repeats
of programmes come back too: they are longer, or lie alone, or stand at the same place of each recording, and what the
columns mean is learned. Nothing is written to the archive.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ml_training.data.creatives.archive import Archive, member_of, read_archive, read_index
from ml_training.data.creatives.catalogue import read_airings
from ml_training.data.creatives.fingerprints import Fingerprints, load_fingerprints
from ml_training.data.creatives.index import ArchiveIndex
from ml_training.data.creatives.labels import CreativeLabel, read_labels, resolve_labels
from ml_training.data.creatives.matching import Match
from ml_training.data.creatives.update import match_recording
from ml_training.detection.features import REPETITION, Floats, Times

GRID_SECONDS, GRID_TOLERANCE = 5.0, 0.35  # spots are booked in multiples of five seconds
REACH_SECONDS = 20.0  # farther bounds of pieces say nothing about a second
LONGEST_SECONDS = 600.0
KNOWN_AD, KNOWN_CONTENT = 4.0, -4.0  # log odds of a creative that a person labelled; of a model's label half of it
RETIRED = ""  # the name in the index of codes that another extraction replaces
NOT_AN_AD = ("content", "title_sequence")


class Repeat(NamedTuple):
    """A stretch of a recording that airs again, in ``other``: another recording or, at another time, the same."""

    start_seconds: float
    end_seconds: float
    other: str
    other_start: float
    other_end: float


class OpenArchive:
    """Fingerprints and matches of an archive in memory, and those of the recordings to be judged."""

    def __init__(self, data_dir: str | None) -> None:
        self._data_dir = data_dir
        self._archive = read_archive(data_dir) if data_dir else Archive()
        self._index = read_index(data_dir, self._archive.members) if data_dir else ArchiveIndex()
        self._own: dict[str, Fingerprints] = {}
        self._labels = resolve_labels(read_labels(data_dir)) if data_dir else {}

    def __len__(self) -> int:
        return len(self._archive.members)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to compare a recording with but itself."""
        return len(self._archive.members) <= 1

    def add(self, prints: Fingerprints) -> None:
        """Add a recording, unless it is a member: then what the archive has of it holds."""
        name = prints.recording_id
        known = self._archive.members.get(name)
        if known is not None and known.extraction_id == prints.extraction_id:
            return
        if known is not None:  # the same hour in another extraction: all of it would seem to air again
            self._archive.drop(name)
            self._index.names[self._index.names.index(name)] = RETIRED
        self._index.add(name, prints.codes, prints.code_frames)
        self._archive.members[name] = member_of(prints)
        self._own[name] = prints

    def repeats(self, prints: Fingerprints) -> list[Repeat]:
        """Return what of a recording that was added airs again, within it and elsewhere."""
        name = prints.recording_id
        if any(name in pair for pair in self._archive.matches):
            return repeats_of(name, self._archive.matches)
        found = match_recording(self._archive, self._index, prints, {(RETIRED, name)}, self._load)
        return repeats_of(name, found)

    def repeats_live(self, prints: Fingerprints) -> list[Repeat]:
        """Return the same for the newest minutes of a stream, which are never added."""
        own = ArchiveIndex()
        own.add(prints.recording_id, prints.codes, prints.code_frames)
        within = match_recording(Archive(), own, prints, set(), lambda name: prints)
        found = match_recording(self._archive, self._index, prints, set(), self._load)
        return repeats_of(prints.recording_id, within | found)

    def known(self, name: str, repeats: Iterable[Repeat], seconds: int) -> Floats | None:
        """Return log odds of an ad [seconds] from the labels of creatives that air; None where there are none."""
        if not self._labels or self._data_dir is None:
            return None
        airings = read_airings(self._data_dir).to_pylist()
        spans: dict[str, list[tuple[float, float, str]]] = {}
        for row in airings:
            if row["creative_id"] in self._labels:
                span = (row["start_seconds"], row["end_seconds"], row["creative_id"])
                spans.setdefault(row["recording_id"], []).append(span)
        return known_log_odds(name, repeats, spans, self._labels, seconds)

    def _load(self, name: str) -> Fingerprints:
        if name in self._own:
            return self._own[name]
        assert self._data_dir is not None
        return load_fingerprints(self._data_dir, name, self._archive.members[name].extraction_id)


def repeats_of(name: str, matches: Mapping[tuple[str, str], Sequence[Match]]) -> list[Repeat]:
    """Return the repeats of one recording from matches by pair; a match within it counts at both of its places."""
    found = []
    for (first, second), own in matches.items():
        for m in own:
            if first == name:
                found.append(Repeat(m.first_start, m.first_end, second, m.second_start, m.second_end))
            if second == name:
                found.append(Repeat(m.second_start, m.second_end, first, m.first_start, m.first_end))
    return sorted(found)


def repetition(
    name: str, repeats: Iterable[Repeat], seconds: int, *, within: bool, others: Collection[str] | None = None
) -> Floats:
    """Return the columns of the group ``within``, or of ``archive``, float32 [seconds, 9].

    ``others`` limits the archive to some recordings: so that a model learns what a small one says.
    """
    chosen = [r for r in repeats if (r.other == name) == within and (others is None or within or r.other in others)]
    columns = {column: np.zeros(seconds, np.float32) for column in REPETITION}
    shortest = np.full(seconds, LONGEST_SECONDS)
    heard: dict[str, np.ndarray] = {}
    for repeat in chosen:
        length = repeat.end_seconds - repeat.start_seconds
        inside = slice(max(0, round(repeat.start_seconds)), min(seconds, round(repeat.end_seconds)))
        columns["pieces"][inside] = 1.0
        columns["times"][inside] += 1.0
        heard.setdefault(repeat.other, np.zeros(seconds, bool))[inside] = True
        shortest[inside] = np.minimum(shortest[inside], length)
        columns["longest"][inside] = np.maximum(columns["longest"][inside], np.log1p(min(length, LONGEST_SECONDS)))
    columns["recordings"] = np.log1p(np.sum(list(heard.values()), axis=0)).astype(np.float32) + columns["recordings"]
    columns["times"] = np.log1p(columns["times"])
    covered = columns["pieces"] > 0
    columns["shortest"][covered] = np.log1p(shortest[covered])
    columns["grid"][covered] = [_on_grid(length) for length in shortest[covered]]
    columns |= _bounds(chosen, seconds)
    return np.stack([columns[column] for column in REPETITION], axis=1)


def piece_bounds(repeats: Iterable[Repeat]) -> Times:
    """Return where pieces begin and end, in order; one that several repeats have comes several times."""
    return np.array(sorted(time for repeat in repeats for time in (repeat.start_seconds, repeat.end_seconds)))


def _bounds(repeats: Sequence[Repeat], seconds: int) -> dict[str, Floats]:
    """Return how near the last and the next bound of a piece are (1: here, 0: far), and how many lie at each edge."""
    times = piece_bounds(repeats)
    if not len(times):
        return {}
    grid = np.arange(seconds, dtype=np.float64)
    before = np.searchsorted(times, grid + 0.5)
    since = np.where(before > 0, grid + 0.5 - times[np.maximum(before - 1, 0)], REACH_SECONDS)
    until = np.where(before < len(times), times[np.minimum(before, len(times) - 1)] - grid - 0.5, REACH_SECONDS)
    counts = np.bincount(np.clip(np.rint(times).astype(int), 0, seconds), minlength=seconds + 1)[:seconds]
    near = {"since": since, "until": until}
    scaled = {name: (1 - np.clip(away / REACH_SECONDS, 0, 1)).astype(np.float32) for name, away in near.items()}
    return {**scaled, "bounds": np.log1p(counts).astype(np.float32)}


def _on_grid(length: float) -> float:
    nearest = round(length / GRID_SECONDS) * GRID_SECONDS
    return float(nearest > 0 and abs(length - nearest) <= GRID_TOLERANCE)


def known_log_odds(
    name: str,
    repeats: Iterable[Repeat],
    airings: Mapping[str, Sequence[tuple[float, float, str]]],
    labels: Mapping[str, CreativeLabel],
    seconds: int,
) -> Floats | None:
    """Return log odds of an ad [seconds]: of labelled creatives that air in the recording, or in what repeats it.

    ``airings`` are (start, end, creative) by recording. Promos, idents and sponsor cards say nothing either way.
    """
    odds = np.zeros(seconds, np.float32)
    spans = [(start, end, creative) for start, end, creative in airings.get(name, ())]
    for repeat in repeats:
        shift = repeat.start_seconds - repeat.other_start
        for start, end, creative in airings.get(repeat.other, ()):
            low, high = max(start + shift, repeat.start_seconds), min(end + shift, repeat.end_seconds)
            spans += [(low, high, creative)] if high > low else []
    for start, end, creative in spans:
        label = labels[creative]
        value = KNOWN_AD if label.label == "ad" else KNOWN_CONTENT if label.label in NOT_AN_AD else 0.0
        inside = slice(max(0, round(start)), min(seconds, round(end)))
        weight = 1.0 if label.source == "person" else 0.5
        stronger = np.abs(odds[inside]) < abs(value * weight)
        odds[inside] = np.where(stronger, value * weight, odds[inside])
    return odds if odds.any() else None


def open_archive(data_dir: str | None) -> OpenArchive:
    """Open the catalogue below ``data_dir``; without one, only what is added is compared."""
    return OpenArchive(data_dir)
