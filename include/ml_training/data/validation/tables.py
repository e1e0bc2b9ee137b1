"""The tables that the suites look at, made from what is stored.

    tables = frames_tables("s3://adbreak", ["news-0105"])
    tables["frames"], tables["recordings"]           # pandas: a row a frame, a row a recording

Rules of one row are columns of the first table (``step_seconds`` is the time since the frame before); rules about a
recording as a whole are columns of the second. A value that does not apply is NaN, which no rule looks at.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ml_training.cloud import storage
from ml_training.data.frames import load_images, read_extraction, read_index
from ml_training.data.labels import labelled_recordings, read_events, resolve
from ml_training.data.manifest import AD, CONTENT, NOT_SCORED, read_manifest
from ml_training.data.recordings import UNKNOWN_CHANNEL
from ml_training.data.splits import SPLITS, read_split
from ml_training.utils.errors import AdbreakError, DataError, ObjectNotFound

PICTURES_SAMPLED = 8  # a recording, spread over its shards
PARALLEL_REQUESTS = 8

Tables = dict[str, pd.DataFrame]
Item = TypeVar("Item")


def extracted_recordings(data_dir: str) -> list[str]:
    """Return the ids of the recordings that have frames, sorted."""
    prefix = storage.join(data_dir, "frames") + "/"
    return sorted(o.uri.split("/")[-2] for o in storage.list_objects(prefix) if o.uri.endswith("/current.json"))


def frames_tables(data_dir: str, recordings: Sequence[str]) -> Tables:
    """Return ``frames`` (a row a frame) and ``recordings`` (a row a recording) of the newest extractions.

    Raises ObjectNotFound for a recording without frames, DataError when there are no recordings.
    """
    if not recordings:
        raise DataError(f"there are no frames in {data_dir} to validate: extract some recordings first")
    loaded = _in_parallel(recordings, lambda name: _load_frames(data_dir, name))
    frames = pd.concat([index for _, index, _ in loaded], ignore_index=True)
    summaries = [summarise_frames(facts, index, bad) for facts, index, bad in loaded]
    return {"frames": add_steps(frames), "recordings": pd.DataFrame(summaries)}


def _load_frames(data_dir: str, recording_id: str) -> tuple[dict[str, Any], pd.DataFrame, int]:
    facts = read_extraction(data_dir, recording_id)
    index = read_index(data_dir, recording_id, facts["extraction_id"]).to_pandas()
    folder = storage.join(data_dir, "frames", recording_id, facts["extraction_id"])
    sample = index.iloc[np.unique(np.linspace(0, max(len(index) - 1, 0), PICTURES_SAMPLED).astype(int))]
    return facts, index, sum(_bad_pictures(folder, shard, rows) for shard, rows in sample.groupby("shard")["row"])


def _bad_pictures(folder: str, shard: Any, rows: Any) -> int:
    bad = 0
    for row in rows:
        try:
            load_images(storage.join(folder, str(shard)), [int(row)])
        except AdbreakError:
            bad += 1
    return bad


def add_steps(frames: pd.DataFrame) -> pd.DataFrame:
    """Add ``step_seconds``: the time since the recording's frame before, NaN for its first."""
    return frames.assign(step_seconds=frames.groupby("recording_id", sort=False)["pts_seconds"].diff())


def summarise_frames(facts: dict[str, Any], index: pd.DataFrame, bad_pictures: int) -> dict[str, Any]:
    """Return one recording's row of the table ``recordings`` of the suite ``frames``."""
    duration = facts["duration_seconds"]
    gaps = [gap["length_seconds"] for gap in facts["gaps"]]
    expected = max((duration - sum(gaps)) * facts["frames_per_second"], 1.0)
    decoded = max((duration - sum(gaps)) * (facts["average_frame_rate"] or 25.0), 1.0)
    repeats = index["phash"].eq(index["phash"].shift()) & (index["motion"] < 0.5)
    return {
        "recording_id": facts["recording_id"],
        "frames": len(index),
        "missing_rows": abs(facts["frame_count"] - len(index)),
        "bad_pictures": bad_pictures,
        "black_share": float(index["is_black"].mean()),
        "frozen_share": float(repeats.mean()),
        "rate_share": len(index) / expected if expected >= 10 else np.nan,  # too short to say
        "longest_gap_seconds": max(gaps, default=0.0),
        "gap_share": sum(gaps) / duration if duration else 0.0,
        "damaged_share": facts["decode_errors"] / decoded,
    }


def labels_tables(data_dir: str, recordings: Sequence[str] | None) -> Tables:
    """Return ``segments``, ``recordings`` and ``all_labels``; recordings without labels are left out.

    ``all_labels`` are those of every recording, also when ``recordings`` names a few. Raises DataError when nothing is
    labelled at all.
    """
    names = labelled_recordings(data_dir)
    if not names:
        raise DataError(f"there are no labels in {data_dir} to validate: import some first")
    loaded = [row for rows in _in_parallel(names, lambda name: _load_labels(data_dir, name)) for row in rows]
    every = pd.DataFrame(loaded)
    chosen = every[every["recording_id"].isin(recordings)] if recordings else every
    segments = add_lengths(chosen.reset_index(drop=True))
    return {"segments": segments, "recordings": summarise_labels(segments), "all_labels": every}


