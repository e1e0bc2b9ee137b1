"""What tests of a job's launcher share: steps at a time of the test's own, and the machines behind them."""

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from local_stack.ec2.remote import RemoteEc2
from ml_training.cloud.jobs import Heartbeat, Job
from ml_training.cloud.launcher import advance
from ml_training.cloud.status import Status
from ml_training.config.cloud import CloudConfig

WAIT_SECONDS = 60.0
Advance = Callable[[Job, CloudConfig, datetime], Status]


def now(minutes: float = 0.0) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def step(job: Job, config: CloudConfig, minutes: float = 0.0) -> Status:
    return advance(job, config, now(minutes))


def step_until(
    job: Job, config: CloudConfig, state: str, minutes: float = 0.0, *, advance: Advance = advance
) -> Status:
    """Step until a state comes; the machines' ends take a moment of real time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (status := advance(job, config, now(minutes))).state != state:
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
