"""Every expectation holds for good data and is broken by the data that it is there for."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ml_training.data.frames import INDEX_SCHEMA
from ml_training.data.manifest import MANIFEST_SCHEMA
from ml_training.data.validation.checkpoint import error_of
from ml_training.data.validation.engine import gx
from ml_training.data.validation.suites import suite_expectations
from ml_training.data.validation.tables import (
    add_lengths,
    add_steps,
    summarise_creatives,
    summarise_frames,
    summarise_labels,
    summarise_recordings,
    summarise_splits,
)

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
FACTS = {
    "recording_id": "a",
    "duration_seconds": 20.0,
    "gaps": [{"at_seconds": 3.0, "length_seconds": 1.0}],
    "frames_per_second": 1.0,
    "average_frame_rate": 25.0,
    "frame_count": 20,
    "decode_errors": 0,
}


def frames() -> pd.DataFrame:
    count = 20
    return pd.DataFrame(
        {
            "recording_id": "a",
            "frame_index": range(count),
            "pts_seconds": np.arange(count, dtype=float),
            "shard": "frames-00000.parquet",
            "row": range(count),
            "luma": 100.0,
            "sharpness": 50.0,
            "motion": 5.0,
            "phash": [f"{n:016x}" for n in range(count)],
            "is_black": False,
            "width": 640,
            "height": 360,
        }
    )[INDEX_SCHEMA.names]


def segments() -> pd.DataFrame:
    times = [(0.0, 70.0, "content"), (70.0, 90.0, "ad"), (90.0, 100.0, "content")]
    rows = [
        {"recording_id": "a", "duration_seconds": 100.0, "start_seconds": s, "end_seconds": e, "label": n}
        for s, e, n in times
    ]
    return pd.DataFrame(rows)


def manifest() -> pd.DataFrame:
    parts = []
    for recording, channel, split, count in (
        ("a", "one", "train", 60),
        ("b", "two", "validation", 15),
        ("c", "three", "test", 25),
    ):
        labels = np.where(np.arange(count) % 4 == 0, 1, 0)
        part = {
            "recording_id": recording,
            "channel": channel,
            "genre": "",
            "show": "",
            "split": split,
            "pts_seconds": np.arange(count, dtype=float),
            "label": labels,
            "label_name": np.where(labels == 1, "ad", "content"),
            "creative": np.where(labels == 1, f"ad-{recording}", ""),
            "seen_creative": False,
            "shard_uri": f"frames/{recording}/x/frames-00000.parquet",
            "row": range(count),
        }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)[MANIFEST_SCHEMA.names]


RECORDED = {"a": ("train", "channel"), "b": ("validation", "channel"), "c": ("test", "channel")}


def good(suite: str, table: str) -> pd.DataFrame:
    makers: dict[tuple[str, str], Callable[[], pd.DataFrame]] = {
        ("frames", "frames"): lambda: add_steps(frames()),
        ("frames", "recordings"): lambda: pd.DataFrame([summarise_frames(FACTS, frames(), 0)]),
        ("labels", "segments"): lambda: add_lengths(segments()),
        ("labels", "recordings"): lambda: summarise_labels(add_lengths(segments())),
        ("labels", "all_labels"): segments,
        ("dataset", "manifest"): manifest,
        ("dataset", "recordings"): lambda: summarise_recordings(manifest(), RECORDED),
        ("dataset", "creatives"): lambda: summarise_creatives(manifest()),
        ("dataset", "splits"): lambda: summarise_splits(manifest(), SHARES),
    }
    return makers[suite, table]()


def put(column: str, value: Any, row: int = 2) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A change of one cell."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.copy()
        table[column] = table[column].astype(object)
        table.loc[min(row, len(table) - 1), column] = value
        return table.infer_objects()

    return change


def frame_change(column: str, value: Any, row: int = 2) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda _: add_steps(put(column, value, row)(frames()))


def summary(index: pd.DataFrame | None = None, bad: int = 0, **facts: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda _: pd.DataFrame([summarise_frames(FACTS | facts, frames() if index is None else index, bad)])


def segment_change(column: str, value: Any, row: int = 1) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda _: add_lengths(put(column, value, row)(segments()))


def label_summary(column: str, value: Any, row: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda _: summarise_labels(add_lengths(put(column, value, row)(segments())))


def recordings_of(
    change: Callable[[pd.DataFrame], pd.DataFrame], recorded: Any = RECORDED
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda _: summarise_recordings(change(manifest()), recorded)


def splits_of(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda _: summarise_splits(change(manifest()), SHARES)


def relabel(split: str, **values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["split"] == split, list(values)] = list(values.values())
        return table

    return change


def two_channels(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(channel=table["channel"].replace("three", "one"))


def shared_creative(_: pd.DataFrame) -> pd.DataFrame:
    table = manifest()
    return summarise_creatives(table.assign(creative=table["creative"].replace("ad-c", "ad-a")))


BLACK = frames().assign(is_black=True)
HALF_BLACK = frames().assign(is_black=[True, False] * 10)
FROZEN = frames().assign(phash="0" * 16, motion=0.0)
SLOW = frames().assign(phash=[f"{n // 3:016x}" for n in range(20)], motion=0.1)
LONG_FROZEN = pd.concat([FROZEN] * 3, ignore_index=True)

BROKEN: dict[tuple[str, str, str], Callable[[pd.DataFrame], pd.DataFrame]] = {
    ("frames", "frames", "columns"): lambda table: table.drop(columns="shard"),
    ("frames", "frames", "recording_id_filled"): frame_change("recording_id", None),
    ("frames", "frames", "pts_seconds_filled"): frame_change("pts_seconds", np.nan),
    ("frames", "frames", "time_not_negative"): frame_change("pts_seconds", -1.0, 0),
    ("frames", "frames", "time_increases"): frame_change("pts_seconds", 1.0),
    ("frames", "frames", "one_picture_a_frame"): frame_change("row", 1),
    ("frames", "frames", "luma_range"): frame_change("luma", 256.0),
    ("frames", "frames", "motion_range"): frame_change("motion", -0.1),
    ("frames", "frames", "sharpness_range"): frame_change("sharpness", -1.0),
    ("frames", "frames", "width_range"): frame_change("width", 0),
    ("frames", "frames", "height_range"): frame_change("height", 10_000),
    ("frames", "frames", "phash_form"): frame_change("phash", "xyz"),
    ("frames", "recordings", "recording_once"): lambda table: pd.concat([table, table], ignore_index=True),
    ("frames", "recordings", "all_rows"): summary(frame_count=21),
    ("frames", "recordings", "has_frames"): put("frames", 0),
    ("frames", "recordings", "pictures_decode"): summary(bad=1),
    ("frames", "recordings", "not_all_black"): summary(BLACK),
    ("frames", "recordings", "rarely_black"): summary(HALF_BLACK),
    ("frames", "recordings", "not_frozen"): summary(LONG_FROZEN),
    ("frames", "recordings", "rarely_frozen"): summary(SLOW),
    ("frames", "recordings", "frame_rate"): summary(duration_seconds=40.0),
    ("frames", "recordings", "longest_gap"): summary(
        duration_seconds=200.0, gaps=[{"at_seconds": 1.0, "length_seconds": 61.0}]
    ),
    ("frames", "recordings", "gap_share"): summary(gaps=[{"at_seconds": 1.0, "length_seconds": 11.0}]),
    ("frames", "recordings", "rarely_damaged"): summary(decode_errors=50),
    ("labels", "segments", "label_filled"): segment_change("label", None),
    ("labels", "segments", "label_known"): segment_change("label", "advert"),
    ("labels", "segments", "start_not_negative"): segment_change("start_seconds", -1.0, 0),
    ("labels", "segments", "end_after_start"): segment_change("end_seconds", 70.0),
    ("labels", "segments", "within_recording"): segment_change("end_seconds", 101.5, 2),
    ("labels", "segments", "ad_not_long"): segment_change("end_seconds", 700.0),
    ("labels", "segments", "ad_not_short"): segment_change("end_seconds", 72.0),
    ("labels", "recordings", "mostly_labelled"): label_summary("end_seconds", 5.0, 0),
    ("labels", "recordings", "plausible_ad_share"): label_summary("label", "ad", 0),
    ("labels", "all_labels", "both_classes"): lambda table: table[table["label"] == "ad"],
    ("dataset", "manifest", "columns"): lambda table: table.drop(columns="creative"),
    ("dataset", "manifest", "split_known"): put("split", "holdout"),
    ("dataset", "manifest", "label_value"): put("label", 2),
    ("dataset", "manifest", "time_not_negative"): put("pts_seconds", -1.0),
    ("dataset", "manifest", "frame_once"): put("pts_seconds", 1.0),
    ("dataset", "manifest", "picture_once"): put("row", 1),
    ("dataset", "recordings", "recording_in_one_split"): recordings_of(put("split", "test")),
    ("dataset", "recordings", "channel_in_one_split"): recordings_of(two_channels),
    ("dataset", "recordings", "split_as_recorded"): recordings_of(lambda t: t, RECORDED | {"a": ("test", "channel")}),
    ("dataset", "creatives", "creative_in_one_split"): shared_creative,
    ("dataset", "splits", "has_ads"): splits_of(relabel("test", label=0, label_name="content")),
    ("dataset", "splits", "has_content"): splits_of(relabel("test", label=1, label_name="ad")),
    ("dataset", "splits", "ad_share"): splits_of(relabel("train", label=1)),
    ("dataset", "splits", "balanced"): splits_of(lambda t: t[(t["split"] != "train") | (t["pts_seconds"] < 15)]),
    ("dataset", "splits", "rarely_ignored"): splits_of(relabel("test", label=-1, label_name="promo")),
    ("dataset", "splits", "rarely_masked"): splits_of(relabel("train", label=-1)),
}


@pytest.fixture(scope="module")
def holds() -> Iterator[Callable[[Any, pd.DataFrame], bool]]:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batches = context.data_sources.add_pandas("p").add_dataframe_asset("t").add_batch_definition_whole_dataframe("b")

    def check(rule: Any, table: pd.DataFrame) -> bool:
        result = batches.get_batch({"dataframe": table}).validate(rule)
        assert error_of(result) is None, "a rule that cannot be checked proves nothing"
        return bool(result.success)

    return check


def rules() -> dict[tuple[str, str, str], Any]:
    found = {}
    for suite in ("frames", "labels", "dataset"):
        for table, items in suite_expectations(suite).items():
            found |= {(suite, table, rule.meta["name"]): rule for rule in items}
    return found


RULES = rules()


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert set(BROKEN) == set(RULES)
    assert {rule.meta["severity"] for rule in RULES.values()} == {"stop", "quarantine", "warn"}


@pytest.mark.parametrize("case", BROKEN, ids="-".join)
def test_a_rule_holds_for_good_data_and_not_for_bad(case: tuple[str, str, str], holds: Any) -> None:
    table = good(case[0], case[1])
    assert holds(RULES[case], table)
    assert not holds(RULES[case], BROKEN[case](table))
