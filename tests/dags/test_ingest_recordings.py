"""Sweep, backfill and a batch that breaks, on real recordings in a folder, with the real commands."""

import json
import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest

pytestmark = pytest.mark.airflow

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")
RECORD = """
import sys
import av
import numpy as np
for seed, path in enumerate(sys.argv[1:]):
    with av.open(path, "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        random = np.random.default_rng(seed)
        for second in range(30):
            picture = np.kron(random.integers(30, 220, (8, 12, 3), dtype=np.uint8), np.ones((8, 8, 1), dtype=np.uint8))
            for _ in range(10):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
"""
FRAGILE = """#!{python}
# The Python of the ML environment, whose extraction dies on recordings named in a file; with a ~ only in a batch.
import json, os, sys
spec = json.loads(os.environ.get("ADBREAK_SPEC", "{{}}"))
sources = spec.get("video_source", []) if spec.get("command") == "extract" else []
fragile = [name.lstrip("~") for name in open("{list}").read().split() if len(sources) > 1 or name[0] != "~"]
if any(name in uri for uri in sources for name in fragile):
    os.kill(os.getpid(), 9)
os.execv("{ml}", ["{ml}", *sys.argv[1:]])
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two channels with a recording a day."""
    root = tmp_path / "bucket" / "recordings"
    paths = [root / channel / day / f"{channel}-{day}.ts" for channel in ("one", "two") for day in DAYS]
    for path in paths:
        path.parent.mkdir(parents=True)
    subprocess.run([os.environ["ADBREAK_ML_PYTHON"], "-c", RECORD, *paths], check=True, capture_output=True, timeout=60)
    return root


