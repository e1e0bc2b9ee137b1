"""Finds and ends every process of a stack, also those that left their group or lost their parent.

    end_all(place.tag)         # SIGTERM, ten seconds, SIGKILL; returns how many had to be killed

Each process that the stack starts carries ``ADBREAK_STACK_ID`` in its environment and hands it on. As a program of its
own (``python -m local_stack.processes TAG``) this is the watchdog: it waits until the launcher closes its standard
input, which also happens when the launcher is killed, and then ends what is left.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

TAG_VARIABLE = "ADBREAK_STACK_ID"
GRACE_SECONDS = 10.0


def tagged(tag: str) -> list[psutil.Process]:
    """Return the living processes that carry ``tag``, and their descendants; never this process or its parents."""
    return marked(TAG_VARIABLE, tag)


def marked(variable: str, value: str) -> list[psutil.Process]:
    """Return the living processes with this environment variable, and their descendants, as ``tagged`` does."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    processes = {process.pid: process for process in psutil.process_iter()}
    parents = {pid: _parent(process) for pid, process in processes.items()}
    found = {pid for pid, process in processes.items() if pid not in spared and _carries(process, variable, value)}
    for pid in parents:
        line = _ancestry(pid, parents)
        if found.intersection(line) and pid not in spared:
            found.add(pid)
    return [processes[pid] for pid in sorted(found) if _alive(processes[pid])]


def _ancestry(pid: int, parents: dict[int, int]) -> list[int]:
    line: list[int] = []
    while pid in parents and pid not in line:
        line.append(pid)
        pid = parents[pid]
    return line


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.Error:
        return 0


def _carries(process: psutil.Process, variable: str, value: str) -> bool:
    try:
        return bool(process.environ().get(variable) == value)
    except (psutil.Error, OSError):
        return False


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end_all(
    tag: str, *, grace_seconds: float = GRACE_SECONDS, spare: Callable[[psutil.Process], bool] = lambda process: False
) -> int:
    """End every tagged process that ``spare`` does not name; returns how many needed SIGKILL."""
    _signal(tag, spare, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline:
        if not _remaining(tag, spare):
            return 0
        time.sleep(0.1)
    killed = 0
    while remaining := _remaining(tag, spare):  # a process may fork between the look and the kill
        killed += len(remaining)
        _signal(tag, spare, signal.SIGKILL)
        time.sleep(0.1)
    return killed


def _remaining(tag: str, spare: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    return [process for process in tagged(tag) if not spare(process)]


def _signal(tag: str, spare: Callable[[psutil.Process], bool], number: signal.Signals) -> None:
    for process in _remaining(tag, spare):
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def start_watchdog(tag: str, root: Path) -> "subprocess.Popen[bytes]":
    """Start the process that ends what carries ``tag`` when this one is gone, however it went."""
    return subprocess.Popen(
        [sys.executable, "-m", "local_stack.processes", tag],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd=root,
        env={name: value for name, value in os.environ.items() if name != TAG_VARIABLE}
        | {"PYTHONPATH": str(root / "include")},
    )


def dismiss_watchdog(watchdog: "subprocess.Popen[bytes]") -> None:
    """Tell the watchdog that nothing is left, and wait for its end."""
    assert watchdog.stdin is not None
    watchdog.stdin.write(b"done\n")
    watchdog.stdin.close()
    watchdog.wait()


def watch(tag: str) -> None:
    """Wait for the end of standard input, then end what carries ``tag``; the line ``done`` says that nothing does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.readline().strip() != "done":
        end_all(tag)


if __name__ == "__main__":
    watch(sys.argv[1])
