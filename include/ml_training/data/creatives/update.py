"""Brings the catalogue up to date: fingerprints what is new, matches it with the whole archive, groups and names.

    update("s3://adbreak")                               # what came since the last time
    update("s3://adbreak", recordings=["news-0105"])     # only these
    update("s3://adbreak", rebuild=True)                 # all over again: the same catalogue

A step that was done is found again; what was killed in the middle is made again, with the same result.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyarrow as pa

from ml_training.cloud import storage
from ml_training.data.creatives.alignment import candidates
from ml_training.data.creatives.archive import (
    Archive,
    member_of,
    read_archive,
    read_index,
    write_archive,
    write_index,
)
from ml_training.data.creatives.catalogue import AIRINGS_SCHEMA, catalogue_uri, table_bytes
from ml_training.data.creatives.fingerprints import (
    Fingerprints,
    fingerprints_uri,
    load_fingerprints,
    make_fingerprints,
    store_fingerprints,
)
from ml_training.data.creatives.grouping import Airing, Link, group
from ml_training.data.creatives.identities import name_creatives
from ml_training.data.creatives.index import ArchiveIndex
from ml_training.data.creatives.labels import read_labels, resolve_labels
from ml_training.data.creatives.matching import Match, best_matches, verify
from ml_training.data.creatives.pictures_alone import match_by_pictures
from ml_training.data.frames import read_current
from ml_training.utils.errors import AdbreakError, DataError

logger = logging.getLogger(__name__)


def update(data_dir: str, *, recordings: Collection[str] | None = None, rebuild: bool = False) -> dict[str, Any]:
    """Bring the catalogue up to date and return counts.

    ``recordings`` limits what is looked at; ``rebuild`` makes fingerprints, matches and index again. Recordings that
    cannot be fingerprinted are named in ``failed``; raises DataError when that is all of them.
    """
    started = time.monotonic()
    archive = Archive() if rebuild else read_archive(data_dir)
    new, failed = _fingerprint(data_dir, archive, _extractions(data_dir, recordings, archive), rebuild=rebuild)
    if failed and not new and not archive.members:
        raise DataError(f"no recording could be fingerprinted: {next(iter(failed.values()))}", failed=failed)
    if new:
        add_to_archive(data_dir, archive, new)
        write_archive(data_dir, archive)
    creatives, airings = write_catalogue(data_dir, archive)
    return {
        "added": sorted(new),
        "failed": failed,
        "recordings": len(archive.members),
        "matches": sum(map(len, archive.matches.values())),
        "creatives": creatives,
        "airings": airings,
        "seconds": round(time.monotonic() - started, 1),
    }


def _extractions(data_dir: str, recordings: Collection[str] | None, archive: Archive) -> dict[str, str]:
    """Return the newest extraction of each recording that is to be looked at; one that has none any more is dropped."""
    if recordings is None:
        prefix = storage.join(data_dir, "frames") + "/"
        found = (item.uri.split("/") for item in storage.list_objects(prefix) if item.uri.endswith("/current.json"))
        names: Collection[str] = sorted(parts[-2] for parts in found)
        for gone in set(archive.members) - set(names):
            archive.drop(gone)
    else:
        names = sorted(set(recordings))
    current = {name: read_current(data_dir, name) for name in names}
    missing = [name for name, pointer in current.items() if pointer is None]
    if missing and recordings is not None:
        raise DataError(f"there are no frames of {', '.join(missing)} in {data_dir}: run data.collectors extract")
    return {name: str(pointer["extraction_id"]) for name, pointer in current.items() if pointer}


def _fingerprint(
    data_dir: str, archive: Archive, extractions: dict[str, str], *, rebuild: bool
) -> tuple[dict[str, Fingerprints], dict[str, str]]:
    new: dict[str, Fingerprints] = {}
    failed: dict[str, str] = {}
    for name, extraction_id in extractions.items():
        known = archive.members.get(name)
        if known is not None and known.extraction_id == extraction_id:
            continue
        archive.drop(name)
        try:
            if rebuild or not storage.exists(fingerprints_uri(data_dir, name, extraction_id)):
                store_fingerprints(data_dir, make_fingerprints(data_dir, name))
            new[name] = load_fingerprints(data_dir, name, extraction_id)
        except AdbreakError as error:
            logger.warning("%s is left out: %s", name, error.message)
            failed[name] = error.message
    return new, failed


def add_to_archive(data_dir: str, archive: Archive, new: dict[str, Fingerprints]) -> None:
    """Add the new recordings to index and archive, and all matches that they have part in."""
    index = read_index(data_dir, archive.members)
    for name, prints in new.items():
        index.add(name, prints.codes, prints.code_frames)
        archive.members[name] = member_of(prints)
    done: set[tuple[str, str]] = set()

    def load(name: str) -> Fingerprints:
        return load_fingerprints(data_dir, name, archive.members[name].extraction_id)

    for number, prints in enumerate(new.values(), start=1):
        found = match_recording(archive, index, prints, done, load)
        archive.matches |= found
        logger.info(
            "matched %s (%d of %d): %d recordings share something", prints.recording_id, number, len(new), len(found)
        )
    write_index(data_dir, index, archive.members)


def match_recording(
    archive: Archive,
    index: ArchiveIndex,
    prints: Fingerprints,
    done: set[tuple[str, str]],
    load: Callable[[str], Fingerprints],
) -> dict[tuple[str, str], list[Match]]:
    """Return the matches of one recording with all of the index, by pair; pairs in ``done`` are passed over.

    ``load`` gives the fingerprints of a member. The pairs looked at are added to ``done``.
    """
    result: dict[tuple[str, str], list[Match]] = {}
    for name, there, here in index.search(prints.codes, prints.code_frames):
        pair = (min(name, prints.recording_id), max(name, prints.recording_id))
        if pair not in done:
            done.add(pair)
            result[pair] = _pair_matches(prints, load(name), here, there)
    for name in _to_see(archive, prints):
        pair = (min(name, prints.recording_id), max(name, prints.recording_id))
        if pair not in done:
            done.add(pair)
            first, second = sorted((prints, load(name)), key=lambda item: item.recording_id)
            result[pair] = match_by_pictures(first, second)
    return {pair: found for pair, found in result.items() if found}


def _to_see(archive: Archive, prints: Fingerprints) -> list[str]:
    """Return the recordings that can only be compared by their pictures."""
    return [name for name, member in sorted(archive.members.items()) if not (prints.has_sound and member.has_sound)]


def _pair_matches(prints: Fingerprints, other: Fingerprints, here: Any, there: Any) -> list[Match]:
    """Verify the candidates of two recordings; the one with the smaller name is the first, whichever came first."""
    if other.recording_id == prints.recording_id:
        later = here > there
        first, second, offsets, frames = prints, prints, (there - here)[later], here[later]
    elif other.recording_id < prints.recording_id:
        first, second, offsets, frames = other, prints, there - here, here
    else:
        first, second, offsets, frames = prints, other, here - there, there
    return best_matches(
        match for candidate in candidates(offsets, frames) for match in verify(first, second, candidate)
    )


def write_catalogue(data_dir: str, archive: Archive) -> tuple[int, int]:
    """Group the matches, name the creatives, write the catalogue; return the numbers of creatives and airings."""
    links = [
        Link(first, m.first_start, m.first_end, second, m.second_start, m.second_end)
        for (first, second), found in archive.matches.items()
        for m in found
    ]
    creatives = sorted((_by_date(airings, archive) for airings in group(links)), key=lambda airings: airings[0])
    labels = resolve_labels(read_labels(data_dir))
    names = name_creatives(data_dir, creatives, labelled=labels)
    rows = [
        {
            "creative_id": name,
            "recording_id": airing.recording_id,
            "start_seconds": round(airing.start_seconds, 3),
            "end_seconds": round(airing.end_seconds, 3),
            "channel": archive.members[airing.recording_id].channel,
            "date": archive.members[airing.recording_id].date,
            "label": labels[name].label if name in labels else "",
            "label_source": labels[name].source if name in labels else "",
        }
        for name, airings in sorted(zip(names, creatives, strict=True))
        for airing in sorted(airings)
    ]
    table = pa.Table.from_pylist(rows, schema=AIRINGS_SCHEMA)
    storage.write_bytes(catalogue_uri(data_dir), table_bytes(table))
    return len(creatives), len(rows)


def _by_date(airings: Sequence[Airing], archive: Archive) -> list[Airing]:
    return sorted(airings, key=lambda airing: (archive.members[airing.recording_id].date, airing))
