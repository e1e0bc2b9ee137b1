"""One attempt after another: where the next machine is asked for, and when asking again is given up.

    history = read_history(job)
    give_up(history, spec, config)                      # a sentence for people, or None
    attempt = next_attempt(job, history, config, ec2, now)
    request = launch_request(job, spec, attempt, config)

An attempt is written down whole before its machine is asked for, so whoever repeats the request asks for the same.
"""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ml_training.cloud.ec2 import SpotPrice
from ml_training.cloud.jobs import Again, Attempt, Cause, Ending, Job, JobSpec
from ml_training.cloud.launching import LaunchRequest
from ml_training.cloud.offers import Pool, rank, rounds
from ml_training.cloud.user_data import render
from ml_training.config.cloud import CloudConfig
from ml_training.utils.hashing import sha256_bytes

RELAUNCHED: set[Cause] = {"interrupted", "lost", "capacity", "unreachable", "done"}  # done without a result: it was cut
LONGEST_PAUSE_SECONDS = 600.0
LOST_IN_A_ROW = 4  # machines that end without a word: more are not sent after them
LABEL_TAGS = {"dag": "dag", "dag_run": "dag-run", "task": "task", "map_index": "map-index", "owner": "owner"}


class Prices(Protocol):
    """Whoever knows spot prices."""

    def spot_prices(self, instance_types: list[str]) -> list[SpotPrice]:
        """Return what the types cost now."""


@dataclass(frozen=True)
class History:
    """The attempts of a job and how they ended, oldest first."""

    attempts: list[Attempt]
    endings: dict[int, Ending]

    @property
    def newest(self) -> Attempt | None:
        """Return the newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def series(self) -> list[Attempt]:
        """Return the attempts since somebody began the job the last time."""
        return [one for one in self.attempts if self.newest and one.number >= self.newest.first]

    @property
    def spent_usd(self) -> float:
        """Return what all attempts that ended have cost."""
        return sum(ending.usd or 0.0 for ending in self.endings.values())

    def causes(self) -> list[Cause]:
        """Return how the attempts of the series ended."""
        return [self.endings[one.number].cause for one in self.series if one.number in self.endings]


def read_history(job: Job) -> History:
    """Read all attempts and endings of a job."""
    attempts = job.attempts()
    endings = {one.number: ending for one in attempts if (ending := job.ending(one.number)) is not None}
    return History(attempts, endings)


def spec_now(job: Job, history: History) -> JobSpec:
    """Return the job's spec with the limits of its newest attempt."""
    spec = job.spec()
    return history.newest.applied_to(spec) if history.newest else spec


def give_up(history: History, spec: JobSpec, config: CloudConfig) -> str | None:
    """Say why no further machine is asked for; None when another one may be."""
    causes = history.causes()
    last = max(history.endings.values(), key=lambda ending: ending.attempt).message if causes else ""
    if history.spent_usd >= spec.budget_usd:
        return (
            f"{history.spent_usd:.2f} of {spec.budget_usd:.2f} USD are spent: raise budget_usd in the cloud's config "
            "and begin the job again, it goes on from the last checkpoint"
        )
    if len(causes) >= config.max_attempts:
        counted = ", ".join(f"{count} {cause}" for cause, count in Counter(causes).most_common())
        return f"no machine could finish it in {len(causes)} attempts ({counted}); the last one: {last or causes[-1]}"
    if causes[-LOST_IN_A_ROW:] == ["lost"] * LOST_IN_A_ROW:
        return f"{LOST_IN_A_ROW} machines in a row were lost, so the next one would be too; the last one: {last}"
    return None


def pause_seconds(history: History, config: CloudConfig) -> float:
    """Return how long to wait before the next request: after every second one that was empty, longer each time."""
    empty = _empty_in_a_row(history)
    if not empty or empty % 2:  # the other half of the pools comes at once
        return 0.0
    return min(float(config.retry_seconds * 2 ** min(empty // 2 - 1, 10)), LONGEST_PAUSE_SECONDS)


def next_attempt(
    job: Job,
    history: History,
    config: CloudConfig,
    ec2: Prices,
    now: datetime,
    *,
    again: Again | None = None,
) -> Attempt:
    """Return the attempt that comes next, at the prices of now; with ``again`` it is the first of a new series."""
    newest = history.newest
    spec = spec_now(job, history)
    number = newest.number + 1 if newest else 1
    history = History([], {}) if again else history
    ranked = rank(config, ec2.spot_prices([one.instance_type for one in config.candidates]), gpus=spec.gpus)
    choices = rounds(config, ranked, setbacks=_setbacks(history), avoid=_taken_away(history))
    chosen = choices[_empty_in_a_row(history) % len(choices)]
    pinned = again or newest
    lasts = timedelta(seconds=(again or spec).deadline_seconds)
    return Attempt(
        number=number,
        first=newest.first if newest and not again else number,
        client_token=uuid.uuid4().hex,
        created_at=now,
        deadline_at=now + lasts,
        market=chosen.market,
        offers=list(chosen.offers),
        code=pinned.code if pinned else None,
        lock=pinned.lock if pinned else None,
        budget_usd=pinned.budget_usd if pinned else None,
    )


def launch_request(job: Job, spec: JobSpec, attempt: Attempt, config: CloudConfig) -> LaunchRequest:
    """Return the request for an attempt's machine."""
    script = render(job.uri, attempt, attempt.applied_to(spec), usd_per_hour=attempt.price(None, None))
    return LaunchRequest(
        token=attempt.client_token,
        template=template_name(job, attempt.number),
        user_data=script,
        tags=tags_of(job, spec, attempt, config),
        offers=tuple(attempt.offers),
        market=attempt.market,
        together=spec.machines > 1,
    )


def template_name(job: Job, number: int) -> str:
    """Return the name of an attempt's launch template, of which there may be one in an account."""
    return f"adbreak-{job.job_id}-{sha256_bytes(job.uri.encode())[:8]}-{number:04d}"


def job_tags(job: Job) -> dict[str, str]:
    """Return the tags by which a job's machines are found; another bucket may have a job of the same name."""
    return {"adbreak:job": job.job_id, "adbreak:job-uri": job.uri}


def tags_of(job: Job, spec: JobSpec, attempt: Attempt, config: CloudConfig) -> dict[str, str]:
    """Return what a machine, its disk and its template carry: enough to find and to end them without us."""
    labels = {"owner": config.owner, **spec.labels}
    return {
        "Name": f"adbreak {job.job_id} {attempt.number}",
        **job_tags(job),
        "adbreak:attempt": str(attempt.number),
        "adbreak:deadline": attempt.deadline_at.isoformat(),
        **{f"adbreak:{tag}": labels[label] for label, tag in LABEL_TAGS.items() if labels.get(label)},
    }


def _empty_in_a_row(history: History) -> int:
    count = 0
    for cause in reversed(history.causes()):
        if cause != "capacity":
            break
        count += 1
    return count


def _setbacks(history: History) -> int:
    """Count interruptions, and requests for spot that found nothing."""
    return sum(
        history.endings[one.number].cause in ("interrupted", "capacity") and one.market == "spot"
        for one in history.series
        if one.number in history.endings
    )


def _taken_away(history: History) -> set[Pool]:
    """Return the pool whose machine was taken away last."""
    ending = history.endings.get(history.newest.number) if history.newest else None
    if ending is None or ending.cause != "interrupted" or not ending.instance_type or not ending.zone:
        return set()
    return {(ending.instance_type, ending.zone)}
