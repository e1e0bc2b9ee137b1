"""A job's folder: written once, counted attempts, an old machine that may write nothing more."""

from datetime import UTC, datetime, timedelta

import pytest
from ml_training.cloud import storage
from ml_training.cloud.jobs import Archive, Attempt, Ending, Heartbeat, Job, JobSpec, Result
from ml_training.utils.errors import JobError, Superseded

NOW = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
ARCHIVE = Archive(uri="s3://adbreak/code/x", sha256="0" * 64)
SPEC = JobSpec(module="m", options={"seed": 1}, code=ARCHIVE, lock=ARCHIVE, deadline_seconds=3600, budget_usd=2)


def attempt(number, token="a"):
    return Attempt(number=number, client_token=token, created_at=NOW, deadline_at=NOW + timedelta(hours=1))


@pytest.fixture
def job(tmp_path):
    return Job(str(tmp_path / "jobs" / "one"))


def test_the_same_spec_again_is_the_same_job(job):
    job.create(SPEC)
    job.create(SPEC)
    assert (job.spec(), job.job_id) == (SPEC, "one")
    with pytest.raises(JobError, match="another job already"):
        job.create(SPEC.model_copy(update={"module": "other"}))


def test_a_spec_of_another_version_is_refused(job):
    with pytest.raises(JobError, match="there is no job"):
        job.spec()
    storage.write_json(job.at("spec.json"), {**SPEC.model_dump(mode="json"), "version": 2})
    with pytest.raises(JobError, match="has version 2, this code reads version 1"):
        job.spec()


def test_a_number_has_one_owner(job):
    assert job.claim(attempt(1))
    assert job.claim(attempt(1)), "the same words again: an answer was lost"
    assert not job.claim(attempt(1, "b"))
    assert [found.client_token for found in job.attempts()] == ["a"]


def test_an_old_machine_writes_nothing_more(job):
    beat = Heartbeat(attempt=1, instance_id="i-1", at=NOW, state="training")
    done = Result(attempt=1, cause="done", ended_at=NOW)
    job.claim(attempt(1))
    job.beat(beat)
    job.claim(attempt(2))
    for write in (lambda: job.beat(beat), lambda: job.finish(done)):
        with pytest.raises(Superseded, match=r"attempt 1 .* replaced"):
            write()
    assert job.heartbeat() == beat
    assert job.result() is None


def test_a_failure_belongs_to_its_attempt(job):
    failed = Result(attempt=1, cause="failed", message="the loss is nan", ended_at=NOW)
    job.claim(attempt(1))
    assert job.finish(failed)
    assert not job.finish(failed.model_copy(update={"message": "other"}))
    assert job.result() == failed
    job.claim(attempt(2))
    assert (job.result(), job.result(1)) == (None, failed)
    done = Result(attempt=2, cause="done", output={"run_id": "r"}, ended_at=NOW)
    job.finish(done)
    assert job.result() == done


def test_the_first_word_on_an_ending_counts(job):
    ending = Ending(attempt=1, instance_id="i-1", cause="interrupted", ended_at=NOW, seconds=60)
    assert job.end(ending)
    assert not job.end(ending.model_copy(update={"cause": "lost"}))
    assert job.ending(1) == ending
    assert job.ending(2) is None


def test_a_cancellation_names_its_attempt(job):
    assert job.cancelled(1) is None
    job.cancel(1, "the task was cleared", NOW)
    assert job.cancelled(1) == "the task was cleared"
    assert job.cancelled(2) is None


def test_a_log_is_read_on_from_a_piece(job):
    job.add_log(1, 1, b"one\n")
    job.add_log(1, 2, b"two\n")
    job.add_log(2, 1, b"other\n")
    assert job.read_log(1) == (b"one\ntwo\n", 2)
    assert job.read_log(1, after=2) == (b"", 2)
    assert job.read_log(1, after=1) == (b"two\n", 2)
