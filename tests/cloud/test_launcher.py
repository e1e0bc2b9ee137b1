"""A job's machine: one after another, never two, whoever steps, and whatever fails on the way.

Time is passed to each step, so nothing here waits for hours; what EC2 says comes from the simulated one.
"""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from local_stack.ec2.remote import RemoteEc2
from ml_training.cloud import costs, storage
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.ending import end, withdraw
from ml_training.cloud.jobs import Archive, Ending, Heartbeat, Job, JobSpec, Result
from ml_training.cloud.launcher import advance, is_decided, look
from ml_training.cloud.spot import prepare
from ml_training.cloud.status import Status
from ml_training.config.cloud import CloudConfig, load_cloud_config
from ml_training.utils.errors import CloudUnreachable, JobError

WAIT_SECONDS = 60.0
STEP = """
import sys
from datetime import UTC, datetime
from ml_training.cloud.jobs import Job
from ml_training.cloud.launcher import advance
from ml_training.config.cloud import load_cloud_config
print("ready", flush=True)
sys.stdin.readline()
print(advance(Job(sys.argv[1]), load_cloud_config(), datetime.now(UTC)).model_dump_json(), flush=True)
"""


@pytest.fixture
def config(simulated: RemoteEc2) -> CloudConfig:
    return load_cloud_config()


@pytest.fixture
def job(config: CloudConfig, tmp_path: Path) -> Iterator[Job]:
    """A job that nobody has begun; what it leaves on EC2 is ended."""
    archive = Archive(uri=str(tmp_path / "code"), sha256="0" * 64)
    spec = JobSpec(
        module="m",
        options={},
        code=archive,
        lock=archive,
        gpus=0,
        labels={"dag": "nightly", "dag_run": "r1", "task": "training"},
        deadline_seconds=3600,
        budget_usd=config.budget_usd,
        simulated=True,
    )
    made = Job(str(tmp_path / "data" / "training" / "jobs" / uuid.uuid4().hex[:12]))
    made.create(spec)
    yield made
    ec2 = Ec2(config)
    ec2.terminate(machine.instance_id for machine in ec2.find({"adbreak:job": made.job_id}) if machine.is_living)


def now(minutes: float = 0.0) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def step(job: Job, config: CloudConfig, minutes: float = 0.0) -> Status:
    return advance(job, config, now(minutes))


def step_until(job: Job, config: CloudConfig, state: str, minutes: float = 0.0) -> Status:
    """Step until a state comes; the machines' ends take a moment of real time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (status := step(job, config, minutes)).state != state:
        assert time.monotonic() < deadline, f"waited for {state}: {status.line()}"
    return status


def beat(job: Job, status: Status, *, state: Any = "training", age_minutes: float = 0.0, **progress: Any) -> None:
    assert status.instance_id
    assert status.attempt
    job.beat(
        Heartbeat(
            attempt=status.attempt,
            instance_id=status.instance_id,
            at=now(-age_minutes),
            state=state,
            progress=progress,
        )
    )


def machines(simulated: RemoteEc2, job: Job) -> list[dict[str, Any]]:
    return [one for one in simulated.machines() if one["tags"].get("adbreak:job-uri") == job.uri]


def take_away(simulated: RemoteEc2, instance_id: str | None) -> None:
    """Take a spot machine back, as soon as it is there."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return simulated.notice(str(instance_id), seconds=0)
        except ValueError:  # there is no machine behind it yet
            assert time.monotonic() < deadline
        time.sleep(0.05)


def never_two(simulated: RemoteEc2, job: Job) -> int:
    """Check that each machine of a job was terminated before the next one was launched; returns how many there were."""
    spans = sorted((one["times"]["launched"], one["times"].get("terminated", "9")) for one in machines(simulated, job))
    for (_, ended), (launched, _) in itertools.pairwise(spans):
        assert ended <= launched, f"two at once: {spans}"
    return len(spans)


