"""What the workflow costs: recordings of five minutes through the DAG, beside the direct call of the same commands.

    make bench NAME=workflow

A real scheduler, a real bucket and the real commands, in a state folder of its own. The recordings are one generated
broadcast under many names. The direct calls are `scan` and `extract` on the same bucket, with the same services beside
them; the catalogue of creatives, which so many copies would mislead, is left out. A quarter of an hour on two cores;
``ADBREAK_BENCH_RECORDINGS="4 16"`` takes four minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STACK_PYTHON = ROOT / ".venv" / "stack" / "bin" / "python"
DAG = "ingest_recordings"
MINUTES = 5
COUNTS = [int(word) for word in os.environ.get("ADBREAK_BENCH_RECORDINGS", "25 100").split()]
OVERHEAD_BAR = 1.25  # times the direct calls
CHANNELS, DAYS = 4, 5


def make_broadcast(place: Any) -> Path:
    """Generate one broadcast of five minutes."""
    folder = place.state / "broadcast"
    options = ["--recordings", "1", "--minutes", str(MINUTES), "--channels", "1", "--seed", "7", "--night", "1"]
    command = [place.python("ml"), "-m", "ml_training.data.synthetic", "generate", "--output-dir", folder, *options]
    subprocess.run(command, check=True, capture_output=True)
    return next(path for path in folder.rglob("recordings/**/*") if path.suffix in (".ts", ".mp4", ".mkv"))


def fill(stack: Any, broadcast: Path, count: int) -> str:
    """Store the broadcast under ``count`` names of several channels and days; return their prefix."""
    from local_stack.recordings import file_sha256

    sha256 = file_sha256(stack.place, broadcast)
    for number in range(count):
        channel, day = f"channel-{number % CHANNELS}", f"2026-01-{1 + number % DAYS:02}"
        name = f"of-{count}-{number:03}{broadcast.suffix}"
        stack.bucket.upload(broadcast, f"archive-{count}/{channel}/{day}/{name}", sha256)
    return f"s3://{stack.bucket.name}/archive-{count}/"


def call(stack: Any, *arguments: str) -> dict[str, Any]:
    """Run a command of the collectors as a person would."""
    command = [stack.place.python("ml"), "-m", "ml_training.data.collectors", "--json", *arguments]
    environment = stack.services.command_environment
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout))


def direct(stack: Any, source: str, count: int) -> float:
    """Return the seconds of the direct calls."""
    root = f"s3://{stack.bucket.name}/direct-{count}"
    started = time.monotonic()
    call(stack, "scan", "--source", source, "--data-dir", root)
    made = call(stack, "extract", "--video-source", source, "--output-dir", f"{root}/frames")
    assert made["extracted"] == count, made
    return time.monotonic() - started


def through_the_dag(stack: Any, source: str, count: int) -> tuple[float, list[dict[str, Any]]]:
    """Return the seconds from the trigger to the end of the run, and its tasks."""
    started = time.time()
    run_id = stack.api.trigger(DAG, {"source": source, "update_creatives": False})
    while (run := stack.api.run(DAG, run_id))["state"] not in ("success", "failed"):
        stack.supervisor.check()
        time.sleep(1)
    tasks = stack.api.tasks(DAG, run_id)
    assert run["state"] == "success", [task for task in tasks if task["state"] == "failed"]
    assert stack.api.result(DAG, run_id, "ingest_report")["recordings"] == {"extracted": count}
    return datetime.fromisoformat(run["end_date"]).timestamp() - started, tasks


def show(tasks: list[dict[str, Any]]) -> None:
    """Print when each task of a run began and how long it took."""
    first = min(task["start_date"] for task in tasks if task["start_date"])
    for task in sorted((task for task in tasks if task["duration"]), key=lambda task: task["start_date"]):
        began = datetime.fromisoformat(task["start_date"]) - datetime.fromisoformat(first)
        label = f" {task['rendered_map_index']}" if task["rendered_map_index"] else ""
        print(f"  {began.total_seconds():7.1f} s {task['duration']:7.1f} s  {task['task_id']}{label}")


def measure() -> int:
    """Run everything; print the figures beside their bars."""
    from local_stack.stack import prepare_services, start_ingestion
    from local_stack.supervisor import Supervisor
    from local_stack.workplace import Workplace

    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = Workplace(Path(folder) / "state")
        place.prepare()
        broadcast = make_broadcast(place)
        with Supervisor(place) as supervisor:
            stack = start_ingestion(supervisor, prepare_services(place), say=lambda line: None)
            stack.api.call("PATCH", "dags/validate_dataset?update_mask=is_paused", {"is_paused": True})
            few, many = COUNTS
            for count in COUNTS:
                source = fill(stack, broadcast, count)
                seconds[f"dag {count}"], tasks = through_the_dag(stack, source, count)
                print(f"{count} recordings of {MINUTES} minutes through the DAG: {seconds[f'dag {count}']:.1f} s")
                show(tasks)
            seconds["direct"] = direct(stack, source, many)
            print(f"{many} recordings by the direct calls: {seconds['direct']:.1f} s")
    overhead = seconds[f"dag {many}"] / seconds["direct"]
    growth = seconds[f"dag {many}"] / seconds[f"dag {few}"]
    hours = many * MINUTES / 60
    print(f"{hours * 3600 / seconds[f'dag {many}']:.0f} times real time through the DAG")
    kept = overhead <= OVERHEAD_BAR and growth <= many / few
    print(
        f"DAG / direct calls for {many} recordings {overhead:.2f} <= {OVERHEAD_BAR:g}; "
        f"time from {few} to {many} recordings x{growth:.2f} <= x{many / few:g}: {'kept' if kept else 'MISSED'}"
    )
    return 0 if kept else 1


def main() -> int:
    """Run in the environment of the local stack, whichever this is called in."""
    if not STACK_PYTHON.exists():
        print("error: the environments of the local stack and of Airflow are missing: make setup", file=sys.stderr)
        return 2
    if Path(sys.prefix) != STACK_PYTHON.parents[1]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
        return subprocess.run([STACK_PYTHON, __file__], env=environment, check=False).returncode
    return measure()


if __name__ == "__main__":
    raise SystemExit(main())
