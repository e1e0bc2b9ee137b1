"""Proves that a dataset version holds what it says, or fails and says where it does not.

    verify("s3://adbreak", "4be1…", pictures=200)["checks"]

| check | proves |
| --- | --- |
| name | the listing hashes to the version's id |
| files | the manifest is the one that the card was written for |
| rows | every row follows from the listing and the stored index: labels, splits and masks are as the rules make them |
| counts | the card counts what the manifest has |
| splits | recordings are in the split that was recorded at first sight; whole channels are in one |
| owners | each creative belongs to the split that the salted hash gives it |
| leaks | no creative is scored in two splits, by the labels and by the catalogue as it is **now** |
| pictures | every picture's shard is there; a sample decodes and has the hash that the index says |
"""

import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.dataset_card import Counts
from ml_training.data.dataset_listing import ListedRecording, Listing, read_listing
from ml_training.data.dataset_sources import found_airings
from ml_training.data.frames import decode_jpeg, extraction_folder
from ml_training.data.manifest import (
    MANIFEST_SCHEMA,
    NOT_SCORED,
    derive_rows,
    plain_frames,
    read_frames_index,
    stored_rows,
)
from ml_training.data.masking import Span, split_of_creative
from ml_training.data.splits import read_split, split_for
from ml_training.utils.errors import AdbreakError, DatasetUnusable, ObjectNotFound
from ml_training.utils.hashing import sha256_bytes, sha256_file
from ml_training.utils.parallel import in_threads, stream_in_threads
from ml_training.utils.records import Split

CHECKS = ("name", "files", "rows", "counts", "splits", "owners", "leaks", "pictures")
SHOWN = 10

logger = logging.getLogger(__name__)


def verify(data_dir: str, dataset_id: str, *, pictures: int = 200) -> dict[str, Any]:
    """Check a dataset version and return what was checked; ``pictures`` of it are decoded.

    Returns ``dataset_id``, ``recordings``, ``frames`` and ``checks`` (for each how many things were looked at). Raises
    DatasetUnusable when there is no such version, or a check does not hold; ``problems`` then has them by check.
    """
    listing = read_listing(data_dir, dataset_id)
    card = _read_card(data_dir, dataset_id)
    found = _Findings()
    found.look("name", listing.dataset_id == dataset_id, f"the listing hashes to {listing.dataset_id}")
    _check_splits(data_dir, listing, found)
    _check_owners(listing, found)
    uri = storage.join(data_dir, "datasets", dataset_id, "manifest.parquet")
    with storage.local_copy(uri) as path:  # what the bucket holds now, not a copy of earlier
        whole = sha256_file(path) == card.get("manifest_sha256")
        found.look("files", whole, "manifest.parquet is not the one that was written with the card")
        counts = _check_rows(data_dir, path, listing, found)
    found.look(
        "counts", counts.frames == card["frames"], f"the card counts {card['frames']}, there are {counts.frames}"
    )
    _check_sample(data_dir, listing, pictures, found)
    problems = {check: told for check, told in found.problems.items() if told}
    if problems:
        raise DatasetUnusable(_message(dataset_id, problems), dataset_id=dataset_id, problems=problems)
    return {
        "dataset_id": dataset_id,
        "recordings": len(listing.recordings),
        "frames": counts.total,
        "checks": found.looked_at,
    }


class _Findings:
    """How much each check looked at, and what it found wrong."""

    def __init__(self) -> None:
        self.looked_at: dict[str, int] = dict.fromkeys(CHECKS, 0)
        self.problems: dict[str, list[str]] = {check: [] for check in CHECKS}

    def look(self, check: str, holds: bool, problem: str) -> None:
        self.looked_at[check] += 1
        if not holds:
            self.problems[check].append(problem)


def _read_card(data_dir: str, dataset_id: str) -> dict[str, Any]:
    try:
        return dict(storage.read_json(storage.join(data_dir, "datasets", dataset_id, "card.json")))
    except ObjectNotFound as error:
        raise DatasetUnusable(f"dataset {dataset_id} in {data_dir} is half built: build it again") from error


def _check_splits(data_dir: str, listing: Listing, found: _Findings) -> None:
    recordings = list(listing.recordings.values())
    records = in_threads(recordings, lambda listed: read_split(data_dir, listed.recording_id))
    of_channel: dict[str, set[Split]] = defaultdict(set)
    for listed, record in zip(recordings, records, strict=True):
        recorded = split_for(record, listing.data) if record else None
        found.look(
            "splits",
            recorded == listed.split,
            f"{listed.recording_id} is listed in {listed.split}, recorded as {recorded or 'nothing'}",
        )
        if record and record.unit == "channel" and listing.data.hold_out_channels:
            of_channel[record.channel].add(listed.split)
    for channel, splits in of_channel.items():
        found.look("splits", len(splits) == 1, f"channel {channel} is in {' and '.join(sorted(splits))}")


def _check_owners(listing: Listing, found: _Findings) -> None:
    data = listing.data
    for listed in listing.creatives.values():
        owner = split_of_creative(listed.creative, listed.aired_in, data.split_shares, data.split_salt)
        learned = not data.hold_out_channels and listed.split == "train"  # general models learned it
        found.look(
            "owners", listed.split == owner or learned, f"{listed.creative} belongs to {owner}, not {listed.split}"
        )