def test_a_job_gets_one_machine_with_its_tags(simulated, config, job):
    status = step(job, config)
    assert (status.state, status.attempt, status.market) == ("booting", 1, "spot")
    again = step(job, config)
    assert (again.state, again.instance_id) == ("booting", status.instance_id)
    (machine,) = machines(simulated, job)
    expected = {
        "adbreak:project": "adbreak",
        "adbreak:job-uri": job.uri,
        "adbreak:attempt": "1",
        "adbreak:deadline": job.attempts()[0].deadline_at.isoformat(),
        "adbreak:owner": "adbreak",
        "adbreak:dag": "nightly",
        "adbreak:dag-run": "r1",
        "adbreak:task": "training",
    }
    assert expected.items() <= machine["tags"].items()
    assert job.launch(1).instance_id == machine["instance_id"]
    assert look(job, config, now()).state == "booting"


def test_it_trains_and_is_done(simulated, config, job):
    status = step(job, config)
    beat(job, status, epoch=2)
    training = step(job, config)
    assert (training.state, training.progress, training.simulated) == ("training", {"epoch": 2}, True)
    assert training.heartbeat_age_seconds < 60
    assert training.usd > 0
    job.finish(Result(attempt=1, cause="done", ended_at=now(), output={"run_id": "r"}))
    assert step(job, config).state == "ending", "the machine has some time to leave by itself"
    assert machines(simulated, job)[0]["state"] in ("pending", "running")
    assert step_until(job, config, "done", minutes=3).usd > 0
    assert job.ending(1).cause == "done"
    assert len(costs.read_ledger(costs.root_of(job), costs.month_of(now()))) == 1
    assert step(job, config).state == look(job, config, now()).state == "done"
    assert never_two(simulated, job) == 1


def test_its_own_error_is_no_reason_for_another_machine(simulated, config, job):
    status = step(job, config)
    job.end(Ending(attempt=1, instance_id=status.instance_id, cause="failed", ended_at=now(), seconds=9, usd=0.01))
    job.finish(Result(attempt=1, cause="failed", message="the loss is nan", ended_at=now()))
    final = step_until(job, config, "failed", minutes=3)
    assert final.message == "the loss is nan"
    assert step(job, config).state == "failed"
    assert never_two(simulated, job) == 1


@pytest.mark.parametrize(("cause", "advice"), [("idle", "its checkpoint"), ("deadline", "deadline_hours")])
def test_a_machine_that_gave_up_says_what_to_do(simulated, config, job, cause, advice):
    status = step(job, config)
    job.finish(Result(attempt=1, cause=cause, message="it left", ended_at=now()))
    Ec2(config).terminate([status.instance_id])
    final = step_until(job, config, "exhausted", minutes=3)
    assert "it left; " in final.message
    assert advice in final.message
    assert job.ending(1).cause == cause
    assert look(job, config, now()).state == "exhausted"


def test_taken_away_it_goes_on_elsewhere_when_ec2_says_terminated(simulated, config, job):
    first = step(job, config)
    simulated.timing(shutdown_seconds=2)
    take_away(simulated, first.instance_id)
    step_until(job, config, "ending")
    assert job.ending(1) is None, "it shuts down, and is not terminated"
    second = step_until(job, config, "booting")
    assert second.attempt == 2
    assert job.ending(1).cause == "interrupted"
    assert (second.zone, second.instance_type) != (first.zone, first.instance_type)
    assert never_two(simulated, job) == 2


def test_a_machine_that_said_its_last_word_is_waited_for(simulated, config, job):
    first = step(job, config)
    simulated.timing(shutdown_seconds=1)
    job.end(Ending(attempt=1, instance_id=first.instance_id, cause="interrupted", ended_at=now(), seconds=9))
    assert step(job, config).message == "interrupted: waits until EC2 says terminated"
    assert look(job, config, now()).state == "ending"
    assert machines(simulated, job)[0]["state"] in ("pending", "running"), "it has time to leave by itself"
    second = step_until(job, config, "booting", minutes=2)
    assert second.attempt == 2
    assert never_two(simulated, job) == 2


@pytest.mark.parametrize(
    ("age_minutes", "minutes", "cause"), [(None, 6, "lost"), (2, 0, "lost"), (0, 61, "deadline")], ids=str
)
def test_a_machine_that_must_go_is_ended(simulated, config, job, age_minutes, minutes, cause):
    first = step(job, config)
    if age_minutes is not None:
        beat(job, first, age_minutes=age_minutes - minutes)
    assert step(job, config, minutes).state == "ending"
    step_until(job, config, "exhausted" if cause == "deadline" else "booting", minutes)
    assert job.ending(1).cause == cause
    assert never_two(simulated, job) == (1 if cause == "deadline" else 2)


