"""Starts services side by side, notices when one dies, and stops everything it started.

    with Supervisor(place) as supervisor:
        supervisor.start(service)
        supervisor.wait_ready(service)
        supervisor.check()             # raises ComponentDied with the end of the log

Every service is the leader of its own session, so that Ctrl-C reaches the launcher alone. A watchdog process ends the
services when the launcher is killed.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

from local_stack.errors import ComponentDied, StackError, Stopped
from local_stack.processes import TAG_VARIABLE, dismiss_watchdog, end_all, start_watchdog
from local_stack.workplace import Workplace

LOG_TAIL_LINES = 15
SERVICE_GRACE_SECONDS = 3.0  # their state is in databases that survive SIGKILL; some take 10 s to go by themselves


@dataclass(frozen=True)
class Service:
    """A process that runs as long as the stack. ``ready`` is asked until it returns true."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool] = lambda: True
    ready_seconds: float = 300.0
    stops_last: bool = False  # others write to it while they stop


@dataclass
class Supervisor:
    """Owns the processes of one stack."""

    place: Workplace
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _last: set[str] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watchdog: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> "Supervisor":
        end_all(self.place.tag, grace_seconds=2)  # what a killed launcher and a killed watchdog left
        self._watchdog = start_watchdog(self.place.tag, self.place.root)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, service: Service) -> None:
        """Start a service; its output goes to its log."""
        process = self.spawn(service.name, service.command, service.environment)
        self._running[service.name] = process
        if service.stops_last:
            self._last.add(service.name)

    def spawn(
        self, name: str, command: list[str], environment: Mapping[str, str], *, niceness: int = 0
    ) -> "subprocess.Popen[bytes]":
        """Start a process of the stack whose output is appended to ``<name>.log``."""
        if self._stopping.is_set():
            raise Stopped("the stack is stopping")
        with self.place.log(name).open("ab") as log:
            log.write(f"\n--- {time.strftime('%Y-%m-%d %H:%M:%S')} starts: {' '.join(command)}\n".encode())
            log.flush()
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd=self.place.root,
                    env={**environment, TAG_VARIABLE: self.place.tag},
                )
            except OSError as error:
                raise StackError(f"{name} cannot start: {error}") from error
        if niceness:
            psutil.Process(process.pid).nice(niceness)
        return process

    def run_to_end(self, name: str, command: list[str], environment: Mapping[str, str], *, niceness: int = 0) -> None:
        """Run a program that ends by itself. Raises StackError with the end of its log when it fails."""
        process = self.spawn(name, command, environment, niceness=niceness)
        while process.poll() is None:
            self.sleep(0.1)
        if process.returncode:
            raise StackError(f"{name} failed (exit {process.returncode}).\n{log_tail(self.place.log(name))}")

    def wait_ready(self, service: Service) -> None:
        """Wait until the service answers. Raises ComponentDied, or StackError after its deadline."""
        deadline = time.monotonic() + service.ready_seconds
        while not service.ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(
                    f"{service.name} is not ready after {service.ready_seconds:.0f} s.\n"
                    f"{log_tail(self.place.log(service.name))}"
                )
            self.sleep(0.25)

    def check(self) -> None:
        """Raise ComponentDied for the first service that ended by itself."""
        for name, process in list(self._running.items()):
            if process.poll() is not None and not self._stopping.is_set():
                raise ComponentDied(
                    f"{name} ended by itself (exit {process.returncode}).\n{log_tail(self.place.log(name))}"
                )

    def sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until the stop. Raises Stopped."""
        if self._stopping.wait(seconds):
            raise Stopped("the stack is stopping")

    def pid(self, name: str) -> int:
        """Return the process of a service that was started. Raises KeyError for another name."""
        return self._running[name].pid

    def interrupt(self) -> None:
        """Make everyone who waits raise Stopped; ends no process."""
        self._stopping.set()

    def stop(self) -> None:
        """End commands first (they may checkpoint), then services, last those that others write to; safe twice."""
        self._stopping.set()
        services = {process.pid for process in self._running.values()}
        last = {process.pid for name, process in self._running.items() if name in self._last}
        end_all(self.place.tag, spare=lambda process: _session(process) in services)
        for sessions in (last, set[int]()):
            end_all(
                self.place.tag,
                grace_seconds=SERVICE_GRACE_SECONDS,
                spare=lambda process, kept=sessions: _session(process) in kept,  # type: ignore[misc]
            )
        for process in self._running.values():
            process.wait()
        self._running.clear()
        if self._watchdog is not None:
            dismiss_watchdog(self._watchdog)
            self._watchdog = None


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return -1


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log with its path, for a message."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return f"(there is no log {path})"
    tail = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join([f"The end of {path}:", *(f"  {line}" for line in tail)])


def raise_on_signals() -> None:
    """Make SIGINT, SIGTERM and SIGHUP raise Stopped in the main thread, once."""

    def stop(number: int, frame: object) -> None:
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(f"stopped by {signal.Signals(number).name}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
