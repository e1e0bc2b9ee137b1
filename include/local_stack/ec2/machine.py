"""One simulated machine: the processes that an instance's user data starts, in a folder of their own.

    machine = Machine(instance, folder, environment)
    machine.boot(user_data)
    machine.wanted_shutdown()          # True once something on it has said `shutdown -h now`
    machine.kill("trainer")            # the supervisor's child; "supervisor", "all"
    machine.end()                      # SIGKILL for everything, as when the power goes

Every process carries ``ADBREAK_MACHINE``, the instance's id, in its environment and hands it on.
"""

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from local_stack.processes import marked

MACHINE_VARIABLE = "ADBREAK_MACHINE"
SUPERVISOR = "ml_training.cloud.supervisor"
SHUTDOWN = """#!/bin/sh
# The machine's own end, asked for by what runs on it: the simulation reads this file.
cd "{folder}" && echo "$@" > ".shutdown.$$" && mv ".shutdown.$$" shutdown
"""


class Machine:
    """What runs behind one instance."""

    def __init__(
        self, instance_id: str, folder: Path, *, image: Mapping[str, Path] | None = None, minute_seconds: float = 60.0
    ) -> None:
        """``image`` is what its disk has from the beginning: names below ``ADBREAK_HOME``, and what they link to."""
        self.instance_id, self.folder, self._image = instance_id, folder, image or {}
        self._minute_seconds = minute_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._off_at: float | None = None
        self._off_file_seen = 0

    @property
    def console(self) -> Path:
        """The file with what the user data printed."""
        return self.folder / "console.log"

    @property
    def disk(self) -> Path:
        """What it has as ``ADBREAK_HOME``: a new machine's is empty but for what the image holds."""
        return self.folder / "opt"

    def remove_disk(self) -> None:
        """Delete what its programs left, but for what they printed."""
        for left in (self.disk, self.folder / "home", self.folder / "tmp"):
            shutil.rmtree(left, ignore_errors=True)

    def boot(self, user_data: str, environment: dict[str, str]) -> None:
        """Run the user data as the machine's own program."""
        programs = self.folder / "bin"
        for made in (programs, self.disk, self.folder / "home", self.folder / "tmp"):
            made.mkdir(parents=True, exist_ok=True)
        for name, target in self._image.items():
            (self.disk / name).symlink_to(target)
        for name in ("shutdown", "poweroff"):
            _write_program(programs / name, SHUTDOWN.format(folder=self.folder))
        script = self.folder / "user-data"
        _write_program(script, user_data if user_data.startswith("#!") else "#!/bin/bash\n" + user_data)
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                ["/bin/bash", str(script)],  # as cloud-init does, whatever the checkout's disk allows
                cwd=self.folder / "home",
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **environment,
                    "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
                    "HOME": str(self.folder / "home"),
                    "ADBREAK_HOME": str(self.disk),
                    "TMPDIR": str(self.folder / "tmp"),
                    MACHINE_VARIABLE: self.instance_id,
                },
            )

    def processes(self) -> list[psutil.Process]:
        """Return everything that runs on it."""
        if self._process is not None:
            self._process.poll()
        return marked(MACHINE_VARIABLE, self.instance_id)

    def running(self) -> list[dict[str, Any]]:
        """Return number and command of everything that runs on it."""
        return [{"pid": process.pid, "command": _words(process)} for process in self.processes()]

    def wanted_shutdown(self) -> bool:
        """Tell whether the time has come that ``shutdown`` was asked for."""
        try:
            words = (self.folder / "shutdown").read_text()
            changed = (self.folder / "shutdown").stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if changed != self._off_file_seen:
            self._off_file_seen = changed
            self._off_at = self._parsed(words)
        return self._off_at is not None and time.monotonic() >= self._off_at

    def _parsed(self, words: str) -> float | None:
        """Return when a ``shutdown`` with these words turns the machine off; None for ``-c``."""
        said = shlex.split(words)
        if "-c" in said:
            return None
        minutes = [float(word[1:]) for word in said if word.startswith("+")]
        return time.monotonic() + (minutes[0] * self._minute_seconds if minutes else 0.0)

    def kill(self, who: str, number: int = signal.SIGKILL) -> list[int]:
        """Send a signal to the ``trainer``, the ``supervisor`` or ``all``; returns the processes that got it."""
        processes = self.processes()
        supervisors = {process.pid for process in processes if SUPERVISOR in _words(process)}
        if who == "supervisor":
            processes = [process for process in processes if process.pid in supervisors]
        elif who == "trainer":
            processes = [process for process in processes if _below(process, supervisors)]
        elif who != "all":
            raise ValueError(f"unknown {who!r}: expected trainer, supervisor or all")
        for process in processes:
            _signal(process, number)
        return [process.pid for process in processes]

    def end(self) -> bool:
        """Take the power away; tells whether nothing runs any more."""
        for process in (remaining := self.processes()):
            _signal(process, signal.SIGKILL)
        return not remaining

    def facts(self) -> dict[str, Any]:
        """Return what a test may want to know of it."""
        return {"folder": str(self.folder), "console": str(self.console)}


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _below(process: psutil.Process, ancestors: set[int]) -> bool:
    if process.pid in ancestors:
        return False
    try:
        return any(parent.pid in ancestors for parent in process.parents())
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
