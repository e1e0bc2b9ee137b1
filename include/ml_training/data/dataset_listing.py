"""What a dataset version lists: the file ``listing.jsonl``, whose hash is the version's name.

    listing = read_listing("s3://adbreak", "4be1…")
    listing.recordings["news-0105"].split, listing.creatives["soap-7"].split
    listing.dataset_id == "4be1…"

A line of its own for the config, for every recording (extraction, split, labels that hold, creatives that air) and for
every creative (the split it belongs to). The manifest follows from it and from the stored index of each extraction, so
a version can be proved: hash the listing, make the rows again, compare.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.data.masking import Span
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound
from ml_training.utils.hashing import SHORT_LENGTH, canonical_json, sha256_bytes
from ml_training.utils.records import Label, Record, Segment, Split

LISTING_VERSION = 2  # changes when the same recordings and labels would give another manifest


class ListedConfig(Record):
    """The first line: by which rules the version is made."""

    line: Literal["config"] = "config"
    version: int = LISTING_VERSION
    data: DataSection


class ListedRecording(Record):
    """A recording of the version, with all that its rows depend on besides the index of its frames."""

    line: Literal["recording"] = "recording"
    recording_id: str
    extraction_id: str
    channel: str
    genre: str
    show: str
    split: Split
    segments: tuple[tuple[float, float, Label, str | None], ...]  # start, end, label, creative as the label names it
    airings: tuple[tuple[float, float, str], ...]  # start, end, creative: what labels and the catalogue say, linked

    @property
    def labels(self) -> list[Segment]:
        """The labels that hold, in order."""
        return [
            Segment.model_construct(start_seconds=start, end_seconds=end, label=label, creative=creative)
            for start, end, label, creative in self.segments
        ]

    @property
    def spans(self) -> list[Span]:
        """The creatives that air."""
        return [Span(*airing) for airing in self.airings]


class ListedCreative(Record):
    """A creative that airs in the version: the split that it belongs to, and those in which it airs at all."""

    line: Literal["creative"] = "creative"
    creative: str
    split: Split
    aired_in: tuple[Split, ...]


class Listing(NamedTuple):
    """Everything that a dataset version lists."""

    data: DataSection
    recordings: Mapping[str, ListedRecording]
    creatives: Mapping[str, ListedCreative]
    content: bytes

    @property
    def dataset_id(self) -> str:
        """The name of the version: 16 digits of the SHA-256 of the listing."""
        return sha256_bytes(self.content)[:SHORT_LENGTH]

    def owners_of(self, recording: ListedRecording) -> dict[str, Split]:
        """Return the split that each creative of a recording belongs to."""
        return {name: self.creatives[name].split for _, _, name in recording.airings}


_Line = Annotated[ListedConfig | ListedRecording | ListedCreative, Field(discriminator="line")]
_LINES: TypeAdapter[list[_Line]] = TypeAdapter(list[_Line])


def make_listing(
    data: DataSection, recordings: Iterable[ListedRecording], creatives: Iterable[ListedCreative]
) -> Listing:
    """Return the listing, in order of names."""
    by_name = {listed.recording_id: listed for listed in sorted(recordings, key=lambda r: r.recording_id)}
    by_creative = {listed.creative: listed for listed in sorted(creatives, key=lambda c: c.creative)}
    lines = (ListedConfig(data=data), *by_name.values(), *by_creative.values())
    content = "".join(canonical_json(line.model_dump(mode="json")) + "\n" for line in lines).encode()
    return Listing(data, by_name, by_creative, content)


def parse_listing(content: bytes, source: str) -> Listing:
    """Return the listing that a file holds. Raises DatasetUnusable when it is damaged or of another version."""
    try:
        lines = _LINES.validate_json(b"[" + b",".join(content.splitlines()) + b"]")
        (config,) = [line for line in lines if isinstance(line, ListedConfig)]
    except (ValidationError, ValueError) as error:
        raise DatasetUnusable(f"{source} is damaged: {error}", uri=source) from error
    if config.version != LISTING_VERSION:
        raise DatasetUnusable(f"{source} has version {config.version}, expected {LISTING_VERSION}: build it again")
    recordings = {line.recording_id: line for line in lines if isinstance(line, ListedRecording)}
    creatives = {line.creative: line for line in lines if isinstance(line, ListedCreative)}
    return Listing(config.data, recordings, creatives, content)


def listing_uri(data_dir: str, dataset_id: str) -> str:
    """Return the address of a version's listing."""
    return storage.join(data_dir, "datasets", dataset_id, "listing.jsonl")


def read_listing(data_dir: str, dataset_id: str) -> Listing:
    """Return what a dataset version lists. Raises DatasetUnusable when there is no such version."""
    uri = listing_uri(data_dir, dataset_id)
    try:
        return parse_listing(storage.read_bytes(uri), uri)
    except ObjectNotFound as error:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id") from error
