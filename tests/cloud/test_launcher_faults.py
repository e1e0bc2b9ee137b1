"""Never two machines for a job: with answers that are lost, an API that fails, launchers that are killed or many."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from launcher_steps import WAIT_SECONDS, machines, never_two, now, step, step_until, take_away
from ml_training.cloud.ec2 import Ec2
from ml_training.cloud.ending import end, withdraw
from ml_training.cloud.jobs import Job
from ml_training.cloud.launcher import advance
from ml_training.cloud.status import Status
from ml_training.utils.errors import CloudUnreachable

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
