"""Keeps the id of a creative the same for ever, however the catalogue grows.

    names = name_creatives("s3://adbreak", creatives)        # one id for each list of airings

An id is recorded, append-only, with one airing: its anchor. Later the creative that airs there has that id. When two
become one, the id that a person labelled stays, else the older one; a new creative is named by its earliest airing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from ml_training.cloud import storage
from ml_training.data.creatives.grouping import Airing
from ml_training.utils.errors import ObjectExists
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Record

SAME_SHARE = 0.5  # of the longer of anchor and airing


class Anchor(Record):
    """One airing of a creative, recorded with its id when it was first found."""

    creative_id: str
    recording_id: str
    start_seconds: float
    end_seconds: float
    recorded_at: datetime


def read_anchors(data_dir: str) -> list[Anchor]:
    """Return all recorded ids, the oldest first."""
    anchors: list[Anchor] = []
    for item in storage.list_objects(storage.join(data_dir, "creatives", "ids") + "/"):
        if item.uri.endswith(".jsonl"):
            lines = storage.cached_copy(item.uri).read_bytes().splitlines()
            anchors += [Anchor.model_validate_json(line) for line in lines if line]
    return sorted(anchors, key=lambda anchor: (anchor.recorded_at, anchor.creative_id))


def name_creatives(
    data_dir: str, creatives: Sequence[Sequence[Airing]], *, labelled: Collection[str] = ()
) -> list[str]:
    """Return the id of each creative; new ones are recorded."""
    anchors = read_anchors(data_dir)
    names: list[str | None] = [None] * len(creatives)
    places = _places(creatives)
    for anchor in sorted(anchors, key=lambda a: a.creative_id not in labelled):  # stable: oldest first within each
        number = _airs_there(anchor, places)
        if number is not None and names[number] is None:
            names[number] = anchor.creative_id
    taken = {anchor.creative_id for anchor in anchors}
    new = []
    for number, airings in enumerate(creatives):
        if names[number] is None:
            names[number] = _new_name(airings[0], taken)
            taken.add(str(names[number]))
            new.append((str(names[number]), airings[0]))
    _record(data_dir, new)
    return [str(name) for name in names]


def _places(creatives: Sequence[Sequence[Airing]]) -> dict[str, list[tuple[Airing, int]]]:
    places = defaultdict(list)
    for number, airings in enumerate(creatives):
        for airing in airings:
            places[airing.recording_id].append((airing, number))
    return places


def _airs_there(anchor: Anchor, places: dict[str, list[tuple[Airing, int]]]) -> int | None:
    best, best_share = None, SAME_SHARE
    length = anchor.end_seconds - anchor.start_seconds
    for airing, number in places.get(anchor.recording_id, []):
        both = min(airing.end_seconds, anchor.end_seconds) - max(airing.start_seconds, anchor.start_seconds)
        share = both / max(length, airing.end_seconds - airing.start_seconds)
        if share > best_share:
            best, best_share = number, share
    return best


def _new_name(airing: Airing, taken: Collection[str]) -> str:
    names: Iterator[str] = (
        "c" + short_hash([airing.recording_id, round(airing.start_seconds), more])[:15] for more in range(1000)
    )
    return next(name for name in names if name not in taken)


def _record(data_dir: str, new: Sequence[tuple[str, Airing]]) -> None:
    if not new:
        return
    now = datetime.now(UTC)
    lines = "".join(
        Anchor(creative_id=name, recorded_at=now, **airing._asdict()).model_dump_json() + "\n" for name, airing in new
    )
    uri = storage.join(data_dir, "creatives", "ids", f"{short_hash([name for name, _ in new])}.jsonl")
    try:
        storage.write_bytes(uri, lines.encode(), if_absent=True)
    except ObjectExists:
        return
