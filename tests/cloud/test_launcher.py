"""A job's machine: one after another, never two, from the first request to the last word.

Time is passed to each step, so nothing here waits for hours; what EC2 says comes from the simulated one.
"""

import threading

import pytest
from launcher_steps import beat, machines, never_two, now, step, step_until, take_away
from ml_training.cloud import costs
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.ending import withdraw
from ml_training.cloud.jobs import Ending, Result
from ml_training.cloud.launcher import look


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
