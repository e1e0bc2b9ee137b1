"""A backfill on a real scheduler, by REST and by the command line: exactly its days, in its order, and nothing else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "include"))

from local_stack.airflow_api import ApiError  # noqa: E402
from local_stack.recordings import file_sha256  # noqa: E402
from local_stack.services import BUCKET  # noqa: E402
from local_stack.stack import prepare_services, start_ingestion  # noqa: E402
from local_stack.supervisor import Supervisor  # noqa: E402
from local_stack.workplace import Workplace  # noqa: E402

DAG = "ingest_recordings"
DAYS = ("2026-01-04", "2026-01-05", "2026-01-06", "2026-01-07")
SECONDS = 600  # a loaded machine takes five times as long as a quiet one
RECORD = """
import sys
import av
import numpy as np
for seed, path in enumerate(sys.argv[1:]):
    with av.open(path, "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        random = np.random.default_rng(seed)
        for second in range(30):
            tiles = random.integers(30, 220, (24, 32, 3), dtype=np.uint8)
            picture = np.kron(tiles, np.ones((10, 10, 1), dtype=np.uint8))
            for _ in range(10):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The bucket and Airflow, with an archive of two channels where the hourly sweep does not look."""
    place = Workplace(tmp_path_factory.mktemp("stack") / "state")
    place.prepare()
    folder = place.state / "archive"
    paths = [folder / channel / day / f"{channel}-{day}.ts" for channel in ("one", "two") for day in DAYS]
    for path in paths:
        path.parent.mkdir(parents=True)
    subprocess.run([place.python("ml"), "-c", RECORD, *paths], check=True, capture_output=True, timeout=120)
    with Supervisor(place) as supervisor:
        stack = start_ingestion(supervisor, prepare_services(place), say=lambda line: None)
        for path in paths:
            stack.bucket.upload(path, f"archive/{path.relative_to(folder).as_posix()}", file_sha256(place, path))
        yield stack


def finish(stack, backfill_id):
    """Wait until a backfill has ended; return its runs in the order in which they started."""
    deadline = time.monotonic() + SECONDS
    while True:
        runs = [run for run in stack.api.runs(DAG) if run["run_type"] == "backfill"]
        if runs and all(run["state"] in ("success", "failed") for run in runs):
            return sorted(runs, key=lambda run: run["start_date"])
        assert time.monotonic() < deadline, runs
        stack.supervisor.check()
        time.sleep(1)


def with_frames(stack):
    listing = stack.bucket._client.list_objects_v2(Bucket=BUCKET, Prefix="frames/")
    return sorted(item["Key"].split("/")[1] for item in listing.get("Contents", []) if "current" in item["Key"])


@pytest.mark.end_to_end
@pytest.mark.timeout(SECONDS + 120)
def test_a_backfill_by_rest_takes_exactly_its_days_in_reverse_and_sets_off_nothing(stack):
    options = {
        "run_backwards": True,
        "max_active_runs": 1,
        "dag_run_conf": {"source": f"s3://{BUCKET}/archive/"},
    }
    planned = stack.api.backfill_dry_run(DAG, DAYS[1], DAYS[2], **options)
    assert [date[:10] for date in planned] == [DAYS[2], DAYS[1]]
    assert with_frames(stack) == []

    backfill = stack.api.backfill(DAG, DAYS[1], DAYS[2], **options)
    with pytest.raises(ApiError, match="already a running backfill"):
        stack.api.backfill(DAG, DAYS[0], DAYS[0], **options)
    runs = finish(stack, backfill["id"])
    assert [run["state"] for run in runs] == ["success", "success"]
    assert [run["logical_date"][:10] for run in runs] == [DAYS[2], DAYS[1]]
    assert runs[0]["end_date"] <= runs[1]["start_date"]
    assert with_frames(stack) == sorted(f"{channel}-{day}" for channel in ("one", "two") for day in DAYS[1:3])
    for run in runs:
        states = {task["task_id"]: task["state"] for task in stack.api.tasks(DAG, run["dag_run_id"])}
        assert (states["frames"], states["validate_backfill"]) == ("skipped", "success")
    for other in ("validate_dataset", "nightly_retraining", "promote_model"):
        assert [run["dag_run_id"] for run in stack.api.runs(other) if run["run_type"] != "scheduled"] == []


@pytest.mark.end_to_end
@pytest.mark.timeout(180)
def test_the_command_line_shows_what_it_would_do(stack):
    arguments = ["--dag-id", DAG, "--from-date", DAYS[0], "--to-date", DAYS[3], "--reprocess-behavior", "none"]
    shown = subprocess.run(
        [sys.executable, "-m", "local_stack", "airflow", "backfill", "create", *arguments, "--dry-run"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include"), "ADBREAK_STATE_DIR": str(stack.place.state)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr[-2000:]
    table = shown.stdout[shown.stdout.index("Runs to be attempted") :]
    assert [day for day in DAYS if day in table] == [DAYS[0], DAYS[3]]
