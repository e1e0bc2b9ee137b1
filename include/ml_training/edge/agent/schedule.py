"""Calls ``check`` from time to time in a process of its own: what it needs in memory is gone when it ends.

    checks = Checks(home, config, clock)
    checks.step()                                     # between two frames: starts one when it is due
    checks.stop()

A device checks so long after its last check, which it remembers, and after power came back not before a minute of its
own: a fleet that lost power together does not ask together.
"""

import json
import logging
import subprocess
import sys
import time
from datetime import datetime

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Config, Home
from ml_training.edge.agent.state import read_state
from ml_training.utils.hashing import unit_interval

LONGEST_SECONDS = 6 * 3600.0  # a model over a slow line; it goes on where it was ended
WAIT_SECONDS = 300.0  # for a check without which there is no model, or before one that may crash
STOP_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Checks:
    """At most one at a time."""

    def __init__(self, home: Home, config: Config, clock: Clock) -> None:
        self._command = [
            sys.executable, "-m", "ml_training.edge.agent", "check", "--home", str(home.folder),
            "--clock-offset", str(clock.offset.total_seconds()),
        ]  # fmt: skip
        self._every = config.check_minutes * 60
        self._due = self._first_due(home, config, clock)
        self._process: subprocess.Popen[str] | None = None
        self._started = 0.0

    def is_due(self) -> bool:
        """Tell whether it is time for the next check."""
        return self._process is None and time.monotonic() >= self._due

    def step(self) -> None:
        """Start a check that is due; tell how the last one ended."""
        if self.is_due():
            self._start()
        elif self._process is not None and self._process.poll() is not None:
            self._tell(self._process)
            self._process = None
        elif self._process is not None and time.monotonic() - self._started > LONGEST_SECONDS:
            self._process.terminate()

    def now(self) -> None:
        """Check, and wait for the end of it; one that takes longer than WAIT_SECONDS goes on beside what follows."""
        process = self._process or self._start()
        try:
            process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("the check takes more than %g s: it goes on", WAIT_SECONDS)
        else:
            self.step()

    def stop(self) -> None:
        """End a check that is at work; it loses nothing."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _first_due(self, home: Home, config: Config, clock: Clock) -> float:
        """Return when to check by the clock that begins with the machine: who starts again does not wait anew."""
        own = self._every * unit_interval(config.device_id, "check")
        last = read_state(home).last_check.get("at")
        age = (clock.now() - datetime.fromisoformat(last)).total_seconds() if last else self._every
        if age < 0:  # this clock was ahead then, or is behind now
            return own
        return max(own, time.monotonic() + self._every - age)

    def _start(self) -> subprocess.Popen[str]:
        self._started = time.monotonic()
        self._due = self._started + self._every
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=None, text=True)
        return self._process

    def _tell(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        lines = process.stdout.read().strip().splitlines()
        process.stdout.close()
        try:
            result = json.loads(lines[-1])
            logger.info("check: %s: %s", result.get("outcome"), result.get("message"))
        except (IndexError, ValueError):
            logger.error("check ended with %s and said nothing", process.returncode)
