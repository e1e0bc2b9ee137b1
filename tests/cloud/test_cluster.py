"""The machines of one job find one another through the bucket, and begin anew together when one has gone."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from launcher_steps import WAIT_SECONDS, machines
from local_stack.ec2.remote import RemoteEc2
from ml_training.cloud import storage
from ml_training.cloud.cluster import Cluster, cluster_of
from ml_training.cloud.company import Alone
from ml_training.cloud.imds import Metadata
from ml_training.cloud.jobs import Archive, Attempt, Job, JobSpec
from ml_training.cloud.members import member, member_spec
from ml_training.cloud.rehearsal import JOURNAL, next_state
from ml_training.cloud.spot import main
from ml_training.utils.errors import JobError

STEPS, CHECKPOINT_STEPS = 60, 5


def attempt(number: int, first: int = 1) -> Attempt:
    now = datetime.now(UTC)
    return Attempt(number=number, first=first, client_token="t", created_at=now, deadline_at=now + timedelta(hours=1))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    archive = Archive(uri="code", sha256="0" * 64)
    spec = JobSpec(module="m", options={}, code=archive, lock=archive, machines=2, deadline_seconds=60, budget_usd=1)
    made = Job(str(tmp_path / "jobs" / "one"))
    made.create(spec)
    made.claim(attempt(1))
    second = member(made, 1)
    second.create(member_spec(made, spec, 1))
    second.claim(attempt(1))
    return made


def seen_from(job: Job, index: int, number: int = 1, season: int = 1) -> Cluster:
    own = member(job, index)
    return Cluster(own, own.spec(), number, host="127.0.0.1", season=season)


def look(*clusters: Cluster) -> None:
    """Let each speak and look, twice: what one says the other one hears."""
    for one in (*clusters, *clusters):
        one.turn()


def test_a_round_begins_when_all_are_ready_and_names_them(job):
    first, second = seen_from(job, 0), seen_from(job, 1)
    first.come()
    look(first, second)
    assert (first.called(), first.missing()) == (None, [2])
    second.come()
    look(second, first)
    turn = first.called()
    second.turn()
    assert turn is not None
    assert second.called() == turn
    environment = json.loads(second.environment(turn)["TF_CONFIG"])
    assert environment["task"] == {"type": "worker", "index": 1}
    assert environment["cluster"]["worker"] == [seat.address for seat in turn.seats]
    assert len({seat.address for seat in turn.seats}) == 2
    assert first.broken(turn) is second.broken(turn) is None
    look(first, second)
    assert len(list(storage.list_objects(job.at("cluster/0001/rounds/")))) == 1


def test_when_one_has_gone_all_come_again(job):
    first, second = seen_from(job, 0), seen_from(job, 1)
    first.come()
    second.come()
    look(second, first)
    turn = first.called()
    second.leave("EC2 takes it back")
    look(second, first)
    assert first.broken(turn) == "machine 2 of 2 is leaving: EC2 takes it back"
    first.come()
    look(first)
    assert first.called() is None, "the round before is over"
    member(job, 1).claim(attempt(2))
    second.come()
    with pytest.raises(JobError, match="replaced by a later one"):
        second.turn()
    another = seen_from(job, 1, number=2)
    another.come()
    look(another, first)
    assert first.broken(turn) == "machine 2 of 2 is another one now, attempt 2"
    assert (first.called().number, first.called().attempts()) == (2, [1, 2])
    another.come()
    look(another, first)
    assert first.broken(first.called()) == "machine 2 of 2 waits for the next round"


def test_a_machine_that_was_replaced_while_it_waited_begins_no_round(job):
    first, second = seen_from(job, 0), seen_from(job, 1)
    second.come()
    second.turn()
    member(job, 1).claim(attempt(2))
    first.come()
    with pytest.raises(JobError, match="replaced by a later one"):
        look(first)
    assert first.called() is None


def test_how_one_ended_is_heard_by_the_others(job):
    first, second = seen_from(job, 0), seen_from(job, 1)
    look(first, second)
    assert first.verdict() is second.verdict() is None
    second.end("lost", "it broke")
    look(first)
    assert first.verdict() is None, "another one will come"
    second.end("budget", "the budget is spent")
    look(first)
    assert first.verdict() == ("budget", "machine 2 of 2: the budget is spent")
    first.end("failed", "the loss is nan")
    look(second)
    assert second.verdict() == ("cancelled", "machine 1 of 2: the loss is nan")
    storage.write_json(job.at("done.json"), {})
    look(second)
    assert second.verdict() == ("done", "the first machine is done")
    again = seen_from(job, 1, season=2)
    look(again)
    assert again.missing() == [1, 2], "what was said before the job began again counts no more"


def test_a_job_of_one_machine_has_no_company(job, metadata_service):
    spec = job.spec()
    assert isinstance(cluster_of(job, spec.model_copy(update={"machines": 1}), attempt(1), Metadata()), Alone)
    with pytest.raises(JobError, match="local-ipv4"):
        cluster_of(job, spec, attempt(1), Metadata())
    metadata_service.values["local-ipv4"] = "10.0.0.7"
    found = cluster_of(member(job, 1), member(job, 1).spec(), attempt(1), Metadata())
    found.come()
    found.turn()
    said = storage.read_json(job.at("cluster/0001/machine-02.json"))
    assert said["address"].startswith("10.0.0.7:")


@pytest.fixture
def cloud(simulated: RemoteEc2) -> Iterator[RemoteEc2]:
    """Machines that come to their user data."""
    simulated.timing(boot_seconds=0.1)
    yield simulated
    simulated.timing(boot_seconds=3600)


def begun(job: Job, number: int) -> Callable[[], bool]:
    """Return what tells whether a round is under way, with some steps behind it."""

    def found() -> bool:
        _, _, said = log_of(job).partition(f"round {number} of 2 machines begins")
        return "rehearsal: begins at step" in said

    return found


def log_of(job: Job) -> str:
    return "".join(job.read_log(one.number)[0].decode() for one in job.attempts())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def steps_of(cloud: RemoteEc2, job: Job) -> list[int]:
    """Return the steps that the machines of a job took, one after the other."""
    journals = [Path(one["folder"]) / "opt" / "work" / JOURNAL for one in machines(cloud, job)]
    return [json.loads(line)["step"] for path in journals for line in path.read_text().splitlines()]


class Rehearsal:
    """A rehearsal on two machines, while something happens aside."""

    def __init__(self, folder: Path, **options: Any) -> None:
        data_dir = str(folder / "data")
        self.job = Job(f"{data_dir}/training/jobs/{folder.name}")
        self.second = member(self.job, 1)
        chosen = {"output": f"{data_dir}/out", "steps": STEPS, "step_seconds": 0.1, **options}
        self._arguments = ["run", "--json", "--data-dir", data_dir, "--job", self.job.uri, "--machines", "2"]
        self._arguments += ["--module", "ml_training.cloud.rehearsal", "--options", json.dumps(chosen)]

    def run(self, aside: Callable[[], None]) -> int:
        with ThreadPoolExecutor() as pool:
            happens = pool.submit(aside)
            code = main(self._arguments)
            happens.result(WAIT_SECONDS)
        return code


def digest() -> str:
    state = ""
    for step in range(STEPS):
        state = next_state(state, step)
    return state


def test_two_machines_end_as_if_nothing_had_happened(cloud, tmp_path, capsys):
    """The command is killed on one of them, then the second machine is taken away, then the first."""
    rehearsal = Rehearsal(tmp_path, checkpoint_steps=CHECKPOINT_STEPS)
    job, second = rehearsal.job, rehearsal.second

    def disturb() -> None:
        wait_for(begun(job, 1))
        assert cloud.kill(second.launch(1).instance_id, "trainer")
        wait_for(begun(job, 2))
        cloud.notice(second.launch(1).instance_id, seconds=20)
        wait_for(begun(job, 3))
        cloud.notice(job.launch(1).instance_id, seconds=20)

    assert rehearsal.run(disturb) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["digest"] == digest()
    assert (result["cost"]["machines"], result["cost"]["interruptions"]) == (4, 2)
    assert "SIGKILL ended the training: it goes on from its last checkpoint" in log_of(second)
    for one in (job, second):
        assert [found["state"] for found in machines(cloud, one)] == ["terminated"] * 2
        taken = steps_of(cloud, one)
        assert sorted(set(taken)) == list(range(1, STEPS + 1))
        assert len(taken) <= STEPS + CHECKPOINT_STEPS, "a notice loses nothing, the kill what was not stored yet"
    assert second.ending(2).cause == "done"


def test_an_error_of_the_command_ends_both(cloud, tmp_path, capsys):
    rehearsal = Rehearsal(tmp_path, steps=0)
    assert rehearsal.run(lambda: None) == 1
    assert "expected --steps and --checkpoint-steps of 1 or more" in capsys.readouterr().err
    for one in (rehearsal.job, rehearsal.second):
        assert [found["state"] for found in machines(cloud, one)] == ["terminated"]
