"""The trigger watches by a process of its own: what ends the trigger ends that process, and never more.

A command that plays a script stands in for ``ml_training.cloud.spot``; tests/dags runs the real one.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from triggers import spot
from triggers.spot import SpotTrainingTrigger

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_variables")]

SCRIPTED = """
import json, os, pathlib, sys, time
folder = pathlib.Path(os.environ["SCRIPT"])
spec = json.loads(os.environ["ADBREAK_SPEC"])
with (folder / "calls").open("a") as calls:
    calls.write(spec["command"] + chr(10))
step = json.loads((folder / spec["command"]).read_text())
if spec["command"] == "watch":
    looks = (folder / "calls").read_text().splitlines().count("watch")
    step = step[min(looks, len(step)) - 1]
print("2026-11-23 01:00:00,000 INFO trainer: step 1 of 9", file=sys.stderr, flush=True)
(folder / "pid").write_text(str(os.getpid()))
time.sleep(step.get("sleeps", 0))
if "error" in step:
    print("error: " + step["error"], file=sys.stderr)
    sys.exit(step.get("code", 1))
print(json.dumps(step))
"""
TRIGGERER = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from operators.async_command import AsyncCommand
async def main():
    async with AsyncCommand([sys.executable, "-m", "scripted"], __import__("os").environ, say=print) as command:
        await command.run()
asyncio.run(main())
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Say what each ``watch`` answers, and what ``status`` does."""
    (tmp_path / "scripted.py").write_text(SCRIPTED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SCRIPT", str(tmp_path))
    monkeypatch.setattr(spot, "SPOT", "scripted")

    def write(*watches: dict[str, Any], state: str = "training") -> Path:
        (tmp_path / "watch").write_text(json.dumps(watches))
        (tmp_path / "status").write_text(json.dumps({"state": state}))
        return tmp_path

    return write


def fired(seconds: float = 60) -> dict[str, Any]:
    """Return what the trigger says."""

    async def first() -> Any:
        return await anext(trigger(seconds).run())

    return asyncio.run(first()).payload


def trigger(seconds: float = 60) -> SpotTrainingTrigger:
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return SpotTrainingTrigger(job="s3://b/training/jobs/1", give_up_at=until, pause_seconds=0.05)


def test_done_brings_the_result(script: Callable[..., Path]) -> None:
    script({"model_uri": "m"})
    assert fired() == {"state": "done", "result": {"model_uri": "m"}}


def test_failed_brings_the_end_of_the_log(script: Callable[..., Path]) -> None:
    words = "s3://b/training/jobs/1 failed: exit code 1\nthe end of its log:\n" + "\n".join(map(str, range(30)))
    script({"error": words + "\nerror: the loss is nan"}, state="failed")
    assert fired() == {"state": "failed", "message": f"error: {words}\nerror: the loss is nan"}


def test_a_mistake_is_not_tried_again(script: Callable[..., Path]) -> None:
    folder = script({"error": "there is no instance profile adbreak-trainer", "code": 2})
    assert fired()["state"] == "failed"
    assert (folder / "calls").read_text().split() == ["watch"]


def test_while_the_job_lives_it_is_watched_again(script: Callable[..., Path]) -> None:
    folder = script({"error": "the bucket does not answer"}, {"error": "EC2 does not answer"}, {"model_uri": "m"})
    assert fired()["state"] == "done"
    assert (folder / "calls").read_text().split() == ["watch", "status", "watch", "status", "watch"]


def test_the_time_is_over_some_day(script: Callable[..., Path]) -> None:
    folder = script({"sleeps": 60})
    event = fired(seconds=1.5)
    assert event["state"] == "failed"
    assert "did not end until" in event["message"]
    assert not is_alive(int((folder / "pid").read_text()))


def test_a_trigger_that_is_cancelled_ends_only_its_process(script: Callable[..., Path]) -> None:
    folder = script({"sleeps": 60})

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(anext(trigger().run()))
        while not (folder / "pid").exists():
            await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    assert not is_alive(int((folder / "pid").read_text()))
    assert (folder / "calls").read_text().split() == ["watch"]


def test_a_triggerer_that_is_killed_leaves_no_process(script: Callable[..., Path]) -> None:
    folder = script({"sleeps": 60})
    plugins = str(Path(__file__).resolve().parents[3] / "plugins")
    environment = {**os.environ, "ADBREAK_SPEC": '{"command": "watch"}'}
    triggerer = subprocess.Popen([sys.executable, "-c", TRIGGERER, plugins], env=environment)
    assert within(10, (folder / "pid").exists)
    triggerer.send_signal(signal.SIGKILL)
    triggerer.wait()
    assert within(8, lambda: not is_alive(int((folder / "pid").read_text())))


def test_the_database_keeps_addresses_and_no_secret() -> None:
    path, kept = trigger().serialize()
    assert path == "triggers.spot.SpotTrainingTrigger"
    assert set(kept) == {"job", "give_up_at", "pause_seconds"}
    assert SpotTrainingTrigger(**kept).serialize() == (path, kept)


def test_the_log_is_live(script: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    script({"model_uri": "m"})
    fired()
    assert "trainer: step 1 of 9" in capsys.readouterr().out


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
