"""A command's process group ends, whatever ends its task."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from operators.command_process import CommandProcess

pytestmark = pytest.mark.airflow

CHECKPOINTING = """
import pathlib, signal, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
def save(*_):
    time.sleep(1)
    (folder / "checkpoint").write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
child = subprocess.Popen(["sleep", "300"])
(folder / "child").write_text(str(child.pid))
print("ready", flush=True)
time.sleep(300)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(300)
"""
LEAVES_A_CHILD = """
import pathlib, subprocess, sys
child = subprocess.Popen(["sleep", "300"])
pathlib.Path(sys.argv[1], "child").write_text(str(child.pid))
print("done", flush=True)
"""
TASK = """
import sys
sys.path.insert(0, sys.argv[1])
from operators.command_process import CommandProcess
arguments = [sys.executable, "-c", sys.argv[2], sys.argv[3]]
with CommandProcess(arguments, {}, say=lambda *line: print(line, flush=True)) as c:
    c.run()
"""


def test_killing_the_task_itself_lets_the_command_save_and_ends_its_children(tmp_path: Path) -> None:
    plugins = str(Path(__file__).resolve().parents[3] / "plugins")
    task = subprocess.Popen([sys.executable, "-c", TASK, plugins, CHECKPOINTING, str(tmp_path)], stdout=subprocess.PIPE)
    assert task.stdout is not None
    assert b"ready" in task.stdout.readline()
    task.send_signal(signal.SIGKILL)
    task.wait()
    task.stdout.close()
    assert within(8, (tmp_path / "checkpoint").exists)
    assert within(8, lambda: not is_running(int((tmp_path / "child").read_text())))


def test_a_command_that_ignores_the_signal_is_killed_after_its_grace() -> None:
    started = time.monotonic()
    with CommandProcess([sys.executable, "-c", STUBBORN], {}, say=_stop_when_ready, grace_seconds=1) as command:
        HOLDER.append(command)
        assert command.run() == -signal.SIGKILL
    assert time.monotonic() - started < 6


def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    with CommandProcess([sys.executable, "-c", LEAVES_A_CHILD, str(tmp_path)], {}, say=_ignore) as command:
        assert command.run() == 0
        assert command.last_output == "done"
    assert within(3, lambda: not is_running(int((tmp_path / "child").read_text())))


def test_an_exception_in_the_task_ends_the_command(tmp_path: Path) -> None:
    def fail(stream: str, line: str) -> None:
        if line == "ready":
            raise TimeoutError

    with (
        pytest.raises(TimeoutError),
        CommandProcess([sys.executable, "-c", CHECKPOINTING, str(tmp_path)], {}, say=fail) as command,
    ):
        command.run()
    assert (tmp_path / "checkpoint").read_text() == "saved"
    assert not is_running(int((tmp_path / "child").read_text()))


def test_no_guard_stays_behind() -> None:
    with CommandProcess([sys.executable, "-c", "print(1)"], {}, say=_ignore) as command:
        command.run()
    guards = subprocess.run(["pgrep", "-f", f"guard {command.group} "], capture_output=True, check=False)
    assert not guards.stdout


HOLDER: list[CommandProcess] = []


def _stop_when_ready(stream: str, line: str) -> None:
    HOLDER.pop().stop()


def _ignore(stream: str, line: str) -> None:
    pass


def within(seconds: float, condition: object) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
