"""The suite ``dataset``: every rule holds for a good version, and each is broken by what it is there for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from ml_training.data.validation.dataset_frames import FrameColumns, ManifestView
from ml_training.data.validation.profiles import drift_rows, make_profile
from ml_training.data.validation.suites.dataset import (
    rules,
    summarise_airings,
    summarise_channels,
    summarise_creatives,
    summarise_recordings,
    summarise_splits,
)

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
RECORDED = {"a": ("train", "channel"), "b": ("validation", "channel"), "c": ("test", "channel")}
PLAN = (("a", "one", "train", 60), ("b", "two", "validation", 15), ("c", "three", "test", 25))
RECORDED_BOTH = RECORDED | {"a2": ("train", "channel"), "b2": ("validation", "channel"), "c2": ("test", "channel")}
TEXTS = ("recording_id", "channel", "genre", "show", "split", "label_name", "creative", "shard_uri")

Change = Callable[[pd.DataFrame], pd.DataFrame]


def manifest() -> pd.DataFrame:
    """Two recordings for each split, a quarter of their frames ads."""
    parts = []
    for recording, channel, split, count in PLAN:
        for name in (recording, f"{recording}2"):
            labels = np.where(np.arange(count) % 4 == 0, 1, 0).astype(np.int8)
            part = {
                "recording_id": name,
                "channel": channel,
                "genre": "",
                "show": "",
                "split": split,
                "pts_seconds": np.arange(count, dtype=float),
                "label": labels,
                "label_name": np.where(labels == 1, "ad", "content"),
                "creative": np.where(labels == 1, f"ad-{recording}", ""),
                "seen_creative": False,
                "shard_uri": f"frames/{name}/x/frames-00000.parquet",
                "row": range(count),
            }
            parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def view(change: Change | None = None, *, coded: bool = True) -> ManifestView:
    """The manifest as arrays, from texts or from dictionaries of texts."""
    table = pa.Table.from_pandas(change(manifest()) if change else manifest(), preserve_index=False)
    for at, name in enumerate(table.column_names):
        if name in TEXTS:
            column = table.column(name).cast(pa.string())
            table = table.set_column(at, name, column.dictionary_encode() if coded else column)
    return ManifestView(table)


def frames(seen: ManifestView, *, shift: float = 0.0, same_pictures: bool = False) -> list[FrameColumns]:
    """What the indexes would say: a luma for each frame, pictures of its own for each recording."""
    found = []
    for at in range(len(seen.recordings)):
        rows = seen.rows_of(at)
        values = np.random.default_rng(at).normal(100 + shift, 20, len(rows))
        nothing = np.zeros(len(rows), bool)
        found.append(
            FrameColumns(
                scored=seen.main[rows],
                plain=nothing,
                phash=np.arange(len(rows), dtype=np.uint64) + np.uint64(0 if same_pictures else 1000 * at),
                numbers=dict.fromkeys(("luma", "sharpness", "motion", "shot_change", "loudness_lufs"), values),
                categories=dict.fromkeys(("is_black", "is_silent", "source_size"), nothing.astype(np.int64)),
                unknown=0,
            )
        )
    return found


def put(column: str, value: Any, row: int = 2) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table.infer_objects()

    return change


def relabel(split: str, **values: Any) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["split"] == split, list(values)] = list(values.values())
        return table

    return change


def rename(column: str, old: str, new: str) -> Change:
    return lambda table: table.assign(**{column: table[column].replace(old, new)})


def fewer(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["split"] != "train") | (table["pts_seconds"] < 8)].reset_index(drop=True)


def alone(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["recording_id"] != "c2"].reset_index(drop=True)


def version(**changes: int) -> pd.DataFrame:
    facts = {"missing_columns": 0, "other_name": 0, "rows": 200, "missing_shards": 0, "reference_missing": 0}
    return pd.DataFrame([{"dataset_id": "x", **facts, **changes}])


def recordings(change: Change | None = None, recorded: Any = RECORDED_BOTH, unknown: int = 0) -> pd.DataFrame:
    seen = view(change)
    columns = [one._replace(unknown=unknown) for one in frames(seen)]
    return summarise_recordings(seen, columns, recorded)


def creatives(change: Change | None = None) -> pd.DataFrame:
    return summarise_creatives(view(change))


def airings(*aired: tuple[str, str]) -> pd.DataFrame:
    seen = view()
    rows = [
        {"creative_id": creative, "recording_id": recording, "start_seconds": 4.0, "end_seconds": 9.0}
        for creative, recording in aired
    ]
    return summarise_airings(seen, frames(seen), pd.DataFrame(rows))


def channels(change: Change | None = None) -> pd.DataFrame:
    return summarise_channels(view(change))


def splits(change: Change | None = None, **options: Any) -> pd.DataFrame:
    seen = view(change)
    return summarise_splits(seen, frames(seen, **options), SHARES)


def features(shift: float = 0.0) -> pd.DataFrame:
    """Drift of many recordings, where chance alone gives little."""
    seen = view()
    now, before = (make_profile("x", seen, frames(seen, shift=by)) for by in (shift, 0.0))
    many = {"recordings": 2000}
    return pd.DataFrame(drift_rows(now.model_copy(update=many), before.model_copy(update=many)))


BROKEN: dict[tuple[str, str], Callable[[], pd.DataFrame]] = {
    ("version", "columns"): lambda: version(missing_columns=1),
    ("version", "card_is_its_own"): lambda: version(other_name=1),
    ("version", "has_rows"): lambda: version(rows=0),
    ("version", "pictures_there"): lambda: version(missing_shards=1),
    ("version", "drift_measured"): lambda: version(reference_missing=1),
    ("proof", "verified"): lambda: pd.DataFrame([{"check": "leaks", "problems": 1, "mistake": "soap-7"}]),
    ("recordings", "recording_once"): lambda: pd.concat([recordings(), recordings()], ignore_index=True),
    ("recordings", "recording_in_one_split"): lambda: recordings(put("split", "test")),
    ("recordings", "channel_in_one_split"): lambda: recordings(rename("channel", "three", "one")),
    ("recordings", "split_as_recorded"): lambda: recordings(recorded=RECORDED_BOTH | {"a": ("test", "channel")}),
    ("recordings", "split_known"): lambda: recordings(put("split", "holdout")),
    ("recordings", "label_value"): lambda: recordings(put("label", 2)),
    ("recordings", "frame_once"): lambda: recordings(put("pts_seconds", 1.0)),
    ("recordings", "picture_once"): lambda: recordings(put("row", 1)),
    ("recordings", "frames_there"): lambda: recordings(unknown=1),
    ("recordings", "mostly_labelled"): lambda: recordings(relabel("test", label_name="", label=-1)),
    ("creatives", "creative_in_one_split"): lambda: creatives(rename("creative", "ad-c", "ad-a")),
    ("airings", "airing_in_one_split"): lambda: airings(("soap", "a"), ("soap", "c")),
    ("channels", "no_channel_prevails"): lambda: channels(lambda t: t[(t["split"] == "train") | (t["row"] < 4)]),
    ("channels", "channel_ad_share"): lambda: channels(relabel("train", label=1)),
    ("splits", "has_ads"): lambda: splits(relabel("test", label=0, label_name="content")),
    ("splits", "has_content"): lambda: splits(relabel("test", label=1, label_name="ad")),
    ("splits", "several_recordings"): lambda: splits(alone),
    ("splits", "ad_share"): lambda: splits(relabel("train", label=1)),
    ("splits", "balanced"): lambda: splits(fewer),
    ("splits", "rarely_ignored"): lambda: splits(relabel("test", label=-1, label_name="promo")),
    ("splits", "rarely_masked"): lambda: splits(relabel("train", label=-1)),
    ("splits", "pictures_unseen"): lambda: splits(same_pictures=True),
    ("features", "little_drift"): lambda: features(12.0),
    ("features", "no_large_drift"): lambda: features(30.0),
}


def good(table: str) -> pd.DataFrame:
    tables: dict[str, Callable[[], pd.DataFrame]] = {
        "version": version,
        "proof": lambda: pd.DataFrame([{"check": "leaks", "problems": 0, "mistake": None}]),
        "recordings": recordings,
        "creatives": creatives,
        "airings": lambda: airings(("soap", "a"), ("soap", "a2"), ("car", "b")),
        "channels": channels,
        "splits": splits,
        "features": features,
    }
    return tables[table]()


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert [(table, rule.meta["name"]) for table, found in rules().items() for rule in found] == list(BROKEN)


@pytest.mark.parametrize("case", BROKEN, ids="-".join)
def test_a_rule_holds_for_good_data_and_not_for_bad(case: tuple[str, str], check_rule: Any) -> None:
    check_rule(rules()[case[0]], case[1], good(case[0]), BROKEN[case]())


def test_texts_and_dictionaries_of_texts_are_read_alike() -> None:
    plain, coded = view(coded=False), view(coded=True)
    assert plain.recordings == coded.recordings
    np.testing.assert_array_equal(plain.split, coded.split)
    assert plain.counts("channel", plain.main) == coded.counts("channel", coded.main)
    assert plain.folder_of(0) == "frames/a/x"


def test_a_small_shift_is_told_and_does_not_stop(check_rule: Any) -> None:
    moved = features(12.0)
    luma = moved[moved["feature"] == "luma"].iloc[0]
    assert 0.25 < luma["psi"] < 1, "a shift of 0.6 standard deviations gives about 0.36"
    check_rule(rules()["features"], "no_large_drift", moved, BROKEN["features", "no_large_drift"]())


def test_a_new_channel_is_told_and_does_not_stop() -> None:
    seen, other = view(), view(rename("channel", "one", "four"))
    now, before = (make_profile("x", one, frames(one)).model_copy(update={"recordings": 2000}) for one in (other, seen))
    channel = next(row for row in drift_rows(now, before) if row["feature"] == "channel")
    assert channel["excess"] > 0.25
    assert np.isnan(channel["shift"])


def test_what_is_masked_or_ignored_leaks_nothing() -> None:
    shared = rename("creative", "ad-c", "ad-a")
    masked = creatives(lambda t: shared(t).assign(seen_creative=(t["split"] == "test") & (t["label"] == 1)))
    assert masked[masked["creative"] == "ad-a"]["splits"].tolist() == [1]
