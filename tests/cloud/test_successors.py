"""One address, changing orders: what was asked for before is ended before anything else begins."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from local_stack.ec2.remote import RemoteEc2
from ml_training.cloud.jobs import Job
from ml_training.cloud.launcher import advance
from ml_training.cloud.spot import prepare
from ml_training.cloud.successors import end_all, successors, take_over
from ml_training.config.cloud import load_cloud_config


@pytest.fixture
def begin(simulated: RemoteEc2, tmp_path: Path) -> Any:
    """Take an address over with these options, and ask for a machine."""
    config, root = load_cloud_config(), str(tmp_path / "data")

    def begin(**options: Any) -> Job:
        uri = take_over(f"{root}/training/jobs/{tmp_path.name}", "m", options, config)
        job = prepare(config, "m", options, {}, data_dir=root, job_uri=uri)
        advance(job, config, datetime.now(UTC))
        return job

    yield begin
    end_all(f"{root}/training/jobs/{tmp_path.name}", config, "the test is over")


def living(simulated: RemoteEc2, job: Job) -> list[str]:
    return [
        one["tags"]["adbreak:job"]
        for one in simulated.machines()
        if one["tags"]["adbreak:job"].startswith(job.job_id) and one["state"] in ("pending", "running")
    ]


def test_other_options_end_the_machine_and_begin_their_own(simulated: RemoteEc2, begin: Any) -> None:
    first = begin(dataset="a")
    assert begin(dataset="a").uri == first.uri
    second = begin(dataset="b")
    assert second.uri == first.uri + "-next"
    assert living(simulated, first) == [second.job_id]
    assert begin(dataset="a").uri == first.uri
    assert living(simulated, first) == [first.job_id]


def test_the_end_of_the_address_ends_them_all(simulated: RemoteEc2, begin: Any) -> None:
    first, second = begin(dataset="a"), begin(dataset="b")
    assert [job.uri for job in successors(first.uri)] == [first.uri, second.uri]
    assert end_all(first.uri, load_cloud_config(), "the task has ended")["state"] == "cancelled"
    assert living(simulated, first) == []
