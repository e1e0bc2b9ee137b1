"""One run of the campaign: what the three tasks of a training do in Airflow, by the same commands, and their deaths.

run = Run("r-007", folder, environment)
run.live()                     # prepare, watch (again, when the watcher was killed), end; in a thread
run.outcome                    # "done", or why not
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ml_training.cloud.rehearsal import JOURNAL

STEPS, STEP_SECONDS, CHECKPOINT_STEPS = 100, 0.1, 25
WATCHES = 12  # a task is retried and cleared, but not for ever
SPOT = [sys.executable, "-m", "ml_training.cloud.spot", "--json"]


class Run:
    """Lives through one training on machines; ``over`` is set when its tasks are."""

    def __init__(self, name: str, bucket: str, machines: Path, environment: dict[str, str], log: Path) -> None:
        self.job_id, self.bucket = name, bucket
        self.uri, self.output = f"{bucket}/training/jobs/{name}", f"{bucket}/rehearsals/{name}"
        self.over = threading.Event()
        self.outcome, self.digest = "", ""
        self.times: dict[str, float] = {}
        self._machines, self._environment, self._log = machines, {**os.environ, **environment}, log
        self._watchers: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._cleared = self._abandoned = False
        self._pause_seconds = 0.0

    def live(self) -> None:
        """Go through the tasks of one training."""
        try:
            if self._prepare():
                self._watch_to_the_end()
            if not self._abandoned:
                self._command("end", "--job", self.uri)
        finally:
            self.over.set()

    def note(self, event: str) -> None:
        """Keep when something happened, the first time."""
        self.times.setdefault(event, time.time())

    def steps(self) -> list[dict[str, Any]]:
        """Return every step that machines took for this run, also those taken twice."""
        journals = [path.read_text() for path in self._machines.rglob(JOURNAL)]
        steps = [json.loads(line) for journal in journals for line in journal.splitlines()]
        return sorted((step for step in steps if step["output"] == self.output), key=lambda step: float(step["at"]))

    def kill_watchers(self) -> None:
        """Kill whoever watches, as a worker or a triggerer dies."""
        with self._lock:
            for watcher in self._watchers:
                watcher.kill()

    def watch_beside(self) -> None:
        """Let a second one watch the same job to its end."""
        self._finish(self._start("watch", "--job", self.uri))

    def clear(self) -> None:
        """Clear the task: its watcher goes, its machine is ended, and all begins again."""
        self._cleared = True
        self.kill_watchers()

    def leave_alone(self, seconds: float) -> None:
        """Let nobody watch for so long, as when Airflow is down."""
        self._pause_seconds = seconds
        self.kill_watchers()

    def abandon(self) -> None:
        """Let nobody watch any more, and nobody end the machine."""
        self._abandoned = True
        self.kill_watchers()

    def _prepare(self) -> bool:
        options = {
            "output": self.output,
            "steps": STEPS,
            "step_seconds": STEP_SECONDS,
            "checkpoint_steps": CHECKPOINT_STEPS,
        }
        words = ("--data-dir", self.bucket, "--job", self.uri, "--module", "ml_training.cloud.rehearsal")
        for _ in range(4):  # Airflow tries a task again
            code, output = self._command("prepare", *words, "--options", json.dumps(options))
            if code == 0:
                return True
            self.outcome = f"prepare: {output}"
        return False

    def _watch_to_the_end(self) -> None:
        for _ in range(WATCHES):
            code, output = self._finish(self._start("watch", "--job", self.uri))
            time.sleep(self._pause_seconds)
            self._pause_seconds = 0.0
            if self._abandoned:
                self.outcome = "error: nobody watched it to its end"
                return
            if self._cleared:
                self._cleared = False
                self._command("end", "--job", self.uri, "--reason", "the task was cleared")
                if not self._prepare():
                    return
            elif code == 0:
                self.outcome, self.digest = "done", json.loads(output)["digest"]
                return
            elif code > 0 and self._is_final():  # else the trigger watches again
                self.outcome = output
                return
        self.outcome = f"not over after {WATCHES} watchers"

    def _is_final(self) -> bool:
        code, output = self._command("status", "--job", self.uri)
        return code == 0 and json.loads(output)["state"] in ("failed", "cancelled", "exhausted")

    def _command(self, *words: str) -> tuple[int, str]:
        return self._finish(self._start(*words))

    def _start(self, *words: str) -> "subprocess.Popen[str]":
        with self._log.open("a") as log:
            process = subprocess.Popen(
                [*SPOT, *words], env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        if words[0] == "watch":
            with self._lock:
                self._watchers.append(process)
        return process

    def _finish(self, process: "subprocess.Popen[str]") -> tuple[int, str]:
        output, _ = process.communicate()
        with self._lock:
            if process in self._watchers:
                self._watchers.remove(process)
        if process.returncode > 0:
            said = self._log.read_text().splitlines()
            return process.returncode, next((line for line in reversed(said) if line.startswith("error: ")), "")
        lines = output.strip().splitlines()
        return process.returncode, lines[-1] if lines else ""
