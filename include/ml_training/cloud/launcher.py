"""The one step that keeps a job going: look at its folder and at EC2, and do what comes next.

    status = advance(job, config, datetime.now(UTC))      # again and again, until status.is_over

A step may be cut off anywhere, and several may be taken at once: what decides (attempts, endings, results) is written
once, a machine is asked for by a request that can be repeated, and a further one only when EC2 says ``terminated`` of
all before it. docs/cloud.md tells why there are never two.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from ml_training.cloud import costs
from ml_training.cloud.attempts import (
    RELAUNCHED,
    give_up,
    job_tags,
    launch_request,
    next_attempt,
    pause_seconds,
    read_history,
    spec_now,
    template_name,
)
from ml_training.cloud.ec2 import SAME_TOKEN_OTHER_REQUEST, VISIBLE_SECONDS, Ec2, Instance
from ml_training.cloud.jobs import Again, Attempt, Cause, Ending, Heartbeat, Job, Launch, Result
from ml_training.cloud.status import OVER, State, Status
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import CloudError, CloudUnreachable, NoCapacity, Superseded

SECOND_LOOK_HEARTBEATS = 3
LEAVING_SECONDS = 90.0  # a machine that has said its last word shuts itself down; later it is terminated
NOT_REFUSED = {  # the attempt is over, or its machine exists: the next step sees
    "InvalidLaunchTemplateName.NotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    SAME_TOKEN_OTHER_REQUEST,
}
ADVICE: dict[Cause, str] = {
    "deadline": "raise deadline_hours in the cloud's config and begin the job again, it goes on from its checkpoint",
    "budget": "raise budget_usd in the cloud's config and begin the job again, it goes on from its checkpoint",
    "idle": "its log says what it did last; begin the job again, it goes on from its checkpoint",
}
STATES: dict[Cause, State] = {"done": "done", "failed": "failed", "cancelled": "cancelled"}  # others: exhausted

logger = logging.getLogger(__name__)


def advance(job: Job, config: CloudConfig, now: datetime, ec2: Ec2 | None = None) -> Status:
    """Take one step. Raises CloudUnreachable and StorageError when nothing can be known now: then step again later."""
    return Step(job, config, now, ec2 or Ec2(config)).take()


def look(job: Job, config: CloudConfig, now: datetime, ec2: Ec2 | None = None) -> Status:
    """Return where a job stands, and change nothing."""
    return Step(job, config, now, ec2 or Ec2(config)).look()


def is_decided(job: Job, config: CloudConfig) -> bool:
    """Tell whether a job is over, or only waits for its machine to go. It asks nobody but the job's folder."""
    history = read_history(job)
    newest = history.newest
    if newest is None:
        return False
    if job.result() is not None or job.cancellation(newest.first) is not None:
        return True
    ending = history.endings.get(newest.number)
    if ending is None:
        return False
    return ending.cause not in RELAUNCHED or give_up(history, spec_now(job, history), config) is not None


class Verdict(NamedTuple):
    """Why a machine has to go."""

    cause: Cause
    message: str


