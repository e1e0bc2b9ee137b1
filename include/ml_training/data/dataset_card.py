"""What a dataset version says of itself, and whether it can be used at all.

require_usable(manifest, splits)                            # DatasetUnusable, with advice
describe(manifest, recordings, splits, notes)["ad_share"]   # {'train': 0.24, 'validation': 0.21, 'test': 0.26}
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_training.cloud import storage
from ml_training.data.manifest import AD, CONTENT, NOT_SCORED, LabelledRecording
from ml_training.data.recordings import UNKNOWN_CHANNEL
from ml_training.data.splits import CHANNELS_NEEDED, SPLITS, SplitRecord
from ml_training.utils.errors import DatasetUnusable
from ml_training.utils.records import Split


def require_usable(manifest: pa.Table, splits: Mapping[str, SplitRecord]) -> None:
    """Raise DatasetUnusable when a split has no recordings, or no frames of one of the two classes."""
    for split in SPLITS:
        names = sorted(name for name, record in splits.items() if record.split == split)
        if not names:
            raise DatasetUnusable(
                f"the split {split} has no recordings: of {len(splits)} labelled recordings at least one for each of "
                "train, validation and test is needed; add recordings, or take a config with more genres or channels",
                split=split,
            )
        counts = _counts(manifest, split)
        for name in ("ad", "content"):
            if not counts[name]:
                raise DatasetUnusable(
                    f"the split {split} has no frames of {name}: its recordings ({', '.join(names[:10])}) need labels "
                    f"of both ad and content{_masked(manifest, split, name)}; label more of them, or add recordings "
                    f"that have {name}",
                    split=split,
                    missing=name,
                )


def _masked(manifest: pa.Table, split: str, name: str) -> str:
    inside = manifest.filter((pc.field("split") == split) & (pc.field("label_name") == name))
    if not len(inside):
        return ""
    return f" ({len(inside)} frames of {name} are masked: what airs there belongs to another split)"


def describe(
    manifest: pa.Table,
    recordings: Mapping[str, LabelledRecording],
    splits: Mapping[str, SplitRecord],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the counts, hours, channels, shares and notes of the card."""
    frames = {split: _counts(manifest, split) for split in SPLITS}
    named = {split: sorted(name for name, record in splits.items() if record.split == split) for split in SPLITS}
    units = sorted({record.unit for record in splits.values()})
    return {
        "recordings": len(recordings),
        "recordings_per_split": named,
        "hours": round(sum(recording.hours for recording in recordings.values()), 4),
        "hours_per_split": {s: round(sum(recordings[name].hours for name in names), 4) for s, names in named.items()},
        "frames": frames,
        "ad_share": {s: round(c["ad"] / (c["ad"] + c["content"]), 4) for s, c in frames.items()},
        "channels_per_split": {s: sorted({splits[name].channel for name in names}) for s, names in named.items()},
        "split_unit": units[0] if len(units) == 1 else "mixed",
        "label_sources": sorted({source for recording in recordings.values() for source in recording.label_sources}),
        "notes": [*_notes(frames, splits, units), *notes],
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


def _counts(manifest: pa.Table, split: str) -> dict[str, int]:
    """Count the frames that are scored, by class, and the others by why they are not."""
    inside = manifest.column("split").to_numpy(zero_copy_only=False) == split
    labels, seen = manifest.column("label").to_numpy(), manifest.column("seen_creative").to_numpy()
    main = inside & ~seen
    return {
        "ad": int(np.sum(main & (labels == AD))),
        "content": int(np.sum(main & (labels == CONTENT))),
        "not_scored": int(np.sum(main & (labels == NOT_SCORED))),
        "seen_creative": int(np.sum(inside & seen)),
    }


def _notes(
    frames: Mapping[Split, Mapping[str, int]], splits: Mapping[str, SplitRecord], units: Sequence[str]
) -> list[str]:
    notes = []
    named = {record.channel for record in splits.values()} - {UNKNOWN_CHANNEL}
    if units == ["recording"]:
        few = (
            f"fewer than {CHANNELS_NEEDED} named channels ({len(named)})"
            if len(named) < CHANNELS_NEEDED
            else "as first seen"
        )
        notes.append(f"split by recording: {few}; the test set shows channels that training has seen")
    elif len(units) > 1:
        alone = sum(record.unit == "recording" for record in splits.values())
        notes.append(f"split by channel, but {alone} recordings by themselves: of unknown channels, or split earlier")
    if frames["test"]["seen_creative"]:
        notes.append(
            f"{frames['test']['seen_creative']} test frames show creatives of other splits: not in the main score"
        )
    return notes
