"""Two machines for one job: asked for, watched, replaced and ended as one, by whoever looks after them."""

import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import launcher_steps
import pytest
from launcher_steps import WAIT_SECONDS, beat, machines, never_two, now, take_away
from local_stack.ec2.remote import RemoteEc2
from ml_training.cloud import costs, launcher
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.ending import end, withdraw
from ml_training.cloud.jobs import Ending, Job, Result
from ml_training.cloud.members import machines_of, member_spec, members
from ml_training.cloud.spot import prepare
from ml_training.cloud.status import Status
from ml_training.cloud.together import advance, look
from ml_training.config.cloud import CloudConfig
from ml_training.utils.errors import JobError, UsageError

step_until = functools.partial(launcher_steps.step_until, advance=advance)
REHEARSAL = "ml_training.cloud.rehearsal"


@pytest.fixture
def begin(config: CloudConfig, tmp_path: Path) -> Iterator[Any]:
    """Write a job of two machines down; the same again begins it again."""
    root, made = str(tmp_path / "data"), []

    def begin(**changes: Any) -> Job:
        uri = f"{root}/training/jobs/{tmp_path.name}"
        made.append(
            prepare(config, REHEARSAL, {}, {"dag": "d"}, data_dir=root, job_uri=uri, **{"machines": 2, **changes})
        )
        return made[-1]

    yield begin
    end(made[-1], config, "the test is over")


def step(job: Job, config: CloudConfig, minutes: float = 0.0) -> Status:
    return advance(job, config, now(minutes))


def both_at_work(job: Job, config: CloudConfig) -> Status:
    """Let both machines speak."""
    step_until(job, config, "booting")
    for one in (job, *members(job)):
        launch = one.launch(one.attempts()[-1].number)
        assert launch
        beat(one, Status(job_uri=one.uri, state="booting", attempt=launch.attempt, instance_id=launch.instance_id))
    return step(job, config)


def count_ended(simulated: RemoteEc2, *jobs: Job) -> list[int]:
    """Return how many machines each job had, all of which EC2 terminates or has terminated."""
    found = [[machine["state"] for machine in machines(simulated, job)] for job in jobs]
    assert {state for states in found for state in states} <= {"shutting-down", "terminated"}
    return [len(states) for states in found]


def test_each_machine_has_a_job_and_all_have_one_status(simulated, config, begin):
    job = begin()
    (second,) = members(job)
    assert look(job, config, now()).message.endswith("machine 2 of 2 is launching")
    first = step(job, config)
    assert (first.state, first.message) == (
        "booting",
        "EC2 gave a machine; machine 2 of 2 is booting (EC2 gave a machine)",
    )
    assert (first.budget_usd, second.spec().budget_usd) == (config.budget_usd, config.budget_usd / 2)
    assert (second.spec().leader, second.spec().index, second.spec().module) == (job.uri, 1, REHEARSAL)
    (machine,) = machines(simulated, second)
    assert (machine["tags"]["adbreak:job"], machine["tags"]["adbreak:dag"]) == (second.job_id, "d")
    training = both_at_work(job, config)
    assert (training.state, training.message) == ("training", "")
    found = look(job, config, now())
    assert (found.state, found.instance_id) == ("training", first.instance_id)
    assert found.usd == pytest.approx(2 * 60 / 3600 * job.attempts()[0].offers[0].usd_per_hour, rel=0.5)
    with pytest.raises(JobError, match="another job already"):
        begin(machines=3)


def test_a_machine_that_is_taken_away_is_replaced_and_the_other_one_stays(simulated, config, begin):
    job = begin()
    both_at_work(job, config)
    (second,) = members(job)
    take_away(simulated, second.launch(1).instance_id)
    assert "machine 2 of 2 is" in step_until(job, config, "launching").message
    step_until(job, config, "booting")
    assert (second.attempts()[-1].number, second.ending(1).cause) == (2, "interrupted")
    assert (len(job.attempts()), never_two(simulated, job), never_two(simulated, second)) == (1, 1, 2)


