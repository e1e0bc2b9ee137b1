"""Shows how far the night is: a live table on a terminal, plain lines of changes elsewhere.

with open_board(expected_seconds) as board:
    board.begin("services")
    board.tasks("ingestion", [Task("extract_frames", "running", 12.0)])
    board.end("services")
"""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

PHASES = ("set-up", "services", "recordings", "ingestion", "validation", "retraining", "promotion", "delivery")
SIDE_BY_SIDE = ("services", "recordings")
MARKS = {"success": "done", "failed": "FAILED", "up_for_retry": "will retry", "upstream_failed": "not run"}
ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
NOTES_SHOWN = 4


class Task(NamedTuple):
    """One task of a DAG run; mapped tasks are counted together."""

    name: str
    state: str
    seconds: float = 0.0
    detail: str = ""


@dataclass
class Phase:
    """One phase of the night. ``seconds`` is set when it has ended."""

    name: str
    started: float | None = None
    seconds: float | None = None
    detail: str = ""
    skipped: bool = False

    def elapsed(self, now: float) -> float:
        if self.seconds is not None:
            return self.seconds
        return 0.0 if self.started is None else now - self.started

    @property
    def state(self) -> str:
        if self.skipped:
            return "left out"
        if self.seconds is not None:
            return "done"
        return "running" if self.started is not None else "waiting"


class Board:
    """The state of all phases; base of both displays. Safe to call from several threads."""

    def __init__(self, expected: Mapping[str, float]) -> None:
        self.phases = {name: Phase(name) for name in PHASES}
        self.notes: list[str] = []
        self._expected = expected
        self._tasks: list[Task] = []
        self._lock = threading.RLock()

    def __enter__(self) -> "Board":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, name: str) -> None:
        """A phase starts; the tasks of the phase before are cleared."""
        with self._lock:
            self.phases[name].started = time.monotonic()
            self._tasks = []
            self.changed(f"{name} ...")

    def end(self, name: str, detail: str = "") -> None:
        """A phase has ended."""
        with self._lock:
            phase = self.phases[name]
            phase.seconds = phase.elapsed(time.monotonic())
            phase.detail = detail
            self.changed(f"{name} done after {clock(phase.seconds)}{'  ' + detail if detail else ''}")

    def took(self, name: str, seconds: float) -> None:
        """A phase ended before this board was there."""
        with self._lock:
            self.phases[name].seconds = seconds
            self.phases[name].started = time.monotonic() - seconds

    def leave_out(self, name: str, reason: str) -> None:
        """A phase does not take place."""
        with self._lock:
            self.phases[name].skipped = True
            self.phases[name].detail = reason
            self.changed(f"{name}: {reason}")

    def detail(self, name: str, text: str) -> None:
        """Say how far a running phase is."""
        with self._lock:
            if self.phases[name].detail != text:
                self.phases[name].detail = text
                self.changed(f"{name}: {text}")

    def tasks(self, tasks: Sequence[Task]) -> None:
        """Show the tasks of the running phase."""
        with self._lock:
            before = {task.name: (task.state, task.detail) for task in self._tasks}
            self._tasks = list(tasks)
            for task in tasks:
                if before.get(task.name) != (task.state, task.detail) and task.state not in ("waiting", "skipped"):
                    self.changed(f"  {task.name} {task.detail} {MARKS.get(task.state, task.state)}".replace("  ", " "))

    def note(self, text: str) -> None:
        """Tell a person something that they should know."""
        with self._lock:
            self.notes.append(text)
            self.changed(f"note: {text}")

    def changed(self, line: str) -> None:
        """Hear of every change as one line."""

    def durations(self) -> dict[str, float]:
        """Return the seconds of every phase that took place."""
        return {name: phase.seconds for name, phase in self.phases.items() if phase.seconds is not None}

    def seconds_left(self) -> float | None:
        """Return the expected seconds until the end; None when a phase was never measured."""
        now = time.monotonic()
        left: dict[str, float] = {}
        for name, phase in self.phases.items():
            if phase.seconds is not None or phase.skipped:
                continue
            if name not in self._expected:
                return None
            left[name] = max(0.0, self._expected[name] - phase.elapsed(now))
        together = [left.pop(name) for name in SIDE_BY_SIDE if name in left]
        return sum(left.values()) + max(together, default=0.0)


class PlainBoard(Board):
    """One line for each change, for logs and pipes."""

    def __init__(self, expected: Mapping[str, float]) -> None:
        super().__init__(expected)
        self._opened = time.monotonic()

    def changed(self, line: str) -> None:
        print(f"[{clock(time.monotonic() - self._opened)}] {line}", flush=True)


class LiveBoard(Board):
    """A table that is drawn again and again."""

    def __init__(self, expected: Mapping[str, float], console: Console) -> None:
        super().__init__(expected)
        self._console = console
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=2, transient=True)

    def __enter__(self) -> "LiveBoard":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._live.stop()
        except OSError:  # the terminal was closed
            return

    def note(self, text: str) -> None:
        super().note(text)
        self._console.print(f"note: {text}", highlight=False, markup=False)

    def _draw(self) -> Group:
        with self._lock:
            now = time.monotonic()
            table = Table(box=None, pad_edge=False)
            for column in ("phase", "state", "time", ""):
                table.add_column(column, justify="right" if column == "time" else "left", overflow="ellipsis")
            for phase in self.phases.values():
                elapsed = clock(phase.elapsed(now)) if phase.started is not None else ""
                table.add_row(phase.name, _colour(phase.state), elapsed, phase.detail, style=_style(phase.state))
                if phase.state == "running":
                    for task in self._tasks if phase.name not in SIDE_BY_SIDE else ():
                        seconds = clock(task.seconds) if task.seconds else ""
                        table.add_row(f"  {task.name}", _colour(task.state), seconds, task.detail)
            return Group(table, self._time_left())

    def _time_left(self) -> str:
        left = self.seconds_left()
        return "time left unknown" if left is None else f"about {clock(left)} left"


def open_board(expected: Mapping[str, float]) -> Board:
    """Return the display that fits standard output."""
    console = Console(highlight=False)
    return LiveBoard(expected, console) if sys.stdout.isatty() and console.is_terminal else PlainBoard(expected)


def clock(seconds: float) -> str:
    """Return ``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _colour(state: str) -> str:
    colour = {"success": "green", "done": "green", "failed": "red", "running": "yellow"}.get(state)
    word = MARKS.get(state, state)
    return f"[{colour}]{word}[/{colour}]" if colour else word


def _style(state: str) -> str:
    return "bold" if state == "running" else ""
