"""Runs one attempt of a job on the machine that was sent for it, and says how it ended.

    python -m ml_training.cloud.supervisor --job s3://adbreak/training/jobs/3f9c2d1a7b60 --attempt 1

It starts the training as a process group, passes on its log and progress, and makes it store its state and end when
there is a reason to leave (``cloud.leaving``, ``cloud.training_run``). Every way out is written to the job's folder,
and with ``--shut-down`` the machine is off after it. docs/machine.md tells the whole.
"""

import argparse
import logging
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ml_training.cloud.cluster import cluster_of
from ml_training.cloud.company import Alone, Company
from ml_training.cloud.imds import MachineFacts, Metadata
from ml_training.cloud.jobs import Attempt, Ending, Job, JobSpec, Market, Result
from ml_training.cloud.leaving import LAST_WORDS_SECONDS, Leave, Reasons, Spending
from ml_training.cloud.lifeline import Lifeline
from ml_training.cloud.machine_log import MachineLog, heard_by, read_boot_log
from ml_training.cloud.training_run import Outcome, Training
from ml_training.cloud.work_files import WorkFiles
from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import CloudUnreachable, JobError, StorageError, Superseded, UsageError
from ml_training.utils.termination import Terminated, Termination, deferred_termination

RETRY_SECONDS = 2.0
START_SECONDS = 300.0  # for the bucket to answer for the first time
FAILURES: set[str] = {"done", "failed", "idle", "budget", "deadline"}  # the job's end, not only this machine's
LONGEST_MESSAGE = 4000

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


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
        self._company: Company = Alone()
        self._patience_seconds = START_SECONDS

    def run(self) -> Outcome:
        """Run the attempt to its end, whatever that is, and write it down. Raises CloudUnreachable when it cannot."""
        with heard_by(self._log):
            read_boot_log(self._machine.boot_log, self._log)
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
        spec, attempt, spent = self._patiently(self._read)
        facts = self._facts
        self._patience_seconds = spec.unreachable_seconds
        price = attempt.price(facts.instance_type, facts.zone) or self._machine.usd_per_hour
        self._spending = Spending(price, spent, self._machine.booted_at)
        logger.info("attempt %d of %s on %s (%s)", self._number, self._job.uri, facts.instance_id, facts.instance_type)
        self._company = self._patiently(lambda: cluster_of(self._job, spec, attempt, self._metadata))
        self._reasons = Reasons(spec, attempt, self._spending, self._metadata, self._lifeline)
        self._reasons.start()
        self._lifeline.start(spec.heartbeat_seconds)
        self._company.start(spec.heartbeat_seconds)
        self._restore()
        return Training(
            self._job,
            self._number,
            spec,
            log=self._log,
            lifeline=self._lifeline,
            company=self._company,
            reasons=self._reasons,
            leave=self._leave,
        ).run()

    def _read(self) -> tuple[JobSpec, Attempt, float]:
        """Return the spec, this attempt, and what the others have cost."""
        spec, attempts = self._job.spec(), self._job.attempts()
        own = next((found for found in attempts if found.number == self._number), None)
        if own is None:
            raise JobError(f"{self._job.uri} has no attempt {self._number}: the launcher writes it down first")
        endings = [self._job.ending(found.number) for found in attempts if found.number != self._number]
        return own.applied_to(spec), own, sum(ending.usd or 0.0 for ending in endings if ending)

    def _leave(self) -> Leave | None:
        return self._reasons.first(self._termination) if self._reasons else None

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask the bucket, again until it answers. Raises StorageError after five minutes."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                return ask()
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
        self._company.stop()
        words: list[Callable[[], Any]] = [
            self._lifeline.store_log,
            lambda: self._finish(outcome),
            lambda: self._tell_the_others(outcome),
        ]
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

    def _tell_the_others(self, outcome: Outcome) -> None:
        if outcome.cause != "superseded":
            with suppress(Superseded):
                self._company.end(outcome.cause, outcome.message[-LONGEST_MESSAGE:])


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


def _market(facts: MachineFacts) -> Market | None:
    return "spot" if facts.market == "spot" else "on-demand" if facts.market else None


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
