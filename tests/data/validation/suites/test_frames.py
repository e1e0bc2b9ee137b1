"""The suite ``frames``: every rule holds for a good index, and each is broken by what it is there for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ml_training.data.frames import INDEX_SCHEMA
from ml_training.data.validation.stored import Stored
from ml_training.data.validation.suites.frames import add_steps, rules, summarise, unexplained_gap

COUNT = 20
FACTS: dict[str, Any] = {
    "recording_id": "a",
    "duration_seconds": 20.0,
    "gaps": [],
    "frames_per_second": 1.0,
    "frame_count": COUNT,
}


def index(count: int = COUNT, **columns: Any) -> pd.DataFrame:
    table = pd.DataFrame(
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
            "sha256": [f"{n:064x}" for n in range(count)],
            "loudness_lufs": -23.0,
            "is_silent": False,
            "shot_change": 0.1,
        }
    ).assign(**columns)
    return table[[*INDEX_SCHEMA.names, *(name for name in table if name not in INDEX_SCHEMA.names)]]


def rows(column: str, value: Any, row: int = 2) -> Callable[[], pd.DataFrame]:
    """Rows with one cell changed."""

    def change() -> pd.DataFrame:
        table = index()
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return add_steps(table.infer_objects())

    return change


def summary(
    table: pd.DataFrame | None = None, bad: int = 0, altered: int = 0, mistakes: list[str] | None = None, **facts: Any
) -> Callable[[], pd.DataFrame]:
    stored = Stored("a", FACTS | facts, index() if table is None else table, [], mistakes or [], "")
    return lambda: pd.DataFrame([summarise(stored, bad, altered)])


def twice() -> pd.DataFrame:
    return pd.concat([summary()(), summary()()], ignore_index=True)


LATE = index(pts_seconds=np.append(np.arange(COUNT - 1.0), 25.0))
FROZEN = index(phash="0" * 16, motion=0.0)
LONG_FROZEN = pd.concat([FROZEN] * 3, ignore_index=True)
SLOW = index(phash=[f"{n // 3:016x}" for n in range(COUNT)], motion=0.1)
HOLE = index(pts_seconds=[*range(10), *range(15, 25)])

BROKEN: dict[tuple[str, str], Callable[[], pd.DataFrame]] = {
    ("frames", "recording_id_filled"): rows("recording_id", None),
    ("frames", "pts_seconds_filled"): rows("pts_seconds", None),
    ("frames", "time_not_negative"): rows("pts_seconds", -0.5, 0),
    ("frames", "time_increases"): rows("pts_seconds", 1.0),
    ("frames", "numbers_follow"): rows("frame_index", 7),
    ("frames", "shard_form"): rows("shard", "other.parquet"),
    ("frames", "row_not_negative"): rows("row", -1),
    ("frames", "one_picture_a_frame"): rows("row", 1),
    ("frames", "luma_range"): rows("luma", 256.0),
    ("frames", "motion_range"): rows("motion", -1.0),
    ("frames", "sharpness_range"): rows("sharpness", -1.0),
    ("frames", "shot_change_range"): rows("shot_change", 1.5),
    ("frames", "width_range"): rows("width", 0),
    ("frames", "height_range"): rows("height", 10_000),
    ("frames", "phash_form"): rows("phash", "xyz"),
    ("frames", "sha256_form"): rows("sha256", "xyz"),
    ("recordings", "recording_once"): twice,
    ("recordings", "index_readable"): summary(mistakes=["column luma is missing"]),
    ("recordings", "numbers_from_0"): summary(index(frame_index=range(1, COUNT + 1))),
    ("recordings", "all_rows"): summary(frame_count=21),
    ("recordings", "has_frames"): summary(index(0), frame_count=0),
    ("recordings", "pictures_decode"): summary(bad=1),
    ("recordings", "pictures_unaltered"): summary(altered=1),
    ("recordings", "within_recording"): summary(LATE),
    ("recordings", "frame_rate"): summary(duration_seconds=40.0),
    ("recordings", "gaps_on_record"): summary(HOLE, duration_seconds=25.0),
    ("recordings", "not_all_black"): summary(index(is_black=True)),
    ("recordings", "rarely_black"): summary(index(is_black=[True, False] * 10)),
    ("recordings", "not_frozen"): summary(LONG_FROZEN, duration_seconds=60.0, frame_count=60),
    ("recordings", "rarely_frozen"): summary(SLOW),
}


def good(table: str) -> pd.DataFrame:
    return add_steps(index()) if table == "frames" else summary()()


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert [(table, rule.meta["name"]) for table, found in rules().items() for rule in found] == list(BROKEN)


@pytest.mark.parametrize("case", BROKEN, ids="-".join)
def test_a_rule_holds_for_good_data_and_not_for_bad(case: tuple[str, str], check_rule: Any) -> None:
    check_rule(rules()[case[0]], case[1], good(case[0]), BROKEN[case]())


def test_a_gap_on_record_explains_missing_frames() -> None:
    times = HOLE["pts_seconds"].to_numpy(float)
    known = [{"at_seconds": 9.5, "length_seconds": 5.2}]
    assert unexplained_gap(FACTS | {"duration_seconds": 25.0}, times) == pytest.approx(4)
    assert unexplained_gap(FACTS | {"duration_seconds": 25.0, "gaps": known}, times) == 0


def test_keyframes_come_when_they_come() -> None:
    sparse = summary(index(3, pts_seconds=[0.0, 4.0, 15.0]), mode="keyframes", frame_count=3)()
    assert sparse[["rate_share", "unexplained_gap_seconds"]].isna().all(axis=None)


def test_an_index_of_before_sound_was_measured_breaks_nothing(check_rule: Any) -> None:
    older = add_steps(index(sha256=None, shot_change=np.nan))
    for name in ("sha256_form", "shot_change_range"):
        check_rule(rules()["frames"], name, older, BROKEN["frames", name]())
