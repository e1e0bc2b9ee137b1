"""Waits in the triggerer for a training on a machine in the cloud.

    self.defer(trigger=SpotTrainingTrigger(job="s3://...", give_up_at="2026-11-23T20:00:00Z"), method_name="resume")

The work is done by ``python -m ml_training.cloud.spot watch``, a process beside the triggerer, which asks for machines
and prints their log; its lines go into the task's log. It reads the job from the bucket and may be ended and started
again at any time: a triggerer that restarts, or a task that is cleared, ends this process and never the machine.

When it ends with an error and the job has not ended (the bucket or EC2 did not answer), it is started again. Secrets
come from Airflow's connections each time; the trigger itself holds none.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from operators.async_command import AsyncCommand
from operators.command_environment import command_environment
from operators.ml_command import CALLED_WRONGLY, SPEC_VARIABLE, failure_message, log_line

SPOT = "ml_training.cloud.spot"
FINAL_STATES = ("failed", "cancelled", "exhausted")
PAUSE_SECONDS = 30.0


class SpotTrainingTrigger(BaseTrigger):
    """Fires once: ``{"state": "done", "result": ...}``, or ``{"state": "failed", "message": ...}``."""

    def __init__(self, *, job: str, give_up_at: str, pause_seconds: float = PAUSE_SECONDS) -> None:
        super().__init__()
        self.job = job
        self.give_up_at = give_up_at
        self.pause_seconds = pause_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the database keeps of it."""
        kept = {"job": self.job, "give_up_at": self.give_up_at, "pause_seconds": self.pause_seconds}
        return "triggers.spot.SpotTrainingTrigger", kept

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until the job has ended or the time is over."""
        left = (datetime.fromisoformat(self.give_up_at) - datetime.now(UTC)).total_seconds()
        try:
            async with asyncio.timeout(max(left, 0)):
                event = await self._watch_until_it_ends()
        except TimeoutError:
            event = _failed(f"{self.job} did not end until {self.give_up_at}: docs/runbook-stuck-run.md")
        yield TriggerEvent(event)

    async def _watch_until_it_ends(self) -> dict[str, Any]:
        while True:
            watch = await self._command("watch")
            if watch.exit_code == 0:
                return {"state": "done", "result": json.loads(watch.last_output)}
            message = self._failure(watch.error_tail)
            if watch.exit_code == CALLED_WRONGLY or await self._state() in FINAL_STATES:
                return _failed(message)
            self.log.warning(
                "watching ended with exit code %s, the job has not: again in %g seconds",
                watch.exit_code,
                self.pause_seconds,
            )
            await asyncio.sleep(self.pause_seconds)

    def _failure(self, lines: Sequence[str]) -> str:
        """Return the command's error with all that follows it: the end of the job's log."""
        starts = [index for index, line in enumerate(lines) if line.startswith(f"error: {self.job}")]
        return "\n".join(lines[starts[-1] :]) if starts else failure_message(lines)

    async def _state(self) -> str | None:
        """Return the job's state, None when nobody can tell."""
        status = await self._command("status")
        return json.loads(status.last_output).get("state") if status.exit_code == 0 else None

    async def _command(self, command: str) -> AsyncCommand:
        environment = await asyncio.to_thread(command_environment, {})
        spec = {"command": command, "job": self.job}
        arguments = [sys.executable, "-m", SPOT, "--json", "--spec-from-env"]
        async with AsyncCommand(arguments, {**environment, SPEC_VARIABLE: json.dumps(spec)}, say=self._say) as running:
            await running.run()
        return running

    def _say(self, stream: str, line: str) -> None:
        if stream == "stderr":
            log_line(self.log, stream, line)


def _failed(message: str) -> dict[str, Any]:
    return {"state": "failed", "message": message}
