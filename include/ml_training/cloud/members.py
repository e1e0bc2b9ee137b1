"""The jobs that a job of several machines consists of: itself, whose machine is the first, and one for each further.

    members(job)                # [Job("s3://.../3f9c-machine-2"), Job("s3://.../3f9c-machine-3")]
    all_of(job)                 # the job itself before them
    member_spec(job, spec, 1)   # what machine 2 is to do: the same, as part of the first one's

Each is an ordinary job of one machine with its own attempts, fence, deadline and cost, so what holds for one machine
holds for each of them. Only who advances them (``cloud.together``) and what they say to one another (``cloud.cluster``)
makes them one.
"""

from collections.abc import Mapping
from typing import Any

from ml_training.cloud import storage
from ml_training.cloud.jobs import Job, JobSpec
from ml_training.config.cloud import CloudConfig
from ml_training.config.loading import load_config
from ml_training.utils.errors import UsageError

MEMBER = "-machine-"
REHEARSAL, TRAIN = "ml_training.cloud.rehearsal", "ml_training.training.train"


def machines_of(config: CloudConfig, module: str, options: Mapping[str, Any], asked: int | None) -> int:
    """Return how many machines a command gets: as many as are asked for, else as the config says where it can share.

    A training can where it learns end to end; so can a rehearsal.

    Raises UsageError where several are asked for, and it cannot.
    """
    count = config.machines if asked is None else asked
    if count < 1:
        raise UsageError(f"a job has one machine or more, received --machines {count}")
    if count == 1 or _shares(module, options):
        return count
    if asked is not None:
        raise UsageError(
            f"{module} works on one machine here: --machines {count} is for a training of single frames with "
            f"training.mode=end_to_end, and for {REHEARSAL}"
        )
    return 1


def _shares(module: str, options: Mapping[str, Any]) -> bool:
    if module != TRAIN:
        return module == REHEARSAL
    return load_config(str(options.get("config", "base_model")), options.get("overrides")).can_be_shared


def member(job: Job, index: int) -> Job:
    """Return the job of a machine by its index; 0 is the first, the job itself."""
    return Job(f"{job.uri}{MEMBER}{index + 1}") if index else job


def members(job: Job) -> list[Job]:
    """Return the jobs of all machines but the first. Raises JobError where there is no such job."""
    return [member(job, index) for index in range(1, job.spec().machines)]


def all_of(job: Job) -> list[Job]:
    """Return the job and its members; also those that nobody has written down yet."""
    return [job, *members(job)]


def written(job: Job) -> list[Job]:
    """Return the job and those of its members that were written down."""
    return [job, *(one for one in members(job) if storage.exists(one.at("spec.json")))]


def member_spec(job: Job, spec: JobSpec, index: int) -> JobSpec:
    """Return the spec of a further machine."""
    return spec.model_copy(update={"leader": job.uri, "index": index})
