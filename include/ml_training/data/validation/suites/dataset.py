"""The suite ``dataset``: a dataset version is whole, its splits do not leak, and it is like what the champion learned.

found = tables(Scope("s3://adbreak", dataset_id="4be1…", reference="99ab…"))
found["version"], found["proof"], found["recordings"], found["splits"], found["features"] ...

The rows of the manifest are counted here, by recording, channel, creative and split; the rules look at the counts. So
ten million rows cost no more than their recordings.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.data.creatives.catalogue import read_airings
from ml_training.data.dataset_verification import CHECKS, verify
from ml_training.data.manifest import AD, CONTENT, MANIFEST_SCHEMA, NOT_SCORED
from ml_training.data.recordings import UNKNOWN_CHANNEL
from ml_training.data.splits import SPLITS, SplitRecord, read_split, split_for
from ml_training.data.validation.dataset_frames import FrameColumns, ManifestView, read_coded, read_frames
from ml_training.data.validation.dataset_rules import CHANNELS_COMPARED, rules
from ml_training.data.validation.profiles import Profile, drift_rows, make_profile, read_profile, store_profile
from ml_training.data.validation.scope import Scope, Tables, in_parallel, spread
from ml_training.utils.errors import DataError, DatasetUnusable

__all__ = ["rules", "tables"]

SHARDS_SAMPLED = 64
PICTURES_SAMPLED = 100
MISTAKES_SHOWN = 3
FEATURE_COLUMNS = ["feature", "psi", "by_chance", "excess", "shift"]

Recorded = Mapping[str, tuple[str, str]]  # recording: its recorded split and unit


def tables(scope: Scope) -> Tables:
    """Return the tables of a dataset version. Raises DatasetUnusable when there is no such version."""
    root = scope.data_dir
    dataset_id = scope.dataset_id or newest_dataset(root)
    view = ManifestView(read_coded(root, dataset_id))
    card = storage.read_json(storage.join(root, "datasets", dataset_id, "card.json"))
    data = DataSection.model_validate(card["config"])
    frames = in_parallel(range(len(view.recordings)), lambda at: read_frames(root, view, at))
    records = in_parallel(view.recordings, lambda name: read_split(root, name))
    features, reference_missing = _drift(scope, dataset_id, view, frames)
    version = {
        "dataset_id": dataset_id,
        "missing_columns": missing_columns(root, dataset_id),
        "other_name": int(card.get("dataset_id") != dataset_id),
        "rows": len(view),
        "missing_shards": missing_shards(root, view),
        "reference_missing": reference_missing,
    }
    return {
        "version": pd.DataFrame([version]),
        "proof": proof(root, dataset_id),
        "recordings": summarise_recordings(view, frames, _recorded(view, records, data)),
        "creatives": summarise_creatives(view),
        "airings": summarise_airings(view, frames, read_airings(root).to_pandas()),
        "channels": summarise_channels(view),
        "splits": summarise_splits(view, frames, data.split_shares),
        "features": features,
    }


def _recorded(view: ManifestView, records: list[SplitRecord | None], data: DataSection) -> Recorded:
    """Return the split in which each recording stands for this config, and whether its whole channel does."""
    return {
        name: (split_for(record, data) or "none", record.unit if data.hold_out_channels else "recording")
        for name, record in zip(view.recordings, records, strict=True)
        if record is not None
    }


def proof(data_dir: str, dataset_id: str) -> pd.DataFrame:
    """Return for each check of ``dataset verify`` how much it found wrong, and what."""
    problems: dict[str, list[str]] = {}
    try:
        verify(data_dir, dataset_id, pictures=PICTURES_SAMPLED)
    except DatasetUnusable as error:
        problems = error.facts.get("problems") or {"listing": [error.message]}
    rows = [
        {"check": check, "problems": len(told), "mistake": "; ".join(told[:MISTAKES_SHOWN]) or None}
        for check in dict.fromkeys((*CHECKS, *problems))
        for told in [problems.get(check, [])]
    ]
    return pd.DataFrame(rows)


def newest_dataset(data_dir: str) -> str:
    """Return the id of the dataset version that was built last. Raises DataError when there is none."""
    listed = storage.list_objects(storage.join(data_dir, "datasets") + "/")
    cards = [item for item in listed if item.uri.endswith("/card.json")]
    if not cards:
        raise DataError(f"there is no dataset in {data_dir} to validate: build one first")
    return max(cards, key=lambda item: item.modified).uri.split("/")[-2]


def missing_columns(data_dir: str, dataset_id: str) -> int:
    """Count the columns that readers expect and that the stored file lacks."""
    path = storage.cached_copy(storage.join(data_dir, "datasets", dataset_id, "manifest.parquet"))
    return len(set(MANIFEST_SCHEMA.names) - set(pq.read_schema(path).names))


def missing_shards(data_dir: str, view: ManifestView) -> int:
    """Count, of a sample of the files with pictures, those that are not there."""
    shards = view.shards()
    chosen = [storage.join(data_dir, shards[at]) for at in spread(len(shards), SHARDS_SAMPLED)]
    return in_parallel(chosen, storage.exists).count(False)


def _drift(scope: Scope, dataset_id: str, view: ManifestView, frames: list[FrameColumns]) -> tuple[pd.DataFrame, int]:
    """Compare with the reference; where its data is gone, say so: what was not measured is not a pass."""
    if any(one.unknown for one in frames):
        return pd.DataFrame(columns=FEATURE_COLUMNS, dtype=float), int(scope.reference is not None)
    now = store_profile(scope.data_dir, make_profile(dataset_id, view, frames))
    if scope.reference is None:
        return pd.DataFrame(columns=FEATURE_COLUMNS, dtype=float), 0
    try:
        before: Profile = read_profile(scope.data_dir, scope.reference)
    except DataError:
        return pd.DataFrame(columns=FEATURE_COLUMNS, dtype=float), 1
    features = pd.DataFrame(drift_rows(now, before), columns=FEATURE_COLUMNS)
    return (features.assign(shift=np.nan) if scope.accept_drift else features), 0


def summarise_recordings(view: ManifestView, frames: list[FrameColumns], recorded: Recorded) -> pd.DataFrame:
    """Return a row for each recording: counts of rows that are wrong, in how many splits it and its channel are.

    ``recorded`` maps a recording to its recorded split and unit; only channels that were split as a whole count.
    """
    count = len(view.recordings)
    channel, channels = view.coded("channel")
    firsts = np.array([view.rows_of(at)[0] for at in range(count)], np.int64)
    per_recording = pd.DataFrame(
        {
            "recording_id": view.recordings,
            "channel": [channels[code] if code >= 0 else "" for code in channel[firsts]],
            "split": [view.splits[code] if code >= 0 else "" for code in view.split[firsts]],
            "splits": _distinct(view.recording, view.split, count),
            "unknown_splits": _rows_where(view, ~np.isin(view.split, _codes(view.splits, SPLITS))),
            "wrong_labels": _rows_where(view, ~np.isin(view.label, (AD, CONTENT, NOT_SCORED))),
            "times_not_after": times_not_after(view),
            "pictures_twice": _rows_where(view, pictures_twice(view)),
            "unknown_frames": [one.unknown for one in frames],
            "labelled_share": 1 - _rows_where(view, np.isin(*_unnamed(view))) / np.bincount(view.recording),
        }
    )
    return _beside_record(per_recording, recorded)


def _beside_record(table: pd.DataFrame, recorded: Recorded) -> pd.DataFrame:
    said = table["recording_id"].map({name: split for name, (split, _) in recorded.items()})
    units = table["recording_id"].map({name: unit for name, (_, unit) in recorded.items()})
    whole = (units == "channel") & (table["channel"] != UNKNOWN_CHANNEL)
    per_channel = table[whole].groupby("channel")["split"].nunique()
    return table.assign(
        channel_splits=table["channel"].map(per_channel).where(whole).astype(float),
        unlike_record=(said != table["split"]).astype(int),
    )


def _codes(names: list[str], wanted: Any) -> list[int]:
    return [at for at, name in enumerate(names) if name in wanted]


def _unnamed(view: ManifestView) -> tuple[npt.NDArray[np.int64], list[int]]:
    codes, names = view.coded("label_name")
    return codes, [-1, *_codes(names, ("",))]


def _rows_where(view: ManifestView, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.bincount(view.recording[rows], minlength=len(view.recordings))


def _distinct(groups: npt.NDArray[np.int64], values: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return for each group how many values occur in it."""
    base = int(values.max(initial=0)) + 2
    pairs = np.unique(groups * base + values + 1)
    return np.bincount(pairs // base, minlength=count)


def times_not_after(view: ManifestView) -> npt.NDArray[np.int64]:
    """Count for each recording the rows whose time is negative, missing, or not after that of the row before."""
    order = np.lexsort((np.arange(len(view)), view.recording))
    pts, recording = view.pts[order], view.recording[order]
    bad = ~(pts >= 0)
    bad[1:] |= (recording[1:] == recording[:-1]) & ~(pts[1:] > pts[:-1])
    return np.bincount(recording[bad], minlength=len(view.recordings))


def pictures_twice(view: ManifestView) -> npt.NDArray[np.bool_]:
    """Tell which rows show a picture that another row shows as well."""
    rows = view.numbers("row", fill=-1)
    codes, _ = view.coded("shard_uri")
    pictures = codes * (int(rows.max(initial=0)) + 2) + rows + 1
    _, inverse, counts = np.unique(pictures, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] > 1)