class Step:
    """What one step knows, read once at its beginning, and what it does."""

    def __init__(self, job: Job, config: CloudConfig, now: datetime, ec2: Ec2) -> None:
        self.job, self.config, self.now, self.ec2 = job, config, now, ec2
        self.history = read_history(job)
        self.spec = spec_now(job, self.history)
        newest = self.history.newest
        self.known = job.launch(newest.number) if newest else None
        self.beat = self._heartbeat(newest) if newest else None
        self.machines = self._find() if newest else []

    def take(self) -> Status:
        """Do what comes next."""
        newest = self.history.newest
        if newest is None:
            return self._claim()
        return self._or_again(newest, self._step(newest), self._claim)

    def look(self) -> Status:
        """Return where the job stands, and change nothing."""
        newest = self.history.newest
        if newest is None:
            return self._unasked(None)
        machine, (state, message) = self._machine_of(newest), self._standing(newest)
        if state in OVER and self._staying():
            state = "ending"
        now = self._status(newest, state, message, machine)
        return self._or_again(newest, now, lambda again: self._unasked(newest))

    def _unasked(self, newest: Attempt | None) -> Status:
        return self._status(newest, "launching", "nobody has asked for a machine yet")

    def _standing(self, newest: Attempt) -> tuple[State, str]:
        """Return what is known of the newest attempt, whatever machines are still there."""
        if (result := self.job.result()) is not None:
            return STATES.get(result.cause, "exhausted"), result.message
        if (cancelled := self.job.cancellation(newest.first)) is not None:
            return "cancelled", cancelled.reason
        if (ending := self.history.endings.get(newest.number)) is None:
            return self._life() if self._machine_of(newest) else ("launching", "EC2 lists no machine yet")
        if ending.cause not in RELAUNCHED:
            return STATES.get(ending.cause, "exhausted"), ending.message
        reason = give_up(self.history, self.spec, self.config)
        if reason is not None:
            return "exhausted", reason
        return "ending" if self._living() else "launching", ending.message

    def _step(self, newest: Attempt) -> Status:
        """Do what the newest attempt needs."""
        if (result := self.job.result()) is not None:
            return self._close(newest, result.cause, result.message, result.ended_at, grace=True)
        if (cancelled := self.job.cancellation(newest.first)) is not None:
            return self._close(newest, "cancelled", cancelled.reason, cancelled.at, grace=False)
        ending = self.history.endings.get(newest.number)
        if ending is None:
            return self._follow(newest)
        if ending.cause in RELAUNCHED:
            return self._relaunch(newest, ending)
        return self._close(newest, ending.cause, ending.message, ending.ended_at, grace=True)

    def _or_again(self, newest: Attempt, status: Status, begin: Callable[[Again], Status]) -> Status:
        """Begin a job that is over once more, where somebody asked for it, money is left and no machine lives."""
        if not status.is_over or status.state == "done":
            return status
        again = self.job.begun_again(newest.number + 1)
        if again is None:
            return status
        self.history = read_history(self.job)
        self.spec = self.spec.model_copy(update={"budget_usd": again.budget_usd})
        if self.history.spent_usd >= again.budget_usd:
            return self._status(newest, "exhausted", give_up(self.history, self.spec, self.config) or "")
        if living := self._living():
            return self._status(newest, "ending", "waits until EC2 says terminated", living[-1])
        return begin(again)

    def _claim(self, again: Again | None = None) -> Status:
        """Write the next attempt down and ask for its machine."""
        self.config.require_account()
        attempt = next_attempt(self.job, self.history, self.config, self.ec2, self.now, again=again)
        self.known, self.beat = None, None
        if not self.job.claim(attempt):
            return self._status(attempt, "launching", f"somebody else began attempt {attempt.number}")
        logger.info("%s: attempt %d, %s", self.job.job_id, attempt.number, attempt.market)
        return self._launch(attempt)

    def _find(self) -> list[Instance]:
        """Return the job's machines: those with its tag, and the newest also when it is not listed yet."""
        found = self.ec2.find(job_tags(self.job))
        if self.known and self.known.instance_id not in {machine.instance_id for machine in found}:
            unlisted = self.ec2.describe(self.known.instance_id)
            found += [unlisted] if unlisted else []
        return found

    def _launch(self, attempt: Attempt) -> Status:
        """Ask for the machine of an attempt; who did so before got the same one."""
        if self.now >= attempt.created_at + timedelta(minutes=self.config.boot_minutes):
            self.ec2.delete_template(template_name(self.job, attempt.number))
            return self._end(attempt, None, "lost", f"EC2 gave no answer in {self.config.boot_minutes:g} minutes")
        try:
            request = launch_request(self.job, self.spec, attempt, self.config)
            machine = self.ec2.launch(request, still_wanted=lambda: self._require_wanted(attempt))
        except NoCapacity as error:
            return self._end(attempt, None, "capacity", error.message, "launching")
        except (CloudUnreachable, Superseded) as error:
            return self._status(attempt, "launching", error.message)
        except CloudError as error:
            if error.facts.get("code") in NOT_REFUSED:
                return self._status(attempt, "launching", error.message)
            self.job.finish(Result(attempt=attempt.number, cause="failed", message=error.message, ended_at=self.now))
            return self._end(attempt, None, "failed", error.message)
        self._remember(attempt, machine)
        return self._status(attempt, "booting", "EC2 gave a machine", machine)

    def _require_wanted(self, attempt: Attempt) -> None:
        """Raise Superseded, and take the template away, when the attempt ended or was cancelled meanwhile."""
        job, number = self.job, attempt.number
        over = job.result() or job.ending(number) or job.cancellation(attempt.first)
        newer = [one for one in job.attempts() if one.number > number]
        if over or newer:
            self.ec2.delete_template(template_name(job, number))
            raise Superseded(f"attempt {number} of {job.uri} is over: no machine is asked for")

    def _remember(self, attempt: Attempt, machine: Instance) -> None:
        launch = Launch(
            attempt=attempt.number,
            instance_id=machine.instance_id,
            instance_type=machine.instance_type,
            zone=machine.zone,
            market=machine.market,
            usd_per_hour=attempt.price(machine.instance_type, machine.zone),
            at=self.now,
        )
        self.job.launched(launch)

    def _follow(self, attempt: Attempt) -> Status:
        """Look after the machine of an attempt that has not ended."""
        machine = self._machine_of(attempt)
        self.ec2.terminate(one.instance_id for one in self._living() if one is not machine)
        if machine is None and self.known is None:
            return self._launch(attempt)
        if machine is None:
            if self._may_appear(attempt, attempt.created_at):
                return self._status(attempt, "booting", "EC2 does not list the machine yet")
            return self._gone(attempt, None, "EC2 does not know the machine any more")
        if self.known is None:
            self._remember(attempt, machine)
        if machine.state == "terminated":
            return self._gone(attempt, machine, f"EC2 terminated the machine: {machine.state_reason or 'no reason'}")
        verdict = self._verdict(attempt, machine)
        if machine.state == "shutting-down":
            return self._status(attempt, "ending", "the machine shuts down", machine)
        if verdict is not None and not (verdict.cause == "lost" and self._speaks_again(attempt)):
            self.ec2.terminate([machine.instance_id])
            return self._status(attempt, "ending", verdict.message, machine)
        return self._status(attempt, *self._life(), machine)

    def _life(self) -> tuple[State, str]:
        if self.beat is None:
            return "booting", "the machine has not said anything yet"
        return ("ending", "the machine leaves") if self.beat.state == "leaving" else ("training", "")

    def _verdict(self, attempt: Attempt, machine: Instance) -> Verdict | None:
        """Say why a machine has to go, None when it may stay."""
        config = self.config
        if self.now >= attempt.deadline_at:
            return Verdict("deadline", f"attempt {attempt.number} reached its deadline")
        if self._usd(attempt, machine) >= self.spec.budget_usd:
            return Verdict("budget", f"the job reached its budget of {self.spec.budget_usd:.2f} USD")
        if self.beat is None and self.now >= machine.launched_at + timedelta(minutes=config.boot_minutes):
            return Verdict("lost", f"the machine said nothing in {config.boot_minutes:g} minutes")
        if self.beat is not None and self.now >= self.beat.at + timedelta(minutes=config.silent_minutes):
            return Verdict("lost", f"the machine has said nothing for {config.silent_minutes:g} minutes")
        return None

    def _gone(self, attempt: Attempt, machine: Instance | None, message: str) -> Status:
        """End an attempt whose machine went without a word, unless it has just said one."""
        if self.job.result() is not None:
            return self._status(attempt, "ending", "the machine is gone, its result is there", machine)
        verdict = (machine and self._verdict(attempt, machine)) or Verdict("lost", message)
        if machine and "Spot" in machine.state_reason:
            verdict = Verdict("interrupted", f"EC2 took the machine back: {machine.state_reason}")
        return self._end(attempt, machine, verdict.cause, verdict.message)

    def _relaunch(self, attempt: Attempt, ending: Ending) -> Status:
        """Ask for another machine, once EC2 says that all before are terminated."""
        self.ec2.delete_template(template_name(self.job, attempt.number))
        if living := self._living():
            self._let_go(living, attempt, ending.ended_at)
            return self._status(attempt, "ending", f"{ending.cause}: waits until EC2 says terminated", living[-1])
        if ending.cause != "capacity" and self._may_appear(attempt, ending.ended_at):
            return self._status(attempt, "ending", f"{ending.cause}: waits for a machine that may still appear")
        costs.settle(self.job)
        if (reason := give_up(self.history, self.spec, self.config)) is not None:
            return self._status(attempt, "exhausted", reason)
        again_at = ending.ended_at + timedelta(seconds=pause_seconds(self.history, self.config))
        if self.now < again_at:
            return self._status(attempt, "launching", f"{ending.message}; asks again at {again_at:%H:%M:%S} UTC")
        return self._claim()

    def _close(self, newest: Attempt, cause: Cause, message: str, since: datetime, *, grace: bool) -> Status:
        """End all machines, write down what is missing, and say that the job is over when none is left."""
        state = STATES.get(cause, "exhausted")
        said = f"{message or cause}; {ADVICE[cause]}" if cause in ADVICE else message
        self.ec2.delete_template(template_name(self.job, newest.number))
        if staying := self._staying():
            self._let_go(staying, newest, since if grace else None)
            return self._status(newest, "ending", f"{state}: waits until the machine is gone. {said}", staying[-1])
        if newest.number not in self.history.endings:
            if self._may_appear(newest, since):
                return self._status(newest, "ending", f"{state}: waits for a machine that may still appear. {said}")
            self._end(newest, self._machine_of(newest), cause, message)
        costs.settle(self.job)
        return self._status(newest, state, said, self._machine_of(newest))

    def _living(self) -> list[Instance]:
        return [machine for machine in self.machines if machine.is_living]

    def _staying(self) -> list[Instance]:
        """Return the machines that bill and do not end yet."""
        return [machine for machine in self._living() if machine.state != "shutting-down"]

    def _let_go(self, living: list[Instance], newest: Attempt, since: datetime | None) -> None:
        """Terminate machines; the newest attempt's has some time to leave by itself ``since`` its last word."""
        leaves = since is not None and self.now < since + timedelta(seconds=LEAVING_SECONDS)
        self.ec2.terminate(one.instance_id for one in living if not (leaves and _attempt_of(one) == newest.number))

    def _may_appear(self, attempt: Attempt, since: datetime) -> bool:
        """Tell whether an attempt may have a machine that EC2 does not list yet."""
        if self._machine_of(attempt) is not None:
            return False
        if self.known is not None:
            since = max(since, self.known.at)
        return self.now < since + timedelta(seconds=VISIBLE_SECONDS)

    def _machine_of(self, attempt: Attempt) -> Instance | None:
        """Return the machine of an attempt, one that lives first."""
        own = [machine for machine in self.machines if _attempt_of(machine) == attempt.number]
        return next((machine for machine in own if machine.is_living), own[-1] if own else None)

    def _speaks_again(self, attempt: Attempt) -> bool:
        """Tell whether a silent machine speaks within three heartbeats: perhaps nobody reached the bucket before."""
        before = self.beat
        time.sleep(SECOND_LOOK_HEARTBEATS * self.config.heartbeat_seconds)
        self.beat = self._heartbeat(attempt)
        return self.beat is not None and self.beat != before

    def _heartbeat(self, attempt: Attempt) -> Heartbeat | None:
        beat = self.job.heartbeat()
        return beat if beat and beat.attempt == attempt.number else None

    def _usd(self, attempt: Attempt, machine: Instance | None) -> float:
        """Return what the job cost so far, the machine that runs included."""
        if machine is None or attempt.number in self.history.endings:
            return self.history.spent_usd
        return self.history.spent_usd + (self._price(attempt, machine)[1] or 0.0)

    def _price(self, attempt: Attempt, machine: Instance) -> tuple[float, float | None]:
        """Return a machine's seconds so far, and what they cost."""
        seconds = max(0.0, (self.now - machine.launched_at).total_seconds())
        usd_per_hour = attempt.price(machine.instance_type, machine.zone)
        return seconds, None if usd_per_hour is None else costs.price(seconds, usd_per_hour)

    def _end(
        self, attempt: Attempt, machine: Instance | None, cause: Cause, message: str, state: State = "ending"
    ) -> Status:
        """Write down how an attempt ended, where nobody has, and return the status."""
        seconds, usd = self._price(attempt, machine) if machine else (0.0, None if self.known else 0.0)
        ending = Ending(
            attempt=attempt.number,
            instance_id=machine.instance_id if machine else None,
            cause=cause,
            message=message,
            ended_at=self.now,
            seconds=seconds,
            usd=usd,
            instance_type=machine.instance_type if machine else None,
            market=machine.market if machine else None,
            zone=machine.zone if machine else None,
        )
        if self.job.end(ending):
            logger.info("%s: attempt %d ended: %s, %s", self.job.job_id, attempt.number, cause, message)
        return self._status(attempt, state, message, machine)

    def _status(self, attempt: Attempt | None, state: State, message: str, machine: Instance | None = None) -> Status:
        beat = self.beat
        return Status(
            job_uri=self.job.uri,
            state=state,
            message=message,
            attempt=attempt.number if attempt else None,
            instance_id=machine.instance_id if machine else None,
            instance_type=machine.instance_type if machine else None,
            zone=machine.zone if machine else None,
            market=machine.market if machine else None,
            heartbeat_age_seconds=(self.now - beat.at).total_seconds() if beat else None,
            progress=beat.progress if beat else {},
            gpu=beat.gpu if beat else None,
            usd=round(self._usd(attempt, machine) if attempt else 0.0, 6),
            budget_usd=self.spec.budget_usd,
            simulated=self.spec.simulated,
        )


def _attempt_of(machine: Instance) -> int:
    """Return the number of the attempt that a machine's tag names, 0 without one."""
    number = machine.tags.get("adbreak:attempt", "")
    return int(number) if number.isdigit() else 0
