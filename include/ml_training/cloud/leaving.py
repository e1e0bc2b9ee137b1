"""Why a machine leaves before its training is done, and how much time it has for that.

    reasons = Reasons(spec, attempt, Spending(usd_per_hour, spent_usd, booted_at), metadata, lifeline)
    leave = reasons.first()            # None, or Leave("interrupted", "EC2 takes the machine back at ...", 100.0)

| cause | when |
| --- | --- |
| ``interrupted`` | EC2 gave its notice, or the system shuts down |
| ``cancelled``, ``superseded`` | the job's folder says so |
| ``deadline`` | a little before it, so that the state is stored in time |
| ``budget`` | what this machine cost, and those before it, reaches the spec's |
| ``idle`` | the training wrote no line for ``idle_seconds`` |
| ``unreachable`` | the bucket did not answer for ``unreachable_seconds`` |

A rebalance recommendation is said and logged, and no reason to leave: with the notice that may follow, at most a step
is lost, while leaving early costs a launch each time.
"""

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from ml_training.cloud.imds import Metadata, SpotNotice
from ml_training.cloud.jobs import Attempt, Cause, JobSpec
from ml_training.cloud.lifeline import Lifeline
from ml_training.utils.termination import Termination

NOTICE_SECONDS = 2.0  # between two looks; EC2 says five
LAST_WORDS_SECONDS = 15.0  # before EC2 takes the machine: for what is said when the training has ended ...
LAST_WORDS_SHARE = 0.25  # ... or this share of the time, where a notice was heard late
GRACE_SECONDS = 60.0  # for the training to store its state
DEADLINE_MARGIN_SECONDS = 90.0
DEADLINE_MARGIN_SHARE = 0.25  # of a short deadline

logger = logging.getLogger(__name__)


class Leave(NamedTuple):
    """The machine leaves, and the training is given ``grace_seconds`` to store its state."""

    cause: Cause | Literal["superseded"]
    message: str
    grace_seconds: float = GRACE_SECONDS
    regroup: bool = False  # only the training ends: another machine of the job has gone, and all begin anew together


class Spending(NamedTuple):
    """What this machine costs, and what those before it have cost."""

    usd_per_hour: float | None
    spent_usd: float
    booted_at: float  # seconds since 1970

    def usd(self) -> float | None:
        """Return what this machine has cost so far, None where its price is unknown."""
        return None if self.usd_per_hour is None else self.seconds() * self.usd_per_hour / 3600

    def seconds(self) -> float:
        """Return how long this machine has run."""
        return max(0.0, time.time() - self.booted_at)


class Reasons:
    """Looks at everything that may end a machine's work."""

    def __init__(
        self, spec: JobSpec, attempt: Attempt, spending: Spending, metadata: Metadata, lifeline: Lifeline
    ) -> None:
        self._spec, self._attempt, self._spending = spec, attempt, spending
        self._metadata, self._lifeline = metadata, lifeline
        self._heard = time.monotonic()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="spot notice", daemon=True)
        self.notice: SpotNotice | None = None

    def start(self) -> None:
        """Begin to listen for EC2's notice."""
        self._watcher.start()

    def stop(self) -> None:
        """Listen no more."""
        self._ended.set()

    def sign_of_life(self) -> None:
        """The training wrote a line."""
        self._heard = time.monotonic()

    def first(self, termination: Termination) -> Leave | None:
        """Return the most urgent reason to leave now, None when there is none."""
        if self.notice is not None:
            text = f"EC2 takes the machine back at {self.notice.at:%H:%M:%S} UTC ({self.notice.action})"
            left = self.seconds_to_the_end()
            return Leave("interrupted", text, left - min(LAST_WORDS_SECONDS, LAST_WORDS_SHARE * left))
        if self._lifeline.order is not None:
            order = self._lifeline.order
            return Leave(order.cause, order.message, 0.0 if order.cause == "superseded" else GRACE_SECONDS)
        if termination.asked:
            return Leave("interrupted", "the machine is being shut down")
        return self._limit()

    def seconds_to_the_end(self) -> float:
        """Return the seconds until EC2 takes the machine, or its deadline ends it; whatever comes first."""
        ends = [self._attempt.deadline_at] + ([self.notice.at] if self.notice else [])
        return (min(ends) - datetime.now(UTC)).total_seconds()

    def _limit(self) -> Leave | None:
        spec, usd = self._spec, self._spending.usd()
        margin = min(DEADLINE_MARGIN_SECONDS, DEADLINE_MARGIN_SHARE * spec.deadline_seconds)
        if self.seconds_to_the_end() <= margin:
            text = f"the attempt may last {spec.deadline_seconds:.0f} s, they are over: raise deadline_hours"
            return Leave("deadline", text, margin * 2 / 3)
        if usd is not None and self._spending.spent_usd + usd >= spec.budget_usd:
            return Leave("budget", f"the budget of {spec.budget_usd:.2f} USD is spent: raise budget_usd")
        if self._lifeline.silent_seconds > spec.unreachable_seconds:
            return Leave("unreachable", f"the bucket did not answer for {spec.unreachable_seconds:.0f} s", 5.0)
        if not self._lifeline.answers:
            self.sign_of_life()  # it waits for the bucket too
        if time.monotonic() - self._heard > spec.idle_seconds:
            return Leave("idle", f"the training wrote nothing for {spec.idle_seconds:.0f} s")
        return None

    def _watch(self) -> None:
        recommended = None
        while not self._ended.is_set():
            self.notice = self.notice or self._metadata.notice()
            recommended = self._tell_of_rebalance(recommended)
            self._ended.wait(NOTICE_SECONDS)

    def _tell_of_rebalance(self, before: str | None) -> str | None:
        recommended = self._metadata.rebalance()
        if recommended and recommended != before:
            self._lifeline.tell({"rebalance": recommended})
            logger.info("EC2 says since %s that it may take the machine back soon", recommended)
        return recommended or before