def summarise_creatives(view: ManifestView) -> pd.DataFrame:
    """Return for each creative that the manifest names in how many splits its frames are scored."""
    codes, names = view.coded("creative")
    rows = view.main & (codes >= 0)
    splits = _distinct(codes[rows], view.split[rows], len(names))
    table = pd.DataFrame({"creative": names, "splits": splits})
    return table[(table["creative"] != "") & (table["splits"] > 0)].reset_index(drop=True)


def summarise_airings(view: ManifestView, frames: list[FrameColumns], airings: pd.DataFrame) -> pd.DataFrame:
    """Return for each creative of the catalogue, as it is now, in how many splits frames that show it are scored."""
    numbers = {name: at for at, name in enumerate(view.recordings)}
    found: dict[str, set[int]] = {}
    for recording_id, own in airings.groupby("recording_id"):
        if (at := numbers.get(str(recording_id))) is None:
            continue
        rows = view.rows_of(at)[frames[at].scored & ~frames[at].plain]
        pts, splits = view.pts[rows], view.split[rows]
        for airing in own.itertuples():
            inside = (pts >= airing.start_seconds) & (pts < airing.end_seconds)
            found.setdefault(str(airing.creative_id), set()).update(int(code) for code in np.unique(splits[inside]))
    rows_of_table = [(name, len(splits)) for name, splits in sorted(found.items()) if splits]
    return pd.DataFrame(rows_of_table, columns=["creative", "splits"]).astype({"splits": float})


