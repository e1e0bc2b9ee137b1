"""Runs one attempt of a job on the machine that was sent for it, and says how it ended.

    python -m ml_training.cloud.supervisor --job s3://adbreak/training/jobs/3f9c2d1a7b60 --attempt 1

It starts the training as a process group, passes on its log and progress, and makes it store its state and end when
there is a reason to leave (``cloud.leaving``). A training that a signal kills, or that fails while the bucket does not
answer, goes on from its last checkpoint, on the same machine. Every way out is written to the job's folder, and with
``--shut-down`` the machine is off after it. docs/machine.md tells the whole.
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ml_training.cloud.imds import MachineFacts, Metadata
from ml_training.cloud.jobs import Attempt, Cause, Ending, Job, JobSpec, Market, Result
from ml_training.cloud.leaving import LAST_WORDS_SECONDS, Leave, Reasons, Spending
from ml_training.cloud.lifeline import Lifeline
from ml_training.cloud.machine_log import MachineLog
from ml_training.cloud.trainer_process import TrainerProcess
from ml_training.cloud.training_progress import read_progress
from ml_training.cloud.work_files import WorkFiles
from ml_training.config.settings import read_settings
from ml_training.utils.command_line import LOG_FORMAT, SPEC_VARIABLE, command_parser, run_command
from ml_training.utils.errors import CloudUnreachable, JobError, StorageError, Superseded, UsageError
from ml_training.utils.termination import Terminated, Termination, deferred_termination

POLL_SECONDS = 0.2
RETRY_SECONDS = 2.0
START_SECONDS = 300.0  # for the bucket to answer for the first time
KILLED_TIMES = 3  # by a signal; then it is the training's own fault
TROUBLED_SECONDS = 120.0  # a failure so long after the bucket's last failure may come from it
MOST_REQUESTS = 100
FAILURES: set[str] = {"done", "failed", "idle", "budget", "deadline"}  # the job's end, not only this machine's
MESSAGE_LINES = 15
LONGEST_MESSAGE = 4000

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How the attempt ended."""

    cause: Cause | Literal["superseded"]
    message: str = ""
    output: dict[str, Any] | None = None


class Machine(NamedTuple):
    """What the user data says of the machine."""

    booted_at: float
    usd_per_hour: float | None = None
    boot_log: Path | None = None


