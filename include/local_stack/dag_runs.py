"""Follows runs of DAGs to their end, shows their tasks, and says which task failed and what it said last.

run_id = api.trigger("ingest_recordings", {})
finish_run(stack, board, "ingest_recordings", run_id)      # raises TaskFailed
"""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_stack.errors import TaskFailed
from local_stack.progress import Board, Task
from local_stack.stack import Stack

POLL_SECONDS = 1.5
ASSET_SECONDS = 60
TAIL_LINES = 15
UNFINISHED = ("queued", "running")
ORDER = ("failed", "running", "up_for_retry", "deferred", "queued", "scheduled", "success", "upstream_failed")
WAITING = {None, "none", "scheduled", "queued", "removed"}


def finish_run(stack: Stack, board: Board, dag_id: str, run_id: str) -> None:
    """Wait until a run has ended; its own timeouts bound the wait. Raises TaskFailed and ComponentDied."""
    while True:
        state = stack.api.run(dag_id, run_id)["state"]
        tasks = stack.api.tasks(dag_id, run_id)
        board.tasks(group_tasks(tasks))
        if state == "success":
            return
        if state == "failed":
            raise TaskFailed(failure(stack, dag_id, run_id, tasks))
        if state == "queued":
            make_way(stack, dag_id, run_id)
        stack.supervisor.check()
        stack.supervisor.sleep(POLL_SECONDS)


def make_way(stack: Stack, dag_id: str, run_id: str) -> None:
    """End runs of the same DAG that the clock started: Airflow makes up for the newest missed one at its start."""
    for run in stack.api.runs(dag_id, states=UNFINISHED):
        if run["dag_run_id"] != run_id and run["run_type"] == "scheduled":
            stack.api.fail_run(dag_id, run["dag_run_id"], "Made way for the night of the local stack.")


def new_run(stack: Stack, dag_id: str, known: set[str], seconds: float = ASSET_SECONDS) -> str | None:
    """Wait for a run that an asset starts and that is not among ``known``; None when none comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for run in stack.api.runs(dag_id):
            if run["dag_run_id"] not in known and run["run_type"] == "asset_triggered":
                return str(run["dag_run_id"])
        stack.supervisor.check()
        stack.supervisor.sleep(POLL_SECONDS)
    return None


def known_runs(stack: Stack, dag_id: str) -> set[str]:
    """Return the ids of a DAG's runs."""
    return {run["dag_run_id"] for run in stack.api.runs(dag_id)}


def results(stack: Stack, dag_id: str, run_id: str) -> dict[str, list[Any]]:
    """Return what each task returned, by task id; one entry for each mapped instance."""
    found: dict[str, list[Any]] = {}
    for task in stack.api.tasks(dag_id, run_id):
        if task["state"] == "success":
            value = stack.api.result(dag_id, run_id, task["task_id"], task["map_index"])
            found.setdefault(task["task_id"], []).append(value)
    return found


def group_tasks(tasks: list[dict[str, Any]]) -> list[Task]:
    """Make one line of all instances of a task, in the order in which tasks started."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for task in sorted(tasks, key=lambda task: task["start_date"] or "9"):
        grouped.setdefault(task["task_id"], []).append(task)
    return [_line(name, instances) for name, instances in grouped.items()]


def _line(name: str, instances: list[dict[str, Any]]) -> Task:
    counts = Counter(instance["state"] for instance in instances)
    state = next((state for state in ORDER if counts.get(state)), None) or ("skipped" if counts["skipped"] else None)
    seconds = max((_seconds(instance) for instance in instances), default=0.0)
    ended = counts["success"] + counts["failed"] + counts["skipped"]
    detail = f"{ended} of {len(instances)}" if len(instances) > 1 else ""
    return Task(name, "waiting" if state in WAITING else str(state), seconds, detail)


def _seconds(instance: dict[str, Any]) -> float:
    if instance["start_date"] is None:
        return 0.0
    start = datetime.fromisoformat(instance["start_date"])
    end = datetime.fromisoformat(instance["end_date"]) if instance["end_date"] else datetime.now(UTC)
    return max(0.0, (end - start).total_seconds())


def failure(stack: Stack, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """Say which task failed first, with the end of its log and where that lies."""
    failed = sorted((task for task in tasks if task["state"] == "failed"), key=lambda task: task["end_date"] or "9")
    if not failed:
        return f"the run {run_id} of {dag_id} failed, but none of its tasks did: was it marked by hand, or too long?"
    task = failed[0]
    folder = stack.place.state / "airflow" / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
    folder = folder / f"task_id={task['task_id']}"
    if task["map_index"] >= 0:
        folder = folder / f"map_index={task['map_index']}"
    log = folder / f"attempt={max(1, task['try_number'])}.log"
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"the task {task['task_id']} of {dag_id} failed{others}.\nThe end of {log}:\n{task_log_tail(log)}"


def task_log_tail(path: Path) -> str:
    """Return the last messages of a task's log, which has one JSON object a line."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return "  (this log is not there)"
    return "\n".join(f"  {_message(line)}" for line in lines[-TAIL_LINES:])


def _message(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    details = entry.get("error_detail") or []
    said = "; ".join(f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details)
    return " ".join(filter(None, [entry.get("level", "").upper(), entry.get("event", ""), said]))