def test_when_the_first_is_done_the_other_one_goes(simulated, config, begin):
    job = begin()
    both_at_work(job, config)
    (second,) = members(job)
    job.finish(Result(attempt=1, cause="done", ended_at=now(), output={"run_id": "r"}))
    Ec2(config).terminate([job.launch(1).instance_id])
    deadline = time.monotonic() + WAIT_SECONDS
    while "terminated" not in machines(simulated, job)[0]["state"]:
        assert time.monotonic() < deadline
    assert step(job, config).state == "ending"
    assert second.cancellation(1) is None, "it has time to see that by itself, also when the first one is gone"
    final = step_until(job, config, "done", minutes=3)
    assert count_ended(simulated, job, second) == [1, 1]
    assert final.usd == pytest.approx(sum(costs.of_job(one).usd for one in (job, second)))
    assert {cost.job_uri for cost in costs.read_ledger(costs.root_of(job), costs.month_of(now()))} == {
        job.uri, second.uri,
    }  # fmt: skip
    assert look(job, config, now()).state == "done"
    begin()
    assert step(job, config).state == "done", "it stays done"


def test_when_another_one_fails_all_is_over_for_its_reason_and_begins_again(simulated, config, begin):
    job = begin()
    both_at_work(job, config)
    (second,) = members(job)
    second.end(Ending(attempt=1, instance_id="i", cause="failed", message="no", ended_at=now(), seconds=9, usd=0.01))
    second.finish(Result(attempt=1, cause="failed", message="the disk is full", ended_at=now()))
    final = step_until(job, config, "failed", minutes=3)
    assert final.message == "machine 2 of 2: the disk is full"
    assert count_ended(simulated, job, second) == [1, 1]
    begin()
    again = step_until(job, config, "booting")
    assert (again.attempt, second.attempts()[-1].number, second.attempts()[-1].first) == (2, 2, 2)
    assert both_at_work(job, config).state == "training"
    assert (never_two(simulated, job), never_two(simulated, second)) == (2, 2)


def test_ending_ends_both_with_and_without_the_bucket(simulated, config, begin):
    job = begin()
    both_at_work(job, config)
    (second,) = members(job)
    assert end(job, config, "cleared")["state"] == "cancelled"
    assert count_ended(simulated, job, second) == [1, 1]
    assert (job.ending(1).cause, second.ending(1).cause) == ("cancelled", "cancelled")
    assert end(job, config, "cleared")["state"] == step(job, config).state == "cancelled"
    begin()
    step_until(job, config, "booting")
    spec = Path(job.at("spec.json"))
    kept = spec.read_text()
    spec.write_text("{}")
    end(job, config, "cleared")
    spec.write_text(kept)
    assert count_ended(simulated, job, second) == [2, 2]


def test_a_machine_that_was_not_asked_for_when_the_job_ended_never_comes(simulated, config, begin):
    job = begin()
    (second,) = members(job)
    launcher.advance(job, config, now())  # and its watcher sleeps before it asks for the second machine
    withdraw(job, config, "cleared", now())
    second.create(member_spec(job, job.spec(), 1))
    assert launcher.advance(second, config, now()).state == "cancelled"
    step_until(job, config, "cancelled", minutes=3)
    assert count_ended(simulated, job, second) == [1, 0]


def test_only_what_can_share_its_work_gets_several_machines(config, begin, tmp_path):
    job = begin(machines=None)
    assert (job.spec().machines, members(job)) == (1, [])
    several = config.model_copy(update={"machines": 3})
    root = str(tmp_path / "data")
    assert prepare(several, REHEARSAL, {}, {}, data_dir=root).spec().machines == 3
    assert prepare(several, "m", {}, {}, data_dir=root).spec().machines == 1
    train = "ml_training.training.train"
    assert machines_of(several, train, {"config": "base_small"}, None) == 3
    assert machines_of(several, train, {"config": "base_model"}, None) == 1, "it learns in stages"
    assert machines_of(several, train, {"overrides": {"training.mode": "end_to_end"}}, 2) == 2
    with pytest.raises(UsageError, match=r"training\.mode=end_to_end"):
        machines_of(several, train, {"config": "temporal"}, 2)
    with pytest.raises(UsageError, match="m works on one machine"):
        prepare(several, "m", {}, {}, data_dir=root, machines=2)
    with pytest.raises(UsageError, match="one machine or more"):
        prepare(several, "m", {}, {}, data_dir=root, machines=0)