def summarise_channels(view: ManifestView) -> pd.DataFrame:
    """Return a row for each channel: its share of the scored frames, and the share of ads among its own."""
    codes, names = view.coded("channel")
    ads, content = (
        np.bincount(codes[view.main & (view.label == label) & (codes >= 0)], minlength=len(names))
        for label in (AD, CONTENT)
    )
    table = pd.DataFrame({"channel": names, "ad": ads, "content": content})
    scored = table["ad"] + table["content"]
    several = len(names) >= CHANNELS_COMPARED
    return table.assign(
        share=scored / max(scored.sum(), 1) if several else np.nan,
        ad_share=(table["ad"] / scored.where(scored > 0)).astype(float),
    )


def summarise_splits(view: ManifestView, frames: list[FrameColumns], shares: Mapping[Any, float]) -> pd.DataFrame:
    """Return a row for each split: frames by class, and the shares that the rules look at."""
    return pd.DataFrame([_summarise_split(view, frames, split, shares[split]) for split in SPLITS])


def _summarise_split(view: ManifestView, frames: list[FrameColumns], split: str, wanted: float) -> dict[str, Any]:
    part = np.isin(view.split, _codes(view.splits, (split,)))
    named, names = view.coded("label_name")
    ads, content = (int(np.sum(part & view.main & (view.label == label))) for label in (AD, CONTENT))
    named_ads = int(np.sum(part & np.isin(named, _codes(names, ("ad",)))))
    other = np.isin(named, [at for at, name in enumerate(names) if name not in ("ad", "content", "")])
    rows = int(part.sum())
    return {
        "split": split,
        "frames": rows,
        "recordings": len(np.unique(view.recording[part])),
        "ad": ads,
        "content": content,
        "ad_share": ads / (ads + content) if ads + content else np.nan,
        "off_share": abs(rows / len(view) - wanted) if len(view) else np.nan,
        "ignored_share": float(np.sum(part & other)) / rows if split == "test" and rows else np.nan,
        "masked_share": 1 - ads / named_ads if named_ads else np.nan,
        "seen_picture_share": seen_picture_share(view, frames, split),
    }


def seen_picture_share(view: ManifestView, frames: list[FrameColumns], split: str) -> float:
    """Return the share of a split's scored pictures whose perceptual hash a training picture has too; NaN for train."""
    own, trained = _pictures(view, frames, split), _pictures(view, frames, "train")
    return float(np.isin(own, trained).mean()) if split != "train" and len(own) else np.nan


def _pictures(view: ManifestView, frames: list[FrameColumns], split: str) -> npt.NDArray[np.uint64]:
    code = view.splits.index(split) if split in view.splits else -2
    chosen = [
        one.phash[one.scored & ~one.plain & (view.split[view.rows_of(at)] == code)] for at, one in enumerate(frames)
    ]
    return np.concatenate([np.zeros(0, np.uint64), *chosen])
