"""Jobs that are ended, asked for again, or not what they seem to be."""

from pathlib import Path

import pytest
from launcher_steps import machines, never_two, now, step, step_until
from ml_training.cloud import storage
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.ending import end
from ml_training.cloud.jobs import Ending, Job, Result
from ml_training.cloud.launcher import is_decided, look
from ml_training.cloud.spot import prepare
from ml_training.utils.errors import JobError


def test_ending_is_for_good_and_harmless(simulated, config, job):
    assert end(Job(job.uri + "-nobody"), config, "teardown")["state"] is None
    step(job, config)
    assert end(job, config, "cleared")["state"] == "cancelled"
    assert end(job, config, "cleared")["state"] == "cancelled"
    assert (job.ending(1).cause, job.ending(1).message) == ("cancelled", "cleared")
    assert [one["state"] for one in machines(simulated, job)] == ["terminated"]


def test_ending_needs_no_bucket(simulated, config, job, tmp_path):
    step(job, config)
    (Path(job.uri) / "spec.json").write_text("{}")
    end(job, config, "cleared")
    assert [one["state"] for one in machines(simulated, job)] == ["terminated"]


def test_a_job_that_was_prepared_and_ended_is_not_begun_by_a_late_watcher(simulated, config, job):
    end(job, config, "the run was deleted")
    assert step(job, config).state == "cancelled"
    assert machines(simulated, job) == []


def test_a_job_that_is_over_begins_again_when_somebody_asks(simulated, config, tmp_path):
    root, uri = str(tmp_path / "data"), str(tmp_path / "data" / "training" / "jobs" / "again")
    first = prepare(config, "m", {"seed": 1}, {"dag": "d", "map_index": ""}, data_dir=root, job_uri=uri)
    assert first.spec().labels == {"owner": "adbreak", "dag": "d"}
    step(first, config)
    prepare(config, "m", {"seed": 1}, {}, data_dir=root, job_uri=uri)
    assert first.begun_again(2) is None, "it runs: it is adopted"
    end(first, config, "cleared")
    assert step(first, config).state == "cancelled"
    prepare(config, "m", {"seed": 1}, {}, data_dir=root, job_uri=uri)
    assert look(first, config, now()).state == "launching"
    second = step(first, config)
    assert (second.state, second.attempt, first.attempts()[1].first) == ("booting", 2, 2)
    assert not is_decided(first, config)
    end(first, config, "enough")
    assert never_two(simulated, first) == 2
    with pytest.raises(JobError, match="another job already"):
        prepare(config, "m", {"seed": 2}, {}, data_dir=root, job_uri=uri)


def test_a_job_that_is_done_stays_done_when_somebody_asks_for_it_again(simulated, config, tmp_path):
    root, uri = str(tmp_path / "data"), str(tmp_path / "data" / "training" / "jobs" / "done")
    job = prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    step(job, config)
    job.finish(Result(attempt=1, cause="done", message="well", ended_at=now()))
    prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    assert look(job, config, now()).state == "ending", "its machine has not left yet"
    final = step_until(job, config, "done", minutes=3)
    assert look(job, config, now()).state == "done"
    prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    assert step(job, config).state == look(job, config, now()).state == "done"
    assert (final.message, never_two(simulated, job)) == ("well", 1)


def test_a_job_that_was_to_begin_again_can_be_ended(simulated, config, tmp_path):
    root, uri = str(tmp_path / "data"), str(tmp_path / "data" / "training" / "jobs" / "again")
    job = prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    step(job, config)
    end(job, config, "cleared")
    prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    end(job, config, "cleared again")
    assert step(job, config).state == "cancelled"
    prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    assert step(job, config).state == "booting"
    end(job, config, "enough")
    assert never_two(simulated, job) == 2


def test_a_spec_of_another_version_is_refused(simulated, config, job):
    content = storage.read_json(job.at("spec.json"))
    storage.write_json(job.at("spec.json"), {**content, "version": 2})
    with pytest.raises(JobError, match="has version 2, this code reads version 1"):
        step(job, config)
    assert machines(simulated, job) == []


def test_a_job_of_the_same_name_in_another_bucket_is_another_job(simulated, config, job, tmp_path):
    other = Job(str(tmp_path / "staging" / "training" / "jobs" / job.job_id))
    other.create(job.spec())
    first, second = step(job, config), step(other, config)
    assert first.instance_id != second.instance_id
    end(other, config, "enough")
    assert step(job, config).state == "booting"


def test_a_budget_that_was_raised_counts_when_the_job_begins_again(simulated, config, tmp_path):
    root, uri = str(tmp_path / "data"), str(tmp_path / "data" / "training" / "jobs" / "richer")
    job = prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    first = step(job, config)
    Ec2(config).terminate([first.instance_id])
    job.end(Ending(attempt=1, instance_id=first.instance_id, cause="budget", ended_at=now(), seconds=9, usd=2.5))
    assert "raise budget_usd" in step_until(job, config, "exhausted", minutes=3).message
    prepare(config, "m", {}, {}, data_dir=root, job_uri=uri)
    assert "2.50 of 2.00 USD are spent" in step_until(job, config, "exhausted", minutes=3).message
    assert look(job, config, now()).state == "exhausted"
    richer = config.model_copy(update={"budget_usd": 5.0, "deadline_hours": 2.0})
    prepare(richer, "m", {}, {}, data_dir=root, job_uri=uri)
    second = step_until(job, richer, "booting")
    assert (second.attempt, second.budget_usd) == (2, 5.0)
    assert job.attempts()[1].applied_to(job.spec()).deadline_seconds == 7200
    end(job, richer, "enough")
    assert never_two(simulated, job) == 2