def test_a_machine_that_speaks_again_stays(simulated, config, job):
    """As after a time in which neither it nor anybody else reached the bucket."""
    slower = config.model_copy(update={"heartbeat_seconds": 0.7})
    first = step(job, slower)
    beat(job, first, age_minutes=2)
    later = threading.Timer(0.5, beat, (job, first), {"age_minutes": 0})
    later.start()
    assert step(job, slower).state == "training"
    later.join()
    assert machines(simulated, job)[0]["state"] in ("pending", "running")


def test_the_budget_is_hard_and_of_all_attempts(simulated, config, job):
    first = step(job, config)
    ending = Ending(attempt=1, instance_id=first.instance_id, cause="interrupted", ended_at=now(), seconds=1, usd=1.9)
    job.end(ending)
    take_away(simulated, first.instance_id)
    second = step_until(job, config, "booting")
    beat(job, second, age_minutes=-30)
    minutes = 0.11 / job.attempts()[1].price(second.instance_type, second.zone) * 60
    assert minutes < 60
    assert step(job, config, minutes).state == "ending"
    final = step_until(job, config, "exhausted", minutes)
    assert job.ending(2).cause == "budget"
    assert "budget_usd" in final.message
    withdraw(job, config, "nothing to do", now())
    assert step(job, config).state == "exhausted"
    assert never_two(simulated, job) == 2


def test_without_capacity_it_asks_elsewhere_then_pauses_then_pays_more(simulated, config, job):
    simulated.no_capacity(market="spot")
    assert [step(job, config).state for _ in range(2)] == ["launching"] * 2
    asked = [{(offer.instance_type, offer.zone) for offer in attempt.offers} for attempt in job.attempts()]
    assert len(asked) == 2
    assert asked[0].isdisjoint(asked[1]), "the other pools come next"
    paused = step(job, config)
    assert "asks again at" in paused.message
    assert len(job.attempts()) == 2
    assert step(job, config, 1).state == "launching"
    status = step(job, config, 1)
    assert (status.state, status.market, status.attempt) == ("booting", "on-demand", 4)
    assert never_two(simulated, job) == 1


def test_without_capacity_anywhere_it_gives_up(simulated, config, job):
    simulated.no_capacity()
    few = config.model_copy(update={"max_attempts": 4})
    states = [step(job, few, minutes) for minutes in range(6)]
    assert [status.state for status in states[:4]] == ["launching"] * 4
    assert states[-1].state == "exhausted"
    assert "4 attempts (4 capacity)" in states[-1].message
    assert never_two(simulated, job) == 0


def test_a_mistake_in_the_config_fails_the_job_at_once(simulated, config, job):
    wrong = config.model_copy(update={"instance_profile": "nobody"})
    final = step_until(job, wrong, "failed")
    assert "correct instance_profile" in final.message
    assert len(job.attempts()) == 1
    assert never_two(simulated, job) == 0


def test_machines_that_die_without_a_word_are_not_replaced_for_ever(simulated, config, job):
    for _ in range(4):
        status = step_until(job, config, "booting")
        Ec2(config).terminate([status.instance_id])
    final = step_until(job, config, "exhausted")
    assert "4 machines in a row were lost" in final.message
    found = look(job, config, now())
    assert (found.state, found.message) == (final.state, final.message)
    assert never_two(simulated, job) == 4


def test_an_answer_that_nobody_heard(simulated, config, job):
    simulated.fault("lose_answer", action="CreateFleet", times=20)
    simulated.fault("throttle", action="Describe", times=2)
    with_patience = Ec2(config, visible_seconds=1)
    assert advance(job, config, now(), with_patience).state == "booting"
    simulated.no_faults()
    assert step(job, config).state == "booting"
    assert never_two(simulated, job) == 1