def _load_labels(data_dir: str, recording_id: str) -> list[dict[str, Any]]:
    try:
        duration = float(read_extraction(data_dir, recording_id)["duration_seconds"])
    except ObjectNotFound:
        duration = np.nan
    return [
        {"recording_id": recording_id, "duration_seconds": duration, **segment.model_dump()}
        for segment in resolve(read_events(data_dir, recording_id))
    ]


def add_lengths(segments: pd.DataFrame) -> pd.DataFrame:
    """Add ``length_seconds``, ``past_end_seconds`` (NaN: the end is not known) and ``ad_seconds`` (NaN: no ad)."""
    length = segments["end_seconds"] - segments["start_seconds"]
    return segments.assign(
        length_seconds=length,
        past_end_seconds=segments["end_seconds"] - segments["duration_seconds"],
        ad_seconds=length.where(segments["label"] == "ad"),
    )


def summarise_labels(segments: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each recording: what share of it is labelled, and what share of that is ads."""
    grouped = segments.groupby("recording_id").agg(
        labelled=("length_seconds", "sum"), ads=("ad_seconds", "sum"), duration=("duration_seconds", "first")
    )
    grouped["labelled_share"] = grouped["labelled"] / grouped["duration"]
    grouped["ad_share"] = grouped["ads"] / grouped["labelled"]
    return grouped.reset_index()


def dataset_tables(data_dir: str, dataset_id: str) -> Tables:
    """Return ``manifest``, ``recordings``, ``creatives`` and ``splits`` of a dataset version.

    Raises DatasetUnusable when there is no such version.
    """
    manifest = read_manifest(data_dir, dataset_id).to_pandas()
    card = storage.read_json(storage.join(data_dir, "datasets", dataset_id, "card.json"))
    names = sorted(manifest["recording_id"].unique())
    records = dict(zip(names, _in_parallel(names, lambda name: read_split(data_dir, name)), strict=True))
    recorded = {name: (record.split, record.unit) for name, record in records.items() if record}
    return {
        "manifest": manifest,
        "recordings": summarise_recordings(manifest, recorded),
        "creatives": summarise_creatives(manifest),
        "splits": summarise_splits(manifest, card["config"]["split_shares"]),
    }


def summarise_recordings(manifest: pd.DataFrame, recorded: dict[str, tuple[Any, str]]) -> pd.DataFrame:
    """Return a row for each recording: in how many splits it is and its channel is, and whether that is on record.

    ``recorded`` maps a recording to its recorded split and unit; only channels that were split as a whole count.
    """
    grouped = manifest.groupby("recording_id").agg(
        channel=("channel", "first"), split=("split", "first"), splits=("split", "nunique")
    )
    units = pd.Series({name: unit for name, (_, unit) in recorded.items()}, dtype=object).reindex(grouped.index)
    whole = (units == "channel") & (grouped["channel"] != UNKNOWN_CHANNEL)
    per_channel = grouped[whole].groupby("channel")["split"].nunique()
    grouped["channel_splits"] = grouped["channel"].map(per_channel).where(whole)
    said = pd.Series({name: split for name, (split, _) in recorded.items()}, dtype=object).reindex(grouped.index)
    grouped["unlike_record"] = (said != grouped["split"]).astype(int)
    return grouped.reset_index()


def summarise_creatives(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return for each creative in how many splits its frames are scored."""
    scored = manifest[(manifest["creative"] != "") & (manifest["label"] != NOT_SCORED) & ~manifest["seen_creative"]]
    return scored.groupby("creative").agg(splits=("split", "nunique")).reset_index()


def summarise_splits(manifest: pd.DataFrame, shares: dict[str, float]) -> pd.DataFrame:
    """Return a row for each split: frames by class, and the shares that the rules look at."""
    return pd.DataFrame([_summarise_split(manifest, split, shares[split]) for split in SPLITS])


def _summarise_split(manifest: pd.DataFrame, split: str, wanted: float) -> dict[str, Any]:
    part = manifest[manifest["split"] == split]
    main = part[~part["seen_creative"]]
    ads, content = int((main["label"] == AD).sum()), int((main["label"] == CONTENT).sum())
    named_ads = int((part["label_name"] == "ad").sum())
    other = ~part["label_name"].isin(["ad", "content", ""])
    return {
        "split": split,
        "frames": len(part),
        "ad": ads,
        "content": content,
        "ad_share": ads / (ads + content) if ads + content else np.nan,
        "off_share": abs(len(part) / len(manifest) - wanted) if len(manifest) else np.nan,
        "ignored_share": float(other.mean()) if split == "test" and len(part) else np.nan,
        "masked_share": 1 - ads / named_ads if named_ads else np.nan,
    }


def _in_parallel(names: Sequence[str], work: Callable[[str], Item]) -> list[Item]:
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        return list(pool.map(work, names))
