"""The one step that keeps a job of any number of machines going, and the one status that they have together.

    status = advance(job, config, datetime.now(UTC))      # again and again, until status.is_over

Each machine's job takes its own step (``cloud.launcher``). A further machine is asked for once the first is there. When
the first is over, the others are ended; when another one is over too early, the first fails for its reason. As with one
machine, a step may be cut off anywhere, and several may be taken at once.
"""

import logging
from contextlib import suppress
from datetime import datetime, timedelta

from ml_training.cloud import launcher, storage
from ml_training.cloud.attempts import History, read_history, spec_now
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.ending import withdraw_one
from ml_training.cloud.jobs import Again, Cause, Job, JobSpec, Result
from ml_training.cloud.launcher import LEAVING_SECONDS, is_decided
from ml_training.cloud.members import member_spec, members
from ml_training.cloud.status import State, Status
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import JobError, Superseded

PROGRESS: tuple[State, ...] = ("launching", "booting", "training")
CAUSES: dict[State, Cause] = {"failed": "failed", "cancelled": "cancelled", "exhausted": "lost"}

logger = logging.getLogger(__name__)


def advance(job: Job, config: CloudConfig, now: datetime, ec2: Ec2 | None = None) -> Status:
    """Take one step of every machine's job. Raises what ``launcher.advance`` does."""
    return _Step(job, config, now, ec2 or Ec2(config)).take()


def look(job: Job, config: CloudConfig, now: datetime, ec2: Ec2 | None = None) -> Status:
    """Return where a job stands, and change nothing."""
    return _Step(job, config, now, ec2 or Ec2(config)).look()


class _Step:
    """One step of all, or one look at them."""

    def __init__(self, job: Job, config: CloudConfig, now: datetime, ec2: Ec2) -> None:
        self.job, self.config, self.now, self.ec2 = job, config, now, ec2

    def take(self) -> Status:
        first, others = self._advance(self.job), members(self.job)
        if not others:
            return first
        if first.is_over or is_decided(self.job, self.config):
            return _together(first, [self._let_go(one, first) for one in others])
        history = read_history(self.job)
        spec, may_begin = spec_now(self.job, history), first.state in ("booting", "training")
        found = []
        for index, one in enumerate(others, start=1):
            if _is_written(one) or may_begin:
                found.append(self._keep(one, member_spec(self.job, spec, index), history))
            else:
                found.append(_unasked(one, first))
        self._fail_with(found, history)
        return _together(first, found)

    def look(self) -> Status:
        first = launcher.look(self.job, self.config, self.now, self.ec2)
        return _together(
            first,
            [
                launcher.look(one, self.config, self.now, self.ec2) if _is_written(one) else _unasked(one, first)
                for one in members(self.job)
            ],
        )

    def _advance(self, one: Job) -> Status:
        return launcher.advance(one, self.config, self.now, self.ec2)

    def _keep(self, one: Job, spec: JobSpec, first: History) -> Status:
        """Take a step of a further machine's job, which begins, and begins again, when the first one does."""
        if not _is_written(one):
            with suppress(JobError):  # somebody else writes it down at the same moment
                one.create(spec)
        series = read_history(one).series
        if series and first.series and series[0].created_at < first.series[0].created_at:
            self._renew(one, spec, series[-1].number)
        return self._advance(one)

    def _renew(self, one: Job, spec: JobSpec, newest: int) -> None:
        """The first one has begun again: end what is left of this one, and let it begin again with the same limits."""
        if not is_decided(one, self.config):
            withdraw_one(one, self.config, "the first machine has begun again", self.now)
        elif one.begun_again(newest + 1) is None:
            limits = {"budget_usd": spec.budget_usd, "deadline_seconds": spec.deadline_seconds}
            one.begin_again(newest + 1, Again(code=spec.code, lock=spec.lock, **limits))

    def _let_go(self, one: Job, first: Status) -> Status:
        """End a further machine: it has a moment to see by itself that the first one is done."""
        newest = read_history(one).newest
        has_ended = newest is None or one.ending(newest.number) is not None
        if has_ended or (first.is_over and not self._was_done_just_now()):
            withdraw_one(one, self.config, f"the first machine is over: {first.state}", self.now)
        return self._advance(one) if _is_written(one) else _unasked(one, first)

    def _was_done_just_now(self) -> bool:
        result = self.job.result()
        if result is None or result.cause != "done":
            return False
        return self.now < result.ended_at + timedelta(seconds=LEAVING_SECONDS)

    def _fail_with(self, found: list[Status], history: History) -> None:
        """Let the whole be over for the reason of a machine that is."""
        for number, status in enumerate(found, start=2):
            if status.state not in CAUSES or history.newest is None:
                continue
            attempt, message = history.newest.number, f"machine {number} of {len(found) + 1}: {status.message}"
            logger.warning("%s: %s", self.job.job_id, message)
            result = Result(attempt=attempt, cause=CAUSES[status.state], message=message, ended_at=self.now)
            with suppress(Superseded):  # another one was begun just now: the next step sees
                self.job.finish(result)
            self.job.cancel(attempt, message, self.now)
            return


def _together(first: Status, others: list[Status]) -> Status:
    """Return one status: the first machine's, as far as all have come, with what all cost."""
    if not others:
        return first
    waiting = [
        f"machine {number} of {len(others) + 1} is {one.state}" + (f" ({one.message})" if one.message else "")
        for number, one in enumerate(others, start=2)
        if not (one.is_over if first.is_over else one.state == "training")
    ]
    state = first.state
    if first.is_over and waiting:
        state = "ending"
    elif first.state in PROGRESS:
        state = PROGRESS[min(_come(one) for one in (first, *others))]
    return first.model_copy(
        update={
            "state": state,
            "message": "; ".join(part for part in (first.message, *waiting) if part),
            "usd": round(first.usd + sum(one.usd for one in others), 6),
            "budget_usd": first.budget_usd + sum(one.budget_usd for one in others),
        }
    )


def _come(one: Status) -> int:
    return PROGRESS.index(one.state) if one.state in PROGRESS else 0


def _is_written(one: Job) -> bool:
    return storage.exists(one.at("spec.json"))


def _unasked(one: Job, first: Status) -> Status:
    state: State = first.state if first.is_over else "launching"
    return Status(job_uri=one.uri, state=state, budget_usd=first.budget_usd, simulated=first.simulated)
