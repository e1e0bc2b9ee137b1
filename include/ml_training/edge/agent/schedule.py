"""Calls ``check`` from time to time in a process of its own: what it needs in memory is gone when it ends.

    checks = Checks(home, config, clock)
    checks.step()                                     # between two frames: starts one when it is due
    checks.stop()

Each device checks at a minute of its own, so that a fleet that lost power together does not ask together.
"""

import json
import logging
import subprocess
import sys
import time

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Config, Home
from ml_training.utils.hashing import unit_interval

LONGEST_SECONDS = 6 * 3600.0  # a model over a slow line; it goes on where it was ended
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
        self._due = time.monotonic() + self._every * unit_interval(config.device_id, "check")
        self._process: subprocess.Popen[str] | None = None
        self._started = 0.0

    def step(self) -> None:
        """Start a check that is due; tell how the last one ended."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is not None:
                self._tell(self._process)
                self._process = None
            elif now - self._started > LONGEST_SECONDS:
                self._process.terminate()
        elif now >= self._due:
            self._due = now + self._every
            self._started = now
            self._process = self._start()

    def now(self) -> None:
        """Check, and wait for the end of it."""
        self._due = time.monotonic() + self._every
        process = self._start()
        process.wait()
        self._tell(process)

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

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=None, text=True)

    def _tell(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        lines = process.stdout.read().strip().splitlines()
        process.stdout.close()
        try:
            result = json.loads(lines[-1])
            logger.info("check: %s: %s", result.get("outcome"), result.get("message"))
        except (IndexError, ValueError):
            logger.error("check ended with %s and said nothing", process.returncode)
