"""Ends a job for good: its machines, whatever they do, and every request for one that somebody may still make.

    end(Job("s3://adbreak/training/jobs/3f9c2d1a7b60"), config, "the task was cleared")

Run twice, on a job that is over, or on one that never began, it does no harm. EC2's word is enough: a bucket that does
not answer keeps no machine alive.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from ml_training.cloud import storage
from ml_training.cloud.attempts import job_tags, read_history
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.jobs import Attempt, Ending, Job
from ml_training.cloud.launcher import advance, is_decided
from ml_training.cloud.members import MEMBER, all_of, written
from ml_training.cloud.status import Status
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import CloudError, CloudUnreachable, JobError, StorageError

END_SECONDS = 600.0  # until EC2 says terminated; a machine takes minutes to shut down
LONGEST_POLL_SECONDS = 5.0

logger = logging.getLogger(__name__)


def end(job: Job, config: CloudConfig, reason: str) -> dict[str, Any]:
    """End every machine of a job and wait until EC2 says so. Raises CloudError when one is left after ten minutes."""
    ec2, deadline = Ec2(config), time.monotonic() + END_SECONDS
    finals: list[Status] = []
    while True:
        try:
            finals = _step(job, config, reason, ec2)
        except (StorageError, JobError) as error:
            logger.warning("%s: ends the machines by their tags", error.message)
        except CloudUnreachable as error:
            logger.warning("%s: tries again", error.message)
        if _terminated(job, ec2) and all(final.is_over for final in finals):
            state, usd = (finals[0].state, sum(final.usd for final in finals)) if finals else (None, None)
            return {"job_uri": job.uri, "state": state, "usd": usd}
        if time.monotonic() > deadline:
            raise CloudError(
                f"EC2 does not say terminated of every machine of {job.uri}: look in EC2's console for the tag "
                f"adbreak:job={job.job_id} and end what is there; the reaper ends it at its deadline",
                uri=job.uri,
            )
        time.sleep(min(config.heartbeat_seconds, LONGEST_POLL_SECONDS))


def withdraw(job: Job, config: CloudConfig, reason: str, now: datetime) -> None:
    """Make sure that nobody asks for a machine of this job any more, until it is begun again."""
    for one in all_of(job):
        withdraw_one(one, config, reason, now)


def withdraw_one(job: Job, config: CloudConfig, reason: str, now: datetime) -> None:
    """Make sure of it for one of a job's machines; also where its job was not written down yet."""
    newest = read_history(job).newest
    number = newest.number if newest else 0
    decided = is_decided(job, config)
    if newest is not None and not decided:
        job.cancel(number, reason, now)
    elif newest is None or job.begun_again(number + 1) is not None:
        _take_the_place(job, config, number + 1, reason, now)


def _take_the_place(job: Job, config: CloudConfig, number: int, reason: str, now: datetime) -> None:
    """Take the number of an attempt that somebody may be about to begin, and end it."""
    place = Attempt(number=number, first=number, client_token=f"withdrawn-{number}", created_at=now, deadline_at=now)
    if not job.claim(place):
        withdraw_one(job, config, reason, now)  # it has begun
        return
    job.cancel(number, reason, now)
    job.end(Ending(attempt=number, instance_id=None, cause="cancelled", message=reason, ended_at=now, seconds=0, usd=0))


def _step(job: Job, config: CloudConfig, reason: str, ec2: Ec2) -> list[Status]:
    """Withdraw a job and take a step of it, for each of its machines; nothing when there is no such job."""
    if not storage.exists(job.at("spec.json")):
        return []
    withdraw(job, config, reason, datetime.now(UTC))
    return [advance(one, config, datetime.now(UTC), ec2) for one in written(job)]


def _terminated(job: Job, ec2: Ec2) -> bool:
    """End what lives of a job, by its tags; True when nothing does."""
    others = {"adbreak:job-uri": f"{job.uri}{MEMBER}*"}
    try:
        living = [machine for tags in (job_tags(job), others) for machine in ec2.find(tags) if machine.is_living]
        ec2.terminate(machine.instance_id for machine in living if machine.state != "shutting-down")
    except CloudUnreachable as error:
        logger.warning("%s: tries again", error.message)
        return False
    return not living
