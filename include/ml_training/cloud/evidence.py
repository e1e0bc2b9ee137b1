"""What says that a machine of ours has to go, and what only seems to.

    by_tags(machine, limits, now)             # its deadline has passed: EC2's word alone
    by_job(machine, limits, now)              # its job is done, or nothing is heard of it: the bucket's word
    by_run(machine, limits, now, runs)        # its DAG run has ended: Airflow's word

Each returns a Finding or None. A bucket or an Airflow that does not answer says nothing: errors leave through
``Unreadable``, never as a finding.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from ml_training.cloud import storage
from ml_training.cloud.airflow_runs import AirflowRuns
from ml_training.cloud.ec2 import Instance
from ml_training.cloud.jobs import Attempt, Job
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import AdbreakError, ObjectNotFound

JOB_URI, ATTEMPT, DEADLINE = "adbreak:job-uri", "adbreak:attempt", "adbreak:deadline"
DAG, DAG_RUN = "adbreak:dag", "adbreak:dag-run"
LONGEST_HOURS = 72.0


class Limits(NamedTuple):
    """How long things may last."""

    silent: timedelta  # without a heartbeat
    boot: timedelta  # until the first one
    without_deadline: timedelta  # of a machine that does not say when it has to be gone
    longest: timedelta  # of any machine, whatever its deadline says
    grace: timedelta = timedelta(minutes=10)  # for whoever ends things in the usual way
    leftover: timedelta = timedelta(hours=1)  # of a disk that belongs to no machine


class Finding(NamedTuple):
    """Why a machine has to go. ``second_look``: silence may be over the moment after; ask again before acting."""

    cause: str
    reason: str
    second_look: bool = False


class Unreadable(Exception):
    """What would have to be read cannot be."""


def limits_of(config: CloudConfig) -> Limits:
    """Return the limits that a cloud's config sets."""
    return Limits(
        silent=timedelta(minutes=config.silent_minutes),
        boot=timedelta(minutes=config.boot_minutes),
        without_deadline=timedelta(hours=config.deadline_hours),
        longest=timedelta(hours=max(LONGEST_HOURS, 2 * config.deadline_hours)),
    )


def deadline_of(tags: dict[str, str]) -> datetime | None:
    """Return the deadline that tags name; None when they name none that can be understood."""
    try:
        deadline = datetime.fromisoformat(tags.get(DEADLINE, "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return deadline if deadline.tzinfo else None


def by_tags(machine: Instance, limits: Limits, now: datetime) -> Finding | None:
    """Judge a machine by what EC2 alone says of it."""
    deadline, age = deadline_of(dict(machine.tags)), now - machine.launched_at
    if deadline is not None and now >= deadline:
        return Finding("deadline", f"its deadline was {deadline:%Y-%m-%d %H:%M:%S} UTC")
    if age > limits.longest:
        return Finding("too_old", f"it is {_hours(age)} old; none may live longer than {_hours(limits.longest)}")
    if deadline is None and age > limits.without_deadline:
        said = machine.tags.get(DEADLINE)
        return Finding("no_deadline", f"it is {_hours(age)} old and its tag {DEADLINE} is {said or 'missing'}")
    return None


def by_job(machine: Instance, limits: Limits, now: datetime) -> Finding | None:
    """Judge a machine by the records of its job. Raises Unreadable."""
    uri, number = machine.tags.get(JOB_URI, ""), machine.tags.get(ATTEMPT, "")
    if not uri or not number.isdigit():
        return None
    with _read(uri):
        job = Job(uri)
        attempts = {attempt.number: attempt for attempt in job.attempts()}
        if int(number) not in attempts:
            raise Unreadable(f"{uri} knows nothing of attempt {number}: it may be another bucket")
        return (
            _ended(job, int(number), attempts, now - limits.grace)
            or _double(machine, job, int(number), now - limits.grace)
            or _silent(machine, job, int(number), limits, now)
        )


def by_run(machine: Instance, limits: Limits, now: datetime, runs: AirflowRuns | None) -> Finding | None:
    """Judge a machine by the run that it works for. Raises Unreadable."""
    dag, run = machine.tags.get(DAG), machine.tags.get(DAG_RUN)
    if runs is None or not dag or not run:
        return None
    ended_at = runs.ended_at(dag, run)
    if runs.failure:
        raise Unreadable(runs.failure)
    if ended_at is None or now - ended_at <= limits.grace:
        return None
    return Finding("run_ended", f"{dag} {run} ended at {ended_at:%H:%M:%S} UTC")


def _ended(job: Job, number: int, attempts: dict[int, Attempt], before: datetime) -> Finding | None:
    """Find a word that this attempt is over, spoken before ``before``."""
    result = job.result(number)
    if result is not None and result.ended_at <= before:
        return Finding(f"job_{result.cause}", f"{job.job_id} ended as {result.cause} at {result.ended_at:%H:%M:%S} UTC")
    ending = job.ending(number)
    if ending is not None and ending.ended_at <= before:
        return Finding("attempt_ended", f"attempt {number} ended: {ending.cause} at {ending.ended_at:%H:%M:%S} UTC")
    newer = [attempt for attempt in attempts.values() if attempt.number > number and attempt.created_at <= before]
    if newer:
        return Finding("superseded", f"attempt {max(one.number for one in newer)} has taken over from {number}")
    cancelled = job.cancellation(number)
    if cancelled is not None and cancelled.at <= before:
        return Finding("cancelled", f"{job.job_id} was cancelled: {cancelled.reason}")
    return None


def _double(machine: Instance, job: Job, number: int, before: datetime) -> Finding | None:
    """Find that another machine is written down as the one of this attempt."""
    launch = job.launch(number)
    if launch is None or launch.instance_id == machine.instance_id or launch.at > before:
        return None
    return Finding("double", f"attempt {number} of {job.job_id} has another machine, {launch.instance_id}")


def _silent(machine: Instance, job: Job, number: int, limits: Limits, now: datetime) -> Finding | None:
    """Find that a machine says nothing any more, or never said anything."""
    if now - machine.launched_at <= limits.boot:
        return None
    beat = job.heartbeat()
    if beat is None or beat.attempt != number:
        if now - machine.launched_at <= limits.boot + limits.silent:
            return None
        return Finding("never_spoke", f"no heartbeat in {_hours(now - machine.launched_at)}", second_look=True)
    written = storage.stat(job.at("heartbeat.json")).modified  # by the bucket's clock: the machine's own may be wrong
    age = now - max(beat.at, written)
    if age <= limits.silent:
        return None
    return Finding("silent", f"its last heartbeat is {age.total_seconds() / 60:.0f} minutes old", second_look=True)


@contextmanager
def _read(uri: str) -> Iterator[None]:
    try:
        yield
    except ObjectNotFound as error:
        raise Unreadable(f"a record of {uri} vanished while it was read: {error.message}") from error
    except AdbreakError as error:
        raise Unreadable(f"{uri} cannot be read: {error.message}") from error


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f} h"