@pytest.fixture
def run_as(run_dag: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the DAG as the clock or a backfill would."""
    from airflow.models import dagrun
    from airflow.utils.types import DagRunType

    original = dagrun.get_or_create_dagrun

    def run(kind: str, day: str | None = None, **conf: Any) -> Any:
        def made(*, session: Any, **options: Any) -> Any:
            dag_run = original(session=session, **options)
            dag_run.run_type = DagRunType(kind)
            if day:
                start = pendulum.parse(day)
                dag_run.data_interval_start, dag_run.data_interval_end = start, start + timedelta(days=1)  # type: ignore[operator]
            session.commit()
            return dag_run

        monkeypatch.setattr(dagrun, "get_or_create_dagrun", made)
        return run_dag("ingest_recordings", **{"update_creatives": False, **conf})

    return run


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of recordings on which the process of an extraction dies."""
    names, python = tmp_path / "fragile", tmp_path / "python"
    python.write_text(FRAGILE.format(python=sys.executable, ml=os.environ["ADBREAK_ML_PYTHON"], list=names))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    names.touch()
    monkeypatch.setenv("ADBREAK_ML_PYTHON", str(python))
    return names


def with_frames(archive: Path) -> list[str]:
    return sorted(path.parent.name for path in (archive.parent / "frames").glob("*/current.json"))


def test_a_backfill_takes_its_day_checks_it_and_announces_nothing(
    run_as: Any, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workflow import ingest

    monkeypatch.setattr(ingest, "BACKFILL_SUITES", ["frames"])  # each takes ten seconds
    backfill = run_as("backfill", "2026-01-06", channels=["two"])
    assert backfill.state == "success"
    assert with_frames(archive) == ["two-2026-01-06"]
    assert backfill.announced("frames") == []
    assert backfill.state_of("validate_backfill") == ["success"]
    assert backfill.result_of("ingest_report")["recordings"] == {"extracted": 1}

    swept = run_as("scheduled")
    assert "two-2026-01-06" not in swept.announced("frames")[0]["recordings"]
    assert len(swept.announced("frames")[0]["recordings"]) == 5
    assert swept.state_of("validate_backfill") == ["skipped"]


def test_a_sweep_takes_what_is_late_and_a_run_by_hand_what_the_form_names(run_as: Any, archive: Path) -> None:
    by_hand = run_as("manual", from_date="2026-01-07", to_date="2026-01-07", channels=["one"])
    assert by_hand.announced("frames") == [{"recordings": ["one-2026-01-07"]}]
    assert len(run_as("scheduled").announced("frames")[0]["recordings"]) == 5
    late = archive / "one" / "2019-03-01" / "late.ts"
    late.parent.mkdir()
    late.write_bytes((archive / "one" / "2026-01-07" / "one-2026-01-07.ts").read_bytes())
    os.utime(late, (0, 0))
    assert run_as("scheduled").announced("frames") == [{"recordings": ["late"]}]


def test_a_batch_that_breaks_is_done_recording_by_recording(
    run_as: Any, archive: Path, fragile: Path, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workflow import ingest

    monkeypatch.setattr(ingest, "AT_ONCE", 1)
    fragile.write_text("one-2026-01-06")
    broken = run_as("scheduled")
    assert broken.state == "failed"
    assert broken.state_of("extract_frames") == ["failed"]
    assert sorted(broken.state_of("extract_alone")) == ["failed", *["success"] * 5]
    assert len(broken.announced("frames")[0]["recordings"]) == 5
    assert "without frames: one-2026-01-06;" in alerts()[-1]["facts"]["reason"]

    fragile.write_text("")
    mended = run_as("scheduled")
    assert mended.state == "success"
    assert mended.announced("frames") == [{"recordings": ["one-2026-01-06"]}]


def test_what_a_batch_left_behind_is_no_failure_when_it_is_made_good(
    run_as: Any, archive: Path, fragile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workflow import ingest

    monkeypatch.setattr(ingest, "AT_ONCE", 1)
    fragile.write_text("~one-2026-01-06")
    run = run_as("scheduled")
    assert (run.state_of("extract_frames"), run.state) == (["failed"], "success")
    assert len(run.announced("frames")[0]["recordings"]) == 6


def test_a_wrong_place_is_told_and_nothing_else_is_tried(run_as: Any, alerts: Any) -> None:
    run = run_as("manual")
    assert run.state == "failed"
    assert run.announced("frames") == []
    assert {alert["summary"].split(":")[0] for alert in alerts()} == {
        "ingest_recordings.recordings failed", "ingest_recordings.ingest_report failed",
    }  # fmt: skip
    assert "there are no recordings in" in alerts()[0]["facts"]["reason"]


def recordings(*sizes: int) -> list[dict[str, Any]]:
    return [
        {
            "recording_id": f"r{number:04}",
            "uri": f"s3://b/r{number:04}.ts",
            "channel": "one",
            "date": None,
            "bytes": size,
        }
        for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([50], [1]),
        ([50, 50], [1, 1]),
        ([50] * 20, [5, 5, 5, 5]),
        ([10**9, 50, 50, 50], [1, 1, 1, 1]),
        ([40_000_000] * 100, [25, 25, 25, 25]),
        ([40_000_000] * 25, [6, 6, 7, 6]),
        ([1000] * 400, [50] * 8),
        ([0, 0], [2]),
    ],
)
def test_small_recordings_share_a_task_and_long_ones_have_their_own(sizes: list[int], expected: list[int]) -> None:
    from workflow.ingest import batches

    made = batches(recordings(*sizes))
    assert sorted(map(len, made)) == sorted(expected)
    ids = sorted(one["recording_id"] for batch in made for one in batch)
    assert ids == [f"r{number:04}" for number in range(len(sizes))]


def test_however_many_there_are_airflow_can_map_over_the_batches() -> None:
    from workflow.ingest import batches

    assert len(batches(recordings(*[3 * 10**9] * 3000))) == 1000
    assert len(batches(recordings(*[10**6] * 40_000))) == 500


def test_tasks_that_fill_the_cores_take_one_each() -> None:
    from workflow.ingest import extraction_plan

    def workers(*sizes: int) -> list[int | None]:
        scan = {"data_dir": "s3://b", "fps": 1.0, "mode": "exact"}
        return [entry["spec"]["workers"] for entry in extraction_plan({"recordings": recordings(*sizes)}, scan)]

    assert workers(50, 50) == [None, None]
    assert workers(*[50] * 8) == [1] * 4
    assert workers(3 * 10**9, *[50] * 8) == [None, 1, 1, 1, 1]


def test_batches_go_by_channel_and_date_and_say_so() -> None:
    from workflow.ingest import batches, extraction, label_of

    found = [
        {"recording_id": f"{channel}-{day}-{hour}", "uri": f"s3://b/{channel}-{day}-{hour}.ts", "channel": channel,
         "date": day, "bytes": 10}
        for hour in range(2) for day in DAYS[:2] for channel in ("two", "one")
    ]  # fmt: skip
    made = batches(found)
    assert [label_of(batch) for batch in made] == [
        "one 2026-01-05: 2 recordings", "one 2026-01-06: 2 recordings",
        "two 2026-01-05: 2 recordings", "two 2026-01-06: 2 recordings",
    ]  # fmt: skip
    assert label_of(made[0] + made[3]) == "one 2026-01-05 to two 2026-01-06: 4 recordings"
    spec = extraction(made[0], {"data_dir": "s3://b", "fps": 1.0, "mode": "exact"}, workers=1)["spec"]
    assert spec["video_source"] == ["s3://b/one-2026-01-05-0.ts", "s3://b/one-2026-01-05-1.ts"]
    assert json.dumps(spec)


@pytest.mark.parametrize(
    ("earliest", "latest", "days"),
    [
        ("2026-01-05", "2026-01-07", ["2026-01-05", "2026-01-06", "2026-01-07"]),
        ("2026-01-05T13:00", "2026-01-06T23:59:59", ["2026-01-05", "2026-01-06"]),
        ("2026-01-05", "2026-01-05", ["2026-01-05"]),
        ("2026-02-27", "2026-03-02", ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]),
    ],
)
def test_a_backfill_gets_one_run_a_day_and_both_ends(parse: Any, earliest: str, latest: str, days: list[str]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(parse("ingest_recordings")))
    infos = list(dag.iter_dagrun_infos_between(pendulum.parse(earliest), pendulum.parse(latest)))
    assert [info.data_interval.start.isoformat() for info in infos] == [f"{day}T00:00:00+00:00" for day in days]
    assert all(info.data_interval.end - info.data_interval.start == timedelta(days=1) for info in infos)
    assert all(info.run_after == info.data_interval.start for info in infos)  # the run bears the name of its day


def test_a_backfill_does_not_make_the_clock_run_what_it_missed(parse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables import trigger
    from airflow.timetables.base import DataInterval, TimeRestriction

    timetable = DagSerialization.from_dict(DagSerialization.to_dict(parse("ingest_recordings"))).timetable
    now = pendulum.datetime(2026, 3, 4, 2, 31)
    monkeypatch.setattr(trigger, "utcnow", lambda: now)
    restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
    for last, expected in (
        (DataInterval(pendulum.datetime(2026, 1, 5), pendulum.datetime(2026, 1, 6)), now.replace(hour=3, minute=17)),
        (DataInterval.exact(now.replace(minute=17)), now.replace(hour=3, minute=17)),
        (DataInterval.exact(now.replace(hour=1, minute=17)), now.replace(minute=17)),
    ):
        following = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        assert following is not None
        assert following.run_after == expected
