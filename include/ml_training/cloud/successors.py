"""Jobs that follow one another at one address, for whoever has one machine and changing orders.

    job_uri = take_over("s3://adbreak/training/jobs/3f9c2d1a7b60", TRAIN, options, config)
    end_all("s3://adbreak/training/jobs/3f9c2d1a7b60", config, "the task has ended")

A task of Airflow has one address for its job. When something before it is cleared, the same task comes with another
dataset version: a job of its own, at the next address. The job before it is ended first: there are never two machines.
"""

from collections.abc import Mapping
from typing import Any

from ml_training.cloud import storage
from ml_training.cloud.ending import end
from ml_training.cloud.jobs import Job
from ml_training.cloud.members import machines_of
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import JobError, StorageError

NEXT = "-next"


def take_over(
    job_uri: str, module: str, options: Mapping[str, Any], config: CloudConfig, *, machines: int | None = None
) -> str:
    """End every job at this address that does something else; return the address of the one that does this."""
    jobs, count = successors(job_uri), machines_of(config, module, options, machines)
    same = [job for job in jobs if _does(job, module, options, count)][-1:]
    for job in jobs:
        if job not in same:
            end(job, config, "it was asked for something else")
    return same[0].uri if same else job_uri + NEXT * len(jobs)


def end_all(job_uri: str, config: CloudConfig, reason: str) -> dict[str, Any]:
    """End all jobs at this address, the newest last. Without the bucket the first one is ended, then StorageError."""
    try:
        jobs = successors(job_uri)
    except StorageError:
        end(Job(job_uri), config, reason)
        raise
    return [end(job, config, reason) for job in jobs or [Job(job_uri)]][-1]


def successors(job_uri: str) -> list[Job]:
    """Return the jobs that were begun at this address, oldest first."""
    job, found = Job(job_uri), []
    while storage.exists(job.at("spec.json")):
        found.append(job)
        job = Job(job.uri + NEXT)
    return found


def _does(job: Job, module: str, options: Mapping[str, Any], machines: int) -> bool:
    try:
        spec = job.spec()
    except JobError:  # of another version
        return False
    return (spec.module, spec.options, spec.machines) == (module, dict(options), machines)
