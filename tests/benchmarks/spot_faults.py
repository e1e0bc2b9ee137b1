"""What befalls the runs of the campaign: each fault is a sentence for the table and something done to one run.

fault = draw(random.Random(7))
fault.befall(run, ec2, generator)           # in a thread of its own, while the run is under way
"""

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from local_stack.ec2.remote import RemoteEc2
from spot_run import Run

NOTICE_SECONDS = 25.0  # EC2 gives two minutes to a machine; here everything is faster
LONGEST_WAIT = 120.0
GIVEN_UP = "the machine hangs, nobody watches again"


class Fault(NamedTuple):
    """``befall`` returns when it is done; ``interrupts`` says that a machine is lost by it."""

    name: str
    befall: Callable[[Run, RemoteEc2, random.Random], None]


def draw(generator: random.Random) -> Fault:
    """Return one of the faults."""
    return generator.choice(FAULTS)


def _machine(run: Run, ec2: RemoteEc2, generator: random.Random, later: float = 4.0) -> str | None:
    """Wait until the run's machine trains, and for a random time after; None when the run ended before."""
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end and not run.over.is_set():
        for machine in ec2.machines():
            if machine["tags"].get("adbreak:job") == run.job_id and machine["state"] == "running" and run.steps():
                run.over.wait(generator.uniform(0, later))
                return str(machine["instance_id"])
        run.over.wait(0.3)
    return None


def _on_machine(act: Callable[[RemoteEc2, str], object]) -> Callable[[Run, RemoteEc2, random.Random], None]:
    def befall(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
        instance_id = _machine(run, ec2, generator)
        if instance_id is not None and not run.over.is_set():
            run.note("fault")
            act(ec2, instance_id)

    return befall


def _nothing(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    return


def _notice(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    instance_id = _machine(run, ec2, generator)
    if instance_id is not None and not run.over.is_set():
        run.note("notice")
        ec2.notice(instance_id, seconds=NOTICE_SECONDS)


def _watchers_killed(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    for _ in range(3):
        if run.over.wait(generator.uniform(0.5, 4)):
            return
        run.kill_watchers()


def _watched_twice(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    run.watch_beside()


def _cleared(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    if _machine(run, ec2, generator) is not None and not run.over.is_set():
        run.clear()


def _airflow_down(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    if not run.over.wait(generator.uniform(2, 8)):
        run.leave_alone(20)


def _given_up(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    """A machine that hangs, its own deadline with it, and nobody who watches: only the reaper is left."""
    instance_id = _machine(run, ec2, generator)
    if instance_id is not None and not run.over.is_set():
        run.abandon()
        ec2.freeze(instance_id)
        while any(one["instance_id"] == instance_id and one["state"] != "terminated" for one in ec2.machines()):
            time.sleep(1)


def _with_api(**fault: object) -> Callable[[Run, RemoteEc2, random.Random], None]:
    def befall(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
        if not run.over.wait(generator.uniform(0, 5)):
            ec2.fault(**fault)  # type: ignore[arg-type]

    return befall


def _bucket_away(who: str) -> Callable[[Run, RemoteEc2, random.Random], None]:
    def befall(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
        if not run.over.wait(generator.uniform(1, 8)):
            ec2.cut_s3(generator.uniform(1, 4), who=who)

    return befall


def _no_capacity(run: Run, ec2: RemoteEc2, generator: random.Random) -> None:
    ec2.no_capacity(instance_type=generator.choice(["g6.xlarge", "g5.xlarge"]), seconds=5)


FAULTS = (
    Fault("nothing", _nothing),
    Fault("spot notice", _notice),
    Fault("taken away without a notice", _on_machine(lambda ec2, one: ec2.notice(one, seconds=0))),
    Fault("trainer killed", _on_machine(lambda ec2, one: ec2.kill(one, "trainer"))),
    Fault("supervisor killed", _on_machine(lambda ec2, one: ec2.kill(one, "supervisor"))),
    Fault("all processes of the machine killed", _on_machine(lambda ec2, one: ec2.kill(one, "all"))),
    Fault("the machine hangs", _on_machine(lambda ec2, one: ec2.freeze(one))),
    Fault("rebalance recommended", _on_machine(lambda ec2, one: ec2.rebalance(one))),
    Fault("watchers killed three times", _watchers_killed),
    Fault("watched by two at once", _watched_twice),
    Fault("task cleared", _cleared),
    Fault("nobody watches for 20 s", _airflow_down),
    Fault(GIVEN_UP, _given_up),
    Fault("answer to CreateFleet lost", _with_api(kind="lose_answer", action="CreateFleet")),
    Fault("request of CreateFleet lost", _with_api(kind="lose_request", action="CreateFleet")),
    Fault("EC2 throttles", _with_api(kind="throttle", seconds=3)),
    Fault("EC2 fails", _with_api(kind="error", seconds=3)),
    Fault("EC2 hangs", _with_api(kind="hang", times=2, hang_seconds=4)),
    Fault("bucket away from machines", _bucket_away("machines")),
    Fault("bucket away from launchers", _bucket_away("launchers")),
    Fault("no capacity of a type", _no_capacity),
)
