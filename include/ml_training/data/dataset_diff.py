"""What changed from one dataset version to another.

diff("s3://adbreak", "4be1…", "71c0…")["recordings"]["added"]
diff(...)["relabelled_seconds"]                     # {'content > ad': 31.2}
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_training.cloud import storage
from ml_training.data.dataset_listing import ListedRecording, Listing, read_listing
from ml_training.data.label_resolution import segment_numbers
from ml_training.utils.errors import AdbreakError, DatasetUnusable, ObjectNotFound

NAMES_SHOWN = 50
UNLABELLED = "none"


def diff(data_dir: str, dataset_id: str, other_id: str) -> dict[str, Any]:
    """Return what the version ``other_id`` has that ``dataset_id`` has otherwise.

    ``config`` (key: [before, after]), ``recordings`` (added, removed, extracted again, moved to another split,
    relabelled), ``relabelled_seconds`` by ``before > after``, ``creatives`` (added, removed, moved), ``frames`` and
    ``hours`` (after minus before). Raises DatasetUnusable when one of the two is not there.
    """
    before, after = read_listing(data_dir, dataset_id), read_listing(data_dir, other_id)
    cards = _read_card(data_dir, dataset_id), _read_card(data_dir, other_id)
    return {"from": dataset_id, "to": other_id, **compare(before, after), **compare_cards(*cards)}


def summarise(data_dir: str, parent: str | None, listing: Listing, card: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what changed since the parent, for the card: ``diff`` with at most 50 names of each kind."""
    if parent is None:
        return None
    try:
        changes = compare(read_listing(data_dir, parent), listing)
        changes |= compare_cards(_read_card(data_dir, parent), card)
    except (AdbreakError, KeyError) as error:
        return {"unknown": f"the parent cannot be read: {error}"}
    for group in ("recordings", "creatives"):
        changes[group] = {kind: _shortened(names) for kind, names in changes[group].items()}
    return changes


def compare(before: Listing, after: Listing) -> dict[str, Any]:
    """Return what two listings have otherwise."""
    old, new = before.data.model_dump(mode="json"), after.data.model_dump(mode="json")
    common = [name for name in after.recordings if name in before.recordings]
    pairs = [(before.recordings[name], after.recordings[name]) for name in common]
    seconds: dict[str, float] = defaultdict(float)
    for one, other in pairs:
        for change, length in _relabelled(one, other).items():
            seconds[change] += length
    both = [name for name in after.creatives if name in before.creatives]
    return {
        "config": {key: [old.get(key), new.get(key)] for key in sorted({*old, *new}) if old.get(key) != new.get(key)},
        "recordings": {
            "added": [name for name in after.recordings if name not in before.recordings],
            "removed": [name for name in before.recordings if name not in after.recordings],
            "extracted_again": [a.recording_id for a, b in pairs if a.extraction_id != b.extraction_id],
            "moved": [a.recording_id for a, b in pairs if a.split != b.split],
            "relabelled": [a.recording_id for a, b in pairs if a.segments != b.segments],
        },
        "relabelled_seconds": {change: round(length, 3) for change, length in sorted(seconds.items())},
        "creatives": {
            "added": [name for name in after.creatives if name not in before.creatives],
            "removed": [name for name in before.creatives if name not in after.creatives],
            "moved": [name for name in both if before.creatives[name].split != after.creatives[name].split],
        },
    }


def compare_cards(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return by how much frames and hours differ."""
    return {
        "frames": {
            split: {name: counts[name] - before["frames"][split][name] for name in counts}
            for split, counts in after["frames"].items()
        },
        "hours": round(after["hours"] - before["hours"], 4),
    }


def _relabelled(before: ListedRecording, after: ListedRecording) -> dict[str, float]:
    """Return the seconds of each change of label in one recording."""
    if before.segments == after.segments:
        return {}
    times = {time for listed in (before, after) for start, end, *_ in listed.segments for time in (start, end)}
    bounds = np.array(sorted(times))
    middles = (bounds[:-1] + bounds[1:]) / 2
    found: dict[str, float] = defaultdict(float)
    sides = [(listed.labels, segment_numbers(listed.labels, middles)) for listed in (before, after)]
    for at, length in enumerate(np.diff(bounds)):
        one, other = (labels[numbers[at]].label if numbers[at] >= 0 else UNLABELLED for labels, numbers in sides)
        if one != other:
            found[f"{one} > {other}"] += float(length)
    return found


def _shortened(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "names": names[:NAMES_SHOWN]}


def _read_card(data_dir: str, dataset_id: str) -> dict[str, Any]:
    try:
        return dict(storage.read_json(storage.join(data_dir, "datasets", dataset_id, "card.json")))
    except ObjectNotFound as error:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id") from error