def _check_rows(data_dir: str, path: Path, listing: Listing, found: _Findings) -> Counts:
    """Go through the manifest once, a recording at a time."""
    counts = Counts()
    scored_in: dict[str, dict[Split, int]] = defaultdict(lambda: defaultdict(int))
    catalogue = found_airings(data_dir)
    derived = stream_in_threads(listing.recordings.values(), lambda listed: _derive(data_dir, listed, listing))
    stored = stored_rows(path)
    for listed, (expected, plain, shards) in zip(listing.recordings.values(), derived, strict=True):
        if isinstance(expected, str):
            found.look("rows", False, expected)
            continue
        if not len(expected):
            continue
        rows = next(stored, None)
        same = rows is not None and rows.cast(MANIFEST_SCHEMA).equals(expected.cast(MANIFEST_SCHEMA))
        found.look("rows", same, f"{listed.recording_id}: the rows do not follow from its labels and index")
        if rows is None:
            continue
        counts.add(rows)
        _count_scored(scored_in, rows, plain, [*listed.spans, *catalogue.get(listed.recording_id, ())], listed.split)
        _check_shards(rows, shards, found)
    found.look("rows", next(stored, None) is None, "the manifest has rows of recordings that are not listed")
    for creative, splits in scored_in.items():
        told = " and ".join(f"{frames} frames in {split}" for split, frames in sorted(splits.items()))
        found.look("leaks", len(splits) == 1, f"creative {creative} is scored with {told}: build a new version")
    return counts


def _derive(
    data_dir: str, listed: ListedRecording, listing: Listing
) -> tuple[pa.Table | str, npt.NDArray[np.bool_], set[str]]:
    """Return the rows as they should be (or why there are none), which frames are plain, and the stored shards."""
    try:
        rows, index = derive_rows(data_dir, listed, listing)
    except AdbreakError as error:
        return f"{listed.recording_id}: {error.message}", np.zeros(0, bool), set()
    folder = extraction_folder(data_dir, listed.recording_id, listed.extraction_id)
    names = {item.uri.rsplit("/", 1)[1] for item in storage.list_objects(folder + "/") if item.size_bytes}
    return rows, plain_frames(index), {f"frames/{listed.recording_id}/{listed.extraction_id}/{n}" for n in names}


def _count_scored(
    scored_in: dict[str, dict[Split, int]],
    rows: pa.Table,
    plain: npt.NDArray[np.bool_],
    spans: Sequence[Span],
    split: Split,
) -> None:
    """Count the frames that are scored in the main, by creative and split."""
    if not spans:
        return
    pts = rows.column("pts_seconds").to_numpy()
    scored = (rows.column("label").to_numpy() != NOT_SCORED) & ~rows.column("seen_creative").to_numpy() & ~plain
    until = np.concatenate([[0], np.cumsum(scored)])
    for span, (first, last) in zip(spans, np.searchsorted(pts, [span[:2] for span in spans]), strict=True):
        if frames := int(until[last] - until[first]):
            scored_in[span.creative][split] += frames


def _check_shards(rows: pa.Table, shards: set[str], found: _Findings) -> None:
    named = {shard for chunk in rows.column("shard_uri").chunks for shard in chunk.dictionary.to_pylist()}
    missing = sorted(named - shards)
    found.look("pictures", not missing, f"{', '.join(missing)}: not there")


def _check_sample(data_dir: str, listing: Listing, pictures: int, found: _Findings) -> None:
    """Decode some pictures, the same for the same version, and compare them with the hashes of the index."""
    chance = random.Random(listing.dataset_id)
    recordings = sorted(listing.recordings)
    chosen = sorted(chance.choices(recordings, k=pictures)) if recordings else []
    wanted = [(listing.recordings[name], chance.random()) for name in chosen]
    for problem in in_threads(wanted, lambda item: _bad_picture(data_dir, *item)):
        found.look("pictures", problem is None, problem or "")


def _bad_picture(data_dir: str, listed: ListedRecording, place: float) -> str | None:
    """Return what is wrong with the picture at ``place`` (0..1) of a recording; None: nothing."""
    where = listed.recording_id
    try:
        index = read_frames_index(data_dir, where, listed.extraction_id, ["shard", "row", "sha256"])
        if not len(index):
            return None
        frame: Mapping[str, Any] = index.slice(int(place * len(index)), 1).to_pylist()[0]
        where = f"frames/{listed.recording_id}/{listed.extraction_id}/{frame['shard']} row {frame['row']}"
        uri = storage.join(extraction_folder(data_dir, listed.recording_id, listed.extraction_id), frame["shard"])
        with storage.local_copy(uri) as path:
            column = pq.read_table(path, columns=["jpeg"]).column("jpeg")
        if frame["row"] >= len(column):
            return f"{where}: the shard has {len(column)} rows"
        jpeg = column[frame["row"]].as_py()
        decode_jpeg(jpeg)
    except (AdbreakError, pa.ArrowException) as error:
        return f"{where}: {str(error).splitlines()[0]}"
    if frame.get("sha256") and sha256_bytes(jpeg) != frame["sha256"]:
        return f"{where}: the picture is not the one that was extracted"
    return None


def _message(dataset_id: str, problems: Mapping[str, Sequence[str]]) -> str:
    return "\n".join([f"dataset {dataset_id} does not hold what it says:", *_lines(problems)])


def _lines(problems: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for check, told in problems.items():
        for problem in told[:SHOWN]:
            yield f"  {check}: {problem}"
        if len(told) > SHOWN:
            yield f"  {check}: ... and {len(told) - SHOWN} more"