def test_an_api_that_does_not_answer_changes_nothing(simulated, config, job):
    simulated.fault("error", action="CreateFleet", times=1000)
    status = advance(job, config, now(), Ec2(config, visible_seconds=0))
    assert status.state == "launching"
    simulated.fault("lose_request", action="Describe", times=1000)
    with pytest.raises(CloudUnreachable):
        step(job, config)
    simulated.no_faults()
    assert step(job, config).state == "booting"
    assert never_two(simulated, job) == 1


def test_an_ec2_that_never_answered_is_asked_anew_when_nothing_can_appear(simulated, config, job):
    simulated.fault("error", action="CreateFleet", times=1000)
    advance(job, config, now(), Ec2(config, visible_seconds=0))
    assert "no answer in 5 minutes" in step(job, config, 6).message
    simulated.no_faults()
    assert "may still appear" in step(job, config, 6).message
    assert step(job, config, 7).attempt == 2
    assert job.ending(1).cause == "lost"


def test_a_machine_that_ec2_does_not_list_yet(simulated, config, job):
    simulated.timing(visibility_seconds=3)
    first = step(job, config)
    Path(job.at("launched/0001.json")).unlink()  # as if the launcher had been killed before it wrote that down
    again = step(job, config)
    assert (again.state, again.instance_id) == ("booting", first.instance_id)
    assert "not list" in step(job, config).message
    assert end(job, config, "enough")["state"] == "cancelled"
    assert all(one["state"] == "terminated" for one in machines(simulated, job))
    assert never_two(simulated, job) == 1


def test_launchers_that_are_killed_between_request_and_answer(simulated, config, job):
    """Two at once, one of them killed while EC2 has done what it asked and has not said so; again and again."""
    for delay in (0.2, 0.6, 1.0):
        simulated.fault("hang", action="CreateFleet", hang_seconds=1.5)
        launchers = [launcher_process(job) for _ in range(2)]
        for process in launchers:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        time.sleep(delay)  # somewhere in its step: there is nothing to wait for
        launchers[0].send_signal(signal.SIGKILL)
        for process in launchers:
            process.wait(WAIT_SECONDS)
            assert process.stdout
            process.stdout.close()
        simulated.no_faults()
        status = step_until(job, config, "booting")
        assert [one["state"] for one in machines(simulated, job)].count("terminated") == status.attempt - 1
        take_away(simulated, status.instance_id)
        step_until(job, config, "ending")
    step_until(job, config, "booting")
    assert never_two(simulated, job) == 4


def launcher_process(job: Job) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", STEP, job.uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_many_launchers_and_many_faults(simulated, config, job):
    """Four threads step at the same time while machines are taken away and answers are lost."""
    stop, errors = threading.Event(), []

    def go_on() -> None:
        ec2 = Ec2(config, visible_seconds=0.5)
        while not stop.is_set():
            try:
                advance(job, config, datetime.now(UTC), ec2)
            except CloudUnreachable:
                pass
            except Exception as error:
                errors.append(error)
                return
            time.sleep(0.05)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for attempt in range(1, 5):
            simulated.fault("lose_answer", action="CreateFleet")
            simulated.fault("error", action="Describe", times=2)
            deadline = time.monotonic() + WAIT_SECONDS
            while (launch := job.launch(attempt)) is None:
                assert time.monotonic() < deadline, errors
                assert not errors
                time.sleep(0.05)
            take_away(simulated, launch.instance_id)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert never_two(simulated, job) >= 4


def test_a_launcher_that_slept_through_the_end_launches_nothing(simulated, config, job):
    """It has claimed its attempt and made its template; the job is cancelled, ended and forgotten before it asks."""
    asked, may_go_on = threading.Event(), threading.Event()

    class Sleepy(Ec2):
        def _create_fleet(self, request):
            asked.set()
            assert may_go_on.wait(WAIT_SECONDS)
            return super()._create_fleet(request)

    found: list[Status] = []
    sleeper = threading.Thread(target=lambda: found.append(advance(job, config, now(), Sleepy(config))))
    sleeper.start()
    assert asked.wait(WAIT_SECONDS)
    withdraw(job, config, "cleared", now())
    assert "may still appear" in step(job, config).message
    assert step(job, config, 1).state == "cancelled"
    may_go_on.set()
    sleeper.join()
    assert found[0].state == "launching"
    assert machines(simulated, job) == []
    assert step(job, config).state == "cancelled"


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
