import time

import pytest
from local_stack.dag_runs import group_tasks, task_log_tail
from local_stack.progress import Board, PlainBoard, Task, clock


def instance(task_id, state, map_index=-1, start="2026-01-05T02:00:00+00:00", end="2026-01-05T02:00:09+00:00"):
    return {"task_id": task_id, "state": state, "map_index": map_index, "start_date": start, "end_date": end}


def test_mapped_tasks_are_one_line():
    tasks = [
        instance("extract", "success", 0),
        instance("extract", "running", 1),
        instance("scan", "success", start="2026-01-05T01:00:00+00:00"),
        instance("report", None, start=None, end=None),
    ]
    lines = group_tasks(tasks)
    assert [task.name for task in lines] == ["scan", "extract", "report"]
    assert lines[1][1:] == ("running", 9.0, "1 of 2")
    assert lines[2].state == "waiting"


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        (["failed", "running"], "failed"),
        (["success", "skipped"], "success"),
        (["skipped", "skipped"], "skipped"),
        (["upstream_failed"], "upstream_failed"),
    ],
)
def test_the_state_that_matters_is_shown(states, shown):
    assert group_tasks([instance("x", state, at) for at, state in enumerate(states)])[0].state == shown


def test_plain_lines_tell_changes_only(capsys):
    board = PlainBoard({})
    board.begin("ingestion")
    for _ in range(3):
        board.tasks([Task("scan", "running"), Task("report", "waiting")])
    board.tasks([Task("scan", "success"), Task("report", "waiting")])
    board.end("ingestion", "3 extracted")
    lines = [line.split("] ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["ingestion ...", " scan running", " scan done", "ingestion done after 0:00  3 extracted"]


def test_time_left_counts_phases_that_run_side_by_side_once():
    expected = {"services": 30, "recordings": 50, "ingestion": 10, "validation": 10, "retraining": 100, "promotion": 5}
    expected["delivery"] = 0
    board = Board(expected)
    board.took("set-up", 3)
    assert board.seconds_left() == pytest.approx(175)
    board.begin("recordings")
    board.phases["recordings"].started = time.monotonic() - 45
    assert board.seconds_left() == pytest.approx(30 + 125, abs=1)
    board.leave_out("promotion", "nothing was accepted")
    assert board.seconds_left() == pytest.approx(30 + 120, abs=1)


def test_time_left_is_unknown_until_every_phase_was_measured():
    board = Board({"services": 30})
    board.took("set-up", 3)
    assert board.seconds_left() is None


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3661, "1:01:01")])
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_the_tail_of_a_tasks_log_reads_like_a_message(tmp_path):
    log = tmp_path / "attempt=1.log"
    log.write_text(
        '{"level": "info", "event": "starts"}\n'
        '{"level": "error", "event": "Task failed", "error_detail": [{"exc_type": "E", "exc_value": "no frames"}]}\n'
        "not json\n"
    )
    assert task_log_tail(log) == "  INFO starts\n  ERROR Task failed E: no frames\n  not json"
    assert "not there" in task_log_tail(tmp_path / "none")
