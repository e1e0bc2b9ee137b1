"""The training on a machine, from its first start to its end, with the other machines of its job where it has some.

    outcome = Training(job, number, spec, company=company, leave=why_to_leave, ...).run()

A training that a signal kills, or that fails while the bucket does not answer, goes on from its last checkpoint, on the
same machine. Of several machines all begin together, and when one has gone all begin anew (``cloud.cluster``).
"""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ml_training.cloud.company import Company, Round
from ml_training.cloud.jobs import Cause, Job, JobSpec
from ml_training.cloud.leaving import Leave, Reasons
from ml_training.cloud.lifeline import Lifeline
from ml_training.cloud.machine_log import MachineLog
from ml_training.cloud.trainer_process import TrainerProcess
from ml_training.cloud.training_progress import read_progress
from ml_training.utils.command_line import SPEC_VARIABLE

POLL_SECONDS = 0.2
KILLED_TIMES = 3  # by a signal; then it is the training's own fault
OTHERS_FIRST = 1  # so many times more where another machine may be at fault: it says so first
OWN_ERROR = "error: "  # how a command's last word begins when it knows what went wrong
TROUBLED_SECONDS = 120.0  # a failure so long after the bucket's last failure may come from it
MOST_REQUESTS = 100
MESSAGE_LINES = 15

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How the attempt ended."""

    cause: Cause | Literal["superseded"]
    message: str = ""
    output: dict[str, Any] | None = None


class Training:
    """One machine's part of a training."""

    def __init__(
        self,
        job: Job,
        number: int,
        spec: JobSpec,
        *,
        log: MachineLog,
        lifeline: Lifeline,
        company: Company,
        reasons: Reasons,
        leave: Callable[[], Leave | None],
    ) -> None:
        """``leave`` says why the machine has to leave now, None when it may stay."""
        self._job, self._number, self._spec = job, number, spec
        self._log, self._lifeline, self._company, self._reasons = log, lifeline, company, reasons
        self._leave = leave

    def run(self) -> Outcome:
        """Train until it is over, and say how that came; also when the machine has to leave."""
        killed, attempts = 0, [self._number]
        while True:
            turn = self._meet()
            if isinstance(turn, Outcome):
                return turn
            killed, attempts = killed if turn.attempts() == attempts else 0, turn.attempts()
            code, leave, last_output = self._run_once(turn)
            if code == 0 and self._company.is_first:
                return _done(last_output)
            if leave is not None and not leave.regroup:
                return Outcome(leave.cause, leave.message + _stored(code) + self._last_lines(leave.cause))
            if code == 0 or leave is not None:  # it waits for the first machine, which may need it again
                continue
            if code < 0 or code == 128 + signal.SIGTERM or self._lost_another(code):
                killed += 1
                if (fault := self._fault(code, killed)) is not None:
                    return fault
            elif self._lifeline.refused_within(TROUBLED_SECONDS):
                logger.warning(
                    "the training failed while the bucket did not answer: it goes on from its last checkpoint"
                )
                self._wait_for_the_bucket()
            else:
                return Outcome("failed", self._own_error(code))

    def _meet(self) -> Round | Outcome:
        """Wait until all machines of the job are ready; return their round, or how it ends without one."""
        self._company.come()
        said: list[int] = []
        while (turn := self._company.called()) is None:
            if (verdict := self._company.verdict()) is not None:
                return Outcome(verdict.cause, verdict.message, {})
            if (leave := self._leave()) is not None:
                return Outcome(leave.cause, leave.message)
            self._reasons.sign_of_life()  # it is not the training that stands still
            if (missing := self._company.missing()) != said:
                said = missing
                self._say_who_is_missing(missing)
            time.sleep(POLL_SECONDS)
        if self._company.machines > 1:
            logger.info("round %d of %d machines begins", turn.number, self._company.machines)
        return turn

    def _say_who_is_missing(self, numbers: list[int]) -> None:
        if numbers:
            logger.info("waits for machine %s of %d", " and ".join(map(str, numbers)), self._company.machines)

    def _fault(self, code: int, killed: int) -> Outcome | None:
        """Say that a training which ends again and again is at fault itself; None while it may go on."""
        how, lost = _signal_name(code), code >= 0 and self._company.machines > 1
        if killed == KILLED_TIMES + (OTHERS_FIRST if lost else 0):
            if lost:
                return Outcome("failed", self._own_error(code))
            return Outcome("failed", f"{how} ended the training {killed} times (SIGKILL: perhaps its memory)")
        logger.warning("%s ended the training: it goes on from its last checkpoint", how)
        return None

    def _lost_another(self, code: int) -> bool:
        """Tell whether a training of several machines failed without a word of its own: another one may have gone."""
        lines = self._log.tail().splitlines()[-MESSAGE_LINES:]
        return self._company.machines > 1 and not any(line.startswith(OWN_ERROR) for line in lines)

    def _run_once(self, turn: Round) -> tuple[int, Leave | None, str]:
        """Run the training until it ends; return its exit code, why it had to, and its last line of output."""
        leave, until, asked = self._leave(), 0.0, 0.0
        if leave is not None:
            return 128 + signal.SIGTERM, leave, ""
        arguments = [sys.executable, "-m", self._spec.module, "--json", "--spec-from-env"]
        environment = {**self._environment(), **self._company.environment(turn)}
        with TrainerProcess(arguments, environment, self._hear) as trainer:
            self._lifeline.say("training")
            self._reasons.sign_of_life()
            while (code := trainer.poll()) is None:
                now, reason = time.monotonic(), self._leave() or self._regroup(turn)
                if reason is not None and (leave is None or reason.cause == "interrupted"):
                    until = min(until, now + reason.grace_seconds) if leave else now + reason.grace_seconds
                if reason is not None and leave is None:
                    leave, asked = reason, now
                    self._say_that_it_leaves(leave)
                    trainer.terminate()
                if leave is not None and now >= until:
                    trainer.kill()
                time.sleep(POLL_SECONDS)
        if leave is not None:
            logger.info("the training ended %.1f s after it was asked to", time.monotonic() - asked)
        return code, leave, trainer.last_output

    def _regroup(self, turn: Round) -> Leave | None:
        broken = self._company.broken(turn)
        return Leave("interrupted", broken, regroup=True) if broken else None

    def _say_that_it_leaves(self, leave: Leave) -> None:
        if leave.regroup:
            logger.info("the training begins anew with the others: %s", leave.message)
            return
        logger.info("leaves: %s", leave.message)
        self._lifeline.say("leaving")
        self._company.leave(leave.message)

    def _hear(self, line: str, transient: bool) -> None:
        self._log.add(line, transient)
        if progress := read_progress(line):
            self._lifeline.tell(progress)
        self._reasons.sign_of_life()

    def _environment(self) -> dict[str, str]:
        """Return the training's environment; it is more patient with the bucket than the supervisor."""
        spec = self._spec
        requests = min(MOST_REQUESTS, 5 + round(spec.unreachable_seconds / 12))
        return {
            **os.environ,
            **spec.environment,
            SPEC_VARIABLE: json.dumps(spec.options),
            "ADBREAK_JOB": self._job.uri,
            "ADBREAK_ATTEMPT": str(self._number),
            "ADBREAK_GPUS": str(spec.gpus),
            "ADBREAK_STORAGE_ATTEMPTS": str(requests),
            "PYTHONUNBUFFERED": "1",
        }

    def _own_error(self, code: int) -> str:
        lines = self._log.tail().splitlines()[-MESSAGE_LINES:]
        return "\n".join([f"the training ended with exit code {code}; its last lines:", *lines])

    def _last_lines(self, cause: str) -> str:
        """Return what a training that stood still said last."""
        return "\n".join(["; its last lines:", self._log.tail()]) if cause == "idle" else ""

    def _wait_for_the_bucket(self) -> None:
        while not self._lifeline.answers and self._leave() is None:
            time.sleep(POLL_SECONDS)


def _done(last_output: str) -> Outcome:
    try:
        output = json.loads(last_output)
    except ValueError:
        output = None
    if not isinstance(output, dict):
        text = f"the training ended well, and its last line is no result: {last_output[:200]!r}"
        return Outcome("failed", text)
    return Outcome("done", output=output)


def _stored(code: int) -> str:
    return "" if code in (128 + signal.SIGTERM, -signal.SIGTERM) else f"; the training ended with {_signal_name(code)}"


def _signal_name(code: int) -> str:
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit code {code}"
