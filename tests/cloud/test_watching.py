"""A watcher bears what does not answer for a while, also when the job is done; no machine is needed to see that."""

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from ml_training.cloud import storage
from ml_training.cloud.jobs import Archive, Attempt, Ending, Job, JobSpec, Result
from ml_training.cloud.status import State, Status
from ml_training.cloud.watching import result_of
from ml_training.config.cloud import load_cloud_config
from ml_training.utils.errors import JobError, StorageError

from .conftest import Wire

TROUBLE_SECONDS = 1.5  # the length of the trouble, not a wait for something
PATIENT = load_cloud_config("ec2_spot").model_copy(update={"heartbeat_seconds": 0.1})
IMPATIENT = PATIENT.model_copy(update={"unreachable_minutes": 0.001})


@pytest.fixture
def job(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job in the bucket behind the wire, whose only machine has ended well."""
    monkeypatch.setenv("ADBREAK_STORAGE_ATTEMPTS", "1")
    storage._client.cache_clear()
    archive = Archive(uri="code", sha256="0" * 64)
    spec = JobSpec(module="m", options={}, code=archive, lock=archive, deadline_seconds=60, budget_usd=1)
    made, now = Job(f"s3://wire/watching/{uuid.uuid4().hex}"), datetime.now(UTC)
    made.create(spec)
    made.claim(Attempt(number=1, client_token="t", created_at=now, deadline_at=now + timedelta(minutes=1)))
    made.add_log(1, 1, b"the last line\n")
    made.finish(Result(attempt=1, cause="done", ended_at=now, output={"run_id": "r"}))
    made.end(Ending(attempt=1, instance_id="i-1", cause="done", ended_at=now, seconds=9, usd=0.01))
    return made


def final(job: Job, state: State) -> Status:
    return Status(job_uri=job.uri, state=state, message="it ended", attempt=1)


@pytest.mark.parametrize("state", ["done", "failed"])
def test_a_bucket_that_is_away_when_the_job_is_over_is_borne(wire, job, state):
    wire.cut.set()
    answers_again = threading.Timer(TROUBLE_SECONDS, wire.cut.clear)
    answers_again.start()
    try:
        if state == "done":
            result = result_of(job, final(job, state), PATIENT)
            assert (result["run_id"], result["cost"]["usd"], result["cost"]["machines"]) == ("r", 0.01, 1)
        else:
            with pytest.raises(JobError, match="it ended\nthe end of its log:\nthe last line"):
                result_of(job, final(job, state), PATIENT)
        assert not wire.cut.is_set(), "the trouble was over first"
    finally:
        answers_again.join()


def test_a_bucket_that_stays_away_is_an_error_in_the_end(wire, job):
    wire.cut.set()
    with pytest.raises(StorageError):
        result_of(job, final(job, "done"), IMPATIENT)
