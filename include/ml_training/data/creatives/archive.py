"""What was fingerprinted and matched so far: the members of the archive, all their matches, and the index.

    archive = read_archive("s3://adbreak")
    archive.members["news-0105"].extraction_id
    write_archive("s3://adbreak", archive)

``creatives/matches/all.parquet`` holds the matches and, as metadata, the members: one object, so that both are of one
moment. ``creatives/index/`` is made again from the fingerprints when it is of other members.
"""

import json
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.creatives.catalogue import table_bytes
from ml_training.data.creatives.fingerprints import Fingerprints, load_fingerprints
from ml_training.data.creatives.index import ArchiveIndex
from ml_training.data.creatives.matching import Match
from ml_training.utils.errors import ObjectNotFound
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Record

MATCHES_SCHEMA = pa.schema(
    [
        ("first", pa.string()),
        ("second", pa.string()),
        *((name, pa.float64()) for name in Match._fields),
    ]
)
MEMBERS_KEY = b"members"


class Member(Record):
    """A recording of the archive, as far as catalogue and matching need it."""

    extraction_id: str
    channel: str
    date: str
    has_sound: bool


@dataclass
class Archive:
    """Members by recording, and matches by pair of recordings (the first name is the smaller one)."""

    members: dict[str, Member] = field(default_factory=dict)
    matches: dict[tuple[str, str], list[Match]] = field(default_factory=dict)

    def drop(self, recording_id: str) -> None:
        """Forget a recording and its matches."""
        self.members.pop(recording_id, None)
        self.matches = {pair: found for pair, found in self.matches.items() if recording_id not in pair}


def member_of(prints: Fingerprints) -> Member:
    """Return what the archive keeps of a recording's fingerprints in memory."""
    return Member(
        extraction_id=prints.extraction_id, channel=prints.channel, date=prints.date, has_sound=prints.has_sound
    )


def read_archive(data_dir: str) -> Archive:
    """Return the archive; an empty one where there is none."""
    try:
        data = storage.read_bytes(_matches_uri(data_dir))
    except ObjectNotFound:
        return Archive()
    table = pq.read_table(pa.BufferReader(data))
    members = json.loads(table.schema.metadata[MEMBERS_KEY])
    archive = Archive({name: Member.model_validate(member) for name, member in members.items()})
    columns = [table[name].to_pylist() for name in MATCHES_SCHEMA.names]
    for first, second, *numbers in zip(*columns, strict=True):
        archive.matches.setdefault((first, second), []).append(Match(*numbers))
    return archive


def write_archive(data_dir: str, archive: Archive) -> None:
    """Write members and matches, in order: the same archive gives the same bytes."""
    rows = [(*pair, *match) for pair, found in sorted(archive.matches.items()) for match in sorted(found)]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(MATCHES_SCHEMA)
    members = {name: member.model_dump(mode="json") for name, member in sorted(archive.members.items())}
    schema = MATCHES_SCHEMA.with_metadata({MEMBERS_KEY: json.dumps(members).encode()})
    table = pa.table([list(column) for column in columns], schema=schema)
    storage.write_bytes(_matches_uri(data_dir), table_bytes(table))


def _matches_uri(data_dir: str) -> str:
    return storage.join(data_dir, "creatives", "matches", "all.parquet")


def read_index(data_dir: str, members: dict[str, Member]) -> ArchiveIndex:
    """Return the index of these members, read where it is stored, else made from their fingerprints."""
    try:
        stored = ArchiveIndex.from_bytes(storage.read_bytes(_index_uri(data_dir)))
        if stored.label == _label(members) and set(stored.names) == set(members):
            return stored
    except ObjectNotFound:
        pass
    index = ArchiveIndex()
    for name, member in sorted(members.items()):
        prints = load_fingerprints(data_dir, name, member.extraction_id)
        index.add(name, prints.codes, prints.code_frames)
    return index


def write_index(data_dir: str, index: ArchiveIndex, members: dict[str, Member]) -> None:
    """Store the index with the name of what it holds."""
    index.label = _label(members)
    storage.write_bytes(_index_uri(data_dir), index.to_bytes())


def _label(members: dict[str, Member]) -> str:
    return short_hash(sorted((name, member.extraction_id) for name, member in members.items()))


def _index_uri(data_dir: str) -> str:
    return storage.join(data_dir, "creatives", "index", "sound.npz")
