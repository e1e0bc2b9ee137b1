"""What the sweep remembers: which files it has looked at, so that it looks only at what came or changed since.

    look = Look.read("s3://adbreak", 1.0)                      # what is remembered for one frame a second
    look.is_new("s3://adbreak/recordings/one/2026-01-05/a.ts", "etag")
    uri = look.write({"s3://adbreak/recordings/one/2026-01-05/a.ts": "etag"})
    remember(uri, data_dir="s3://adbreak", frames_per_second=1.0)      # when their frames are announced

A file is known by its address and its version, never by its time: an object of S3 carries the time at which its upload
*began*, and a copied file often that of its original, so both may arrive with a time that lies before the last look.

``ingestion/seen/<parameters>.parquet`` may be deleted: everything is then looked at once more, found extracted, and
announced again. Two writers at a time lose one of the two notes, which has the same effect and no other.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.extraction import Mode, extraction_name
from ml_training.utils.errors import ObjectNotFound
from ml_training.utils.hashing import short_hash

SCHEMA = pa.schema([("uri", pa.string()), ("version", pa.string())])  # no version: the file is gone

Versions = dict[str, str | None]


class Look(NamedTuple):
    """What was remembered when a scan began."""

    data_dir: str
    seen: Versions

    @classmethod
    def read(cls, data_dir: str, frames_per_second: float, mode: Mode = "exact") -> Self:
        """Read what is remembered for extractions with these parameters; nothing at first."""
        return cls(data_dir, _read(_seen_uri(data_dir, frames_per_second, mode)))

    def is_new(self, uri: str, version: str) -> bool:
        """Tell whether a file came, or changed, since it was remembered."""
        return self.seen.get(uri) != version

    def gone(self, source: str, present: Collection[str]) -> list[str]:
        """Return the remembered files below ``source`` that are not there any more."""
        return [uri for uri in self.seen if uri.startswith(source) and uri not in present]

    def write(self, versions: Mapping[str, str | None]) -> str:
        """Store what a scan offers, to be remembered when that has ended well; returns its address, "" for nothing."""
        if not versions:
            return ""
        name = short_hash(sorted(versions.items()))
        uri = storage.join(self.data_dir, "ingestion", "looks", f"{name}.parquet")
        _write(uri, dict(versions))
        return uri


def remember(
    look_uri: str,
    *,
    data_dir: str,
    frames_per_second: float = 1.0,
    mode: Mode = "exact",
    without: Collection[str] = (),
) -> dict[str, int]:
    """Remember what a scan offered, but for the files ``without``, which the next sweep offers again.

    Run twice, it finds nothing to do. Returns how many files are newly remembered and how many in all.
    """
    look = _read(look_uri)
    target = _seen_uri(data_dir, frames_per_second, mode)
    seen = _read(target)
    learned = {uri: version for uri, version in look.items() if uri not in set(without)}
    merged: Versions = {uri: version for uri, version in {**seen, **learned}.items() if version is not None}
    if merged != seen:
        _write(target, merged)
    storage.delete(look_uri)
    return {"remembered": sum(version is not None for version in learned.values()), "in_all": len(merged)}


def _seen_uri(data_dir: str, frames_per_second: float, mode: Mode) -> str:
    name = extraction_name("any", frames_per_second, mode)  # a new extractor looks at everything again
    return storage.join(data_dir, "ingestion", "seen", f"{name}.parquet")


def _read(uri: str) -> Versions:
    try:
        table = pq.read_table(pa.BufferReader(storage.read_bytes(uri)), schema=SCHEMA)
    except ObjectNotFound:
        return {}
    return dict(zip(table["uri"].to_pylist(), table["version"].to_pylist(), strict=True))


def _write(uri: str, versions: Versions) -> None:
    rows = sorted(versions.items())
    table = pa.table([[row[0] for row in rows], [row[1] for row in rows]], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    storage.write_bytes(uri, sink.getvalue().to_pybytes())