class Supervisor:
    """One attempt under way."""

    def __init__(self, job: Job, number: int, machine: Machine, termination: Termination) -> None:
        self._job, self._number, self._machine, self._termination = job, number, machine, termination
        self._metadata = Metadata()
        self._facts = self._metadata.facts()
        self._log = MachineLog()
        self._work = WorkFiles(job, read_settings().work_dir)
        self._lifeline = Lifeline(job, number, self._facts.instance_id, log=self._log, work=self._work)
        self._spending = Spending(machine.usd_per_hour, 0.0, machine.booted_at)
        self._reasons: Reasons | None = None
        self._patience_seconds = START_SECONDS

    def run(self) -> Outcome:
        """Run the attempt to its end, whatever that is, and write it down. Raises CloudUnreachable when it cannot."""
        with _heard_by(self._log):
            _read_boot_log(self._machine.boot_log, self._log)
            try:
                outcome = self._attempt()
            except JobError as error:  # the spec is missing, or of another version
                outcome = Outcome("superseded" if isinstance(error, Superseded) else "failed", error.message)
            except StorageError as error:
                outcome = Outcome("unreachable", error.message)
            except Exception as error:  # another machine goes on; this one says what happened
                logger.exception("the supervisor failed")
                outcome = Outcome("lost", f"the supervisor failed: {error!r}")
            logger.info("%s%s", outcome.cause, f": {outcome.message}" if outcome.message else "")
            self._last_words(outcome)
        return outcome

    def _attempt(self) -> Outcome:
        spec, attempt, spent = self._read_patiently()
        facts = self._facts
        self._patience_seconds = spec.unreachable_seconds
        price = attempt.price(facts.instance_type, facts.zone) or self._machine.usd_per_hour
        self._spending = Spending(price, spent, self._machine.booted_at)
        logger.info("attempt %d of %s on %s (%s)", self._number, self._job.uri, facts.instance_id, facts.instance_type)
        if spec.machines > 1:
            return Outcome("failed", f"the spec asks for {spec.machines} machines: one is what a job can have; say 1")
        self._reasons = Reasons(spec, attempt, self._spending, self._metadata, self._lifeline)
        self._reasons.start()
        self._lifeline.start(spec.heartbeat_seconds)
        self._restore()
        return self._train(spec)

    def _read(self) -> tuple[JobSpec, Attempt, float]:
        """Return the spec, this attempt, and what the others have cost."""
        spec, attempts = self._job.spec(), self._job.attempts()
        own = next((found for found in attempts if found.number == self._number), None)
        if own is None:
            raise JobError(f"{self._job.uri} has no attempt {self._number}: the launcher writes it down first")
        endings = [self._job.ending(found.number) for found in attempts if found.number != self._number]
        return own.applied_to(spec), own, sum(ending.usd or 0.0 for ending in endings if ending)

    def _train(self, spec: JobSpec) -> Outcome:
        killed = 0
        while True:
            code, leave, last_output = self._run_once(spec)
            if code == 0:
                return _done(last_output)
            if leave is not None:
                return Outcome(leave.cause, leave.message + _stored(code) + self._last_lines(leave.cause))
            if code < 0 or code == 128 + signal.SIGTERM:
                killed += 1
                how = _signal_name(code)
                if killed == KILLED_TIMES:
                    return Outcome("failed", f"{how} ended the training {killed} times (SIGKILL: perhaps its memory)")
                logger.warning("%s ended the training: it goes on from its last checkpoint", how)
            elif self._lifeline.refused_within(TROUBLED_SECONDS):
                logger.warning(
                    "the training failed while the bucket did not answer: it goes on from its last checkpoint"
                )
                self._wait_for_the_bucket()
            else:
                return Outcome("failed", self._own_error(code))

    def _run_once(self, spec: JobSpec) -> tuple[int, Leave | None, str]:
        """Run the training until it ends; return its exit code, why it had to, and its last line of output."""
        leave, until, asked = self._leave(), 0.0, 0.0
        if leave is not None:
            return 128 + signal.SIGTERM, leave, ""
        arguments = [sys.executable, "-m", spec.module, "--json", "--spec-from-env"]
        with TrainerProcess(arguments, self._environment(spec), self._hear) as trainer:
            self._lifeline.say("training")
            if self._reasons:
                self._reasons.sign_of_life()
            while (code := trainer.poll()) is None:
                now, reason = time.monotonic(), self._leave()
                if reason is not None and (leave is None or reason.cause == "interrupted"):
                    until = min(until, now + reason.grace_seconds) if leave else now + reason.grace_seconds
                if reason is not None and leave is None:
                    leave, asked = reason, now
                    logger.info("leaves: %s", leave.message)
                    self._lifeline.say("leaving")
                    trainer.terminate()
                if leave is not None and now >= until:
                    trainer.kill()
                time.sleep(POLL_SECONDS)
        if leave is not None:
            logger.info("the training ended %.1f s after it was asked to", time.monotonic() - asked)
        return code, leave, trainer.last_output

    def _leave(self) -> Leave | None:
        return self._reasons.first(self._termination) if self._reasons else None

    def _hear(self, line: str, transient: bool) -> None:
        self._log.add(line, transient)
        if progress := read_progress(line):
            self._lifeline.tell(progress)
        if self._reasons:
            self._reasons.sign_of_life()

    def _environment(self, spec: JobSpec) -> dict[str, str]:
        """Return the training's environment; it is more patient with the bucket than the supervisor."""
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

    def _read_patiently(self) -> tuple[JobSpec, Attempt, float]:
        """Read the job, again until the bucket answers. Raises StorageError after five minutes."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._read()
            except StorageError:
                if time.monotonic() >= until or self._termination.asked:
                    raise
                time.sleep(RETRY_SECONDS)

    def _restore(self) -> None:
        """Fetch what earlier attempts computed, again until the bucket answers or there is a reason to leave."""
        while self._leave() is None:
            try:
                self._work.restore(lambda: self._leave() is None)
            except StorageError as error:
                logger.warning("%s", error.message)
                time.sleep(RETRY_SECONDS)
            else:
                return

    def _last_words(self, outcome: Outcome) -> None:
        """Write down how it ended, as long as there is time for it. Raises CloudUnreachable when there is not."""
        left = self._reasons.seconds_to_the_end() if self._reasons else START_SECONDS
        until = time.monotonic() + max(
            LAST_WORDS_SECONDS / 3, min(self._patience_seconds, left - LAST_WORDS_SECONDS / 3)
        )
        said = threading.Event()
        thread = threading.Thread(target=self._say, args=(outcome, until, said), name="last words", daemon=True)
        thread.start()
        thread.join(max(0.0, until - time.monotonic()))
        if not said.is_set():
            raise CloudUnreachable(f"the end of attempt {self._number} could not be written to {self._job.uri}")

    def _say(self, outcome: Outcome, until: float, said: threading.Event) -> None:
        if self._reasons:
            self._reasons.stop()
        self._lifeline.stop(RETRY_SECONDS)
        words: list[Callable[[], Any]] = [self._lifeline.store_log, lambda: self._finish(outcome)]
        if outcome.cause not in ("done", "superseded"):
            words.insert(1, self._work.store)
        for word in words:
            while time.monotonic() < until:
                with suppress(StorageError):
                    word()
                    break
                time.sleep(RETRY_SECONDS)
        said.set()
        if outcome.cause == "done":
            with suppress(StorageError):
                self._work.remove()

    def _finish(self, outcome: Outcome) -> None:
        """Write result and ending; a machine that was replaced writes nothing."""
        cause, facts, now = outcome.cause, self._facts, datetime.now(UTC)
        if cause == "superseded":
            return
        message = outcome.message[-LONGEST_MESSAGE:]
        if cause in FAILURES:
            result = Result(
                attempt=self._number, cause=cause, message=message, ended_at=now, output=outcome.output or {}
            )
            try:
                self._job.finish(result)
            except Superseded as error:
                logger.warning("%s", error.message)
                return
        ending = Ending(
            attempt=self._number,
            instance_id=facts.instance_id,
            cause=cause,
            message=message,
            ended_at=now,
            seconds=self._spending.seconds(),
            usd=self._spending.usd(),
            instance_type=facts.instance_type,
            market=_market(facts),
            zone=facts.zone,
        )
        self._job.end(ending)


def supervise(job_uri: str, number: int, machine: Machine) -> dict[str, Any]:
    """Run one attempt to its end; returns its cause and message. Raises CloudUnreachable when nobody could be told."""
    outcome: Outcome | None = None
    with suppress(Terminated), deferred_termination() as termination:
        outcome = Supervisor(Job(job_uri), number, machine, termination).run()
    assert outcome is not None
    return {"cause": outcome.cause, "message": outcome.message}


def shut_down() -> None:
    """Turn the machine off."""
    subprocess.run(["shutdown", "-h", "now"], check=False, timeout=60)


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


def _market(facts: MachineFacts) -> Market | None:
    return "spot" if facts.market == "spot" else "on-demand" if facts.market else None


def _read_boot_log(path: Path | None, log: MachineLog) -> None:
    if path is not None and path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            log.add(line)


@contextmanager
def _heard_by(log: MachineLog) -> Iterator[None]:
    """Let what the supervisor logs stand in the machine's log too."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.add(self.format(record))

    handler = Handler(logging.INFO)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger("ml_training").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("ml_training").removeHandler(handler)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    if args.attempt < 1:
        raise UsageError(f"--attempt counts from 1, received {args.attempt}")
    machine = Machine(args.booted_at or time.time(), args.usd_per_hour or None, args.boot_log)
    try:
        return supervise(args.job, args.attempt, machine)
    finally:
        if args.shut_down:
            shut_down()


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.cloud.supervisor", __doc__)
    parser.add_argument("--job", required=True, help="address of the job's folder")
    parser.add_argument("--attempt", type=int, required=True, help="number of this machine's attempt")
    parser.add_argument("--booted-at", type=float, help="when the machine began, in seconds since 1970")
    parser.add_argument("--usd-per-hour", type=float, help="price of the machine, where the attempt does not say it")
    parser.add_argument("--boot-log", type=Path, help="log of the set-up: the first lines of the machine's log")
    parser.add_argument("--shut-down", action="store_true", help="turn the machine off afterwards, whatever happens")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
