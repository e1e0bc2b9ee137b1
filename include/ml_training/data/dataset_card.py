"""What a dataset version says of itself, and whether it can be used at all.

counts = Counts()
for rows in tables: counts.add(rows)                       # the rows of a recording at a time
require_usable(counts, recordings_per_split)               # DatasetUnusable, with advice
describe(counts, facts, notes)["ad_share"]                 # {'train': 0.24, 'validation': 0.21, 'test': 0.26}
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ml_training.cloud import storage
from ml_training.data.manifest import AD, CONTENT, NOT_SCORED
from ml_training.data.recordings import UNKNOWN_CHANNEL
from ml_training.data.splits import CHANNELS_NEEDED, SPLITS
from ml_training.utils.errors import DatasetUnusable
from ml_training.utils.records import Split


class UsedRecording(NamedTuple):
    """What the card tells of a recording."""

    recording_id: str
    channel: str
    split: Split
    unit: str  # channel or recording: what its split was decided by
    hours: float
    label_sources: Sequence[str]
    conflict_seconds: float


class Counts:
    """Frames by split: those that are scored, by class, and the others by why they are not."""

    def __init__(self) -> None:
        self.frames: dict[Split, dict[str, int]] = {
            split: {"ad": 0, "content": 0, "not_scored": 0, "seen_creative": 0} for split in SPLITS
        }
        self.named: dict[Split, dict[str, int]] = {split: {"ad": 0, "content": 0} for split in SPLITS}

    def add(self, rows: pa.Table) -> None:
        """Count the rows of one recording."""
        if not len(rows):
            return
        split = rows.column("split")[0].as_py()
        labels, seen = rows.column("label").to_numpy(), rows.column("seen_creative").to_numpy()
        frames = self.frames[split]
        for name, value in (("ad", AD), ("content", CONTENT), ("not_scored", NOT_SCORED)):
            frames[name] += int(np.sum(~seen & (labels == value)))
        frames["seen_creative"] += int(np.sum(seen))
        for name in self.named[split]:
            self.named[split][name] += count_text(rows.column("label_name"), name)

    @property
    def total(self) -> int:
        """All frames."""
        return sum(sum(frames.values()) for frames in self.frames.values())


def count_text(column: pa.ChunkedArray, text: str) -> int:
    """Return how often a text stands in a column of dictionaries."""
    found = 0
    for chunk in column.chunks:
        values = chunk.dictionary.to_pylist()
        if text in values:
            found += int(np.sum(chunk.indices.to_numpy() == values.index(text)))
    return found


def require_usable(counts: Counts, recordings_per_split: Mapping[Split, Sequence[str]]) -> None:
    """Raise DatasetUnusable when a split has no recordings, or no frames of one of the two classes."""
    everyone = sum(len(names) for names in recordings_per_split.values())
    for split in SPLITS:
        names = recordings_per_split[split]
        if not names:
            raise DatasetUnusable(
                f"the split {split} has no recordings: of {everyone} labelled recordings at least one for each of "
                "train, validation and test is needed; add recordings, or take a config with more genres or channels "
                "(a model of one channel needs hold_out_channels: false, and a channel of ten recordings)",
                split=split,
            )
        for name in ("ad", "content"):
            if not counts.frames[split][name]:
                raise DatasetUnusable(
                    f"the split {split} has no frames of {name}: its recordings ({', '.join(names[:10])}) need labels "
                    f"of both ad and content{_masked(counts.named[split][name], name)}; label more of them, or add "
                    f"recordings that have {name}",
                    split=split,
                    missing=name,
                )


def _masked(named: int, name: str) -> str:
    return f" ({named} frames of {name} are masked: what airs there belongs to another split)" if named else ""


def describe(counts: Counts, used: Sequence[UsedRecording], notes: Sequence[str]) -> dict[str, Any]:
    """Return the counts, hours, balance, channels, label sources and notes of the card."""
    per_split = {split: [r for r in used if r.split == split] for split in SPLITS}
    channels = sorted({recording.channel for recording in used})
    frames = counts.frames
    return {
        "recordings": len(used),
        "recordings_per_split": {split: [r.recording_id for r in own] for split, own in per_split.items()},
        "hours": _hours(used),
        "hours_per_split": {split: _hours(own) for split, own in per_split.items()},
        "hours_per_channel": {name: _hours(r for r in used if r.channel == name) for name in channels},
        "frames": frames,
        "ad_share": {split: round(c["ad"] / max(c["ad"] + c["content"], 1), 4) for split, c in frames.items()},
        "channels_per_split": {split: sorted({r.channel for r in own}) for split, own in per_split.items()},
        "split_unit": _unit(used),
        "label_sources": sorted({source for r in used for source in r.label_sources}),
        "label_conflicts": {
            "recordings": sum(r.conflict_seconds > 0 for r in used),
            "seconds": round(sum(r.conflict_seconds for r in used), 1),
        },
        "notes": [*_notes(counts, used), *notes],
    }


def parent_of(data_dir: str, config: Mapping[str, Any]) -> str | None:
    """Return the newest dataset version that was built from the same config, None for the first."""
    listed = storage.list_objects(storage.join(data_dir, "datasets") + "/")
    cards = [item for item in listed if item.uri.endswith("/card.json")]
    for item in sorted(cards, key=lambda item: item.modified, reverse=True):
        card = storage.read_json(item.uri)
        if card["config"] == config:
            return str(card["dataset_id"])
    return None


def _hours(used: Iterable[UsedRecording]) -> float:
    return round(sum(recording.hours for recording in used), 4)


def _unit(used: Sequence[UsedRecording]) -> str:
    units = sorted({recording.unit for recording in used})
    return units[0] if len(units) == 1 else "mixed"


def _notes(counts: Counts, used: Sequence[UsedRecording]) -> list[str]:
    notes = []
    named = {recording.channel for recording in used} - {UNKNOWN_CHANNEL}
    if _unit(used) == "recording":
        few = (
            f"fewer than {CHANNELS_NEEDED} named channels ({len(named)})"
            if len(named) < CHANNELS_NEEDED
            else "as first seen"
        )
        notes.append(f"split by recording: {few}; the test set shows channels that training has seen")
    elif _unit(used) == "mixed":
        alone = sum(recording.unit == "recording" for recording in used)
        notes.append(f"split by channel, but {alone} recordings by themselves: of unknown channels, or split earlier")
    if seen := counts.frames["test"]["seen_creative"]:
        notes.append(f"{seen} test frames show creatives of other splits: not in the main score")
    return notes
