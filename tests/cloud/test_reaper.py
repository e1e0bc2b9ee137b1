"""The reaper against a real EC2 API: what is certain is ended, what only does not answer is left alone."""

import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from ml_training.cloud import costs, reaper, storage
from ml_training.cloud.airflow_runs import AirflowRuns
from ml_training.cloud.jobs import Archive, Attempt, Ending, Heartbeat, Job, JobSpec, Launch, Offer, Result
from ml_training.config.cloud import CloudConfig, load_cloud_config
from ml_training.utils.errors import CloudUnreachable, StorageError

REGIONS = itertools.cycle(boto3.session.Session().get_available_regions("ec2"))  # each test has its own: nobody else's
ARCHIVE = Archive(uri="s3://adbreak/code/x", sha256="0" * 64)
SPEC = JobSpec(module="m", options={}, code=ARCHIVE, lock=ARCHIVE, deadline_seconds=3600, budget_usd=2)
NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


class World:
    """One account's region, a bucket, and what launchers would have put there."""

    def __init__(self, folder: Path) -> None:
        self.root = str(folder / "adbreak")
        self.config: CloudConfig = load_cloud_config().model_copy(update={"region": next(REGIONS)})
        self.ec2 = boto3.client("ec2", region_name=self.config.region)
        self.now = datetime.now(UTC)
        self.pauses: list[float] = []

    def machine(self, **tags: str) -> str:
        """Start a machine with our tag and these others; ``project=""`` leaves ours out."""
        named = {"adbreak:project": "adbreak", **{f"adbreak:{key.replace('_', '-')}": tags[key] for key in tags}}
        labels = [{"Key": key, "Value": value} for key, value in named.items() if value]
        answer = self.ec2.run_instances(
            ImageId="ami-12c6146b",
            InstanceType="g6.xlarge",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": labels}] if labels else [],
        )
        return str(answer["Instances"][0]["InstanceId"])

    def job(self, name: str = "one", attempts: int = 1) -> Job:
        job = Job(f"{self.root}/training/jobs/{name}")
        job.create(SPEC)
        for number in range(1, attempts + 1):
            offer = Offer(instance_type="g6.xlarge", zone="z", subnet="s", usd_per_hour=0.3)
            times = {"created_at": self.now, "deadline_at": self.now + hours(8)}
            job.claim(Attempt(number=number, client_token=str(number), offers=[offer], **times))
        return job

    def of_job(self, job: Job, attempt: int = 1, **tags: str) -> str:
        """Start the machine of an attempt, with a deadline in eight hours."""
        deadline = (self.now + hours(8)).isoformat()
        return self.machine(job=job.job_id, job_uri=job.uri, attempt=str(attempt), deadline=deadline, **tags)

    def beat(self, job: Job, attempt: int = 1, at: datetime | None = None) -> None:
        job.beat(Heartbeat(attempt=attempt, instance_id="i", at=at or self.now, state="training"))

    def state(self, instance_id: str) -> str:
        answer = self.ec2.describe_instances(InstanceIds=[instance_id])
        return str(answer["Reservations"][0]["Instances"][0]["State"]["Name"])

    def reap(self, after: timedelta = timedelta(0), **options: Any) -> reaper.Report:
        now = datetime.now(UTC) + after
        return reaper.reap(self.config, now=now, **{"pause": self.pauses.append, **options})


@pytest.fixture
def world(tmp_path: Path, s3_server: str) -> World:
    return World(tmp_path)


def causes(report: reaper.Report) -> dict[str, str]:
    return {machine.instance_id: machine.cause for machine in report.terminated}


def test_a_machine_past_its_deadline_ends_on_ec2s_word_alone(world, monkeypatch):
    late = world.machine(deadline=(world.now - hours(1)).isoformat(), job_uri="s3://gone/training/jobs/x", attempt="1")
    early = world.machine(deadline=(world.now + hours(1)).isoformat())
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOBODY)
    report = world.reap()
    assert causes(report) == {late: "deadline"}
    assert (world.state(late), world.state(early)) == ("terminated", "running")
    assert (report.machines, report.errors) == (2, [])
    assert "S3 cannot be used" in report.unreadable[0]
    assert report.alerts[0].severity == "error"
    assert late in report.alerts[0].summary


def test_a_machine_without_our_tag_is_never_touched(world):
    stranger = world.machine(project="", deadline="2020-01-01T00:00:00+00:00")
    report = world.reap(after=hours(1000))
    assert (report.machines, report.terminated) == (0, [])
    assert world.state(stranger) == "running"


def test_a_dry_run_says_and_touches_nothing(world):
    late = world.machine(deadline=(world.now - hours(1)).isoformat())
    report = world.reap(dry_run=True)
    assert causes(report) == {late: "deadline"}
    assert world.state(late) == "running"
    assert (report.dry_run, report.alerts) == (True, [])


@pytest.mark.parametrize("deadline", ["", "tomorrow", "2099-01-01T00:00:00"])
def test_a_machine_that_does_not_say_when_it_ends_has_a_limit(world, deadline):
    odd = world.machine(deadline=deadline)
    assert world.reap(after=hours(7.9)).terminated == []
    report = world.reap(after=hours(8.1))
    assert causes(report) == {odd: "no_deadline"}
    assert world.state(odd) == "terminated"


def test_no_machine_lives_for_ever_whatever_its_deadline_says(world):
    odd = world.machine(deadline="2099-01-01T00:00:00+00:00")
    assert world.reap(after=hours(71)).terminated == []
    assert causes(world.reap(after=hours(73))) == {odd: "too_old"}


def test_a_stopped_machine_bills_for_its_disk_and_has_a_deadline_too(world):
    stopped = world.machine(deadline=(world.now + hours(1)).isoformat())
    world.ec2.stop_instances(InstanceIds=[stopped])
    assert causes(world.reap(after=hours(2))) == {stopped: "deadline"}


def test_a_living_training_is_left_alone(world):
    job = world.job()
    alive = world.of_job(job)
    for after in (hours(0), hours(0.1), hours(4)):
        world.beat(job, at=world.now + after)
        assert world.reap(after=after).terminated == []
    assert world.state(alive) == "running"


@pytest.mark.parametrize("cause", ["done", "failed"])
def test_a_machine_that_stays_behind_its_job_ends_after_a_grace(world, cause):
    job = world.job()
    left = world.of_job(job)
    job.finish(Result(attempt=1, cause=cause, ended_at=world.now))
    assert world.reap(after=hours(0.1)).terminated == []
    report = world.reap(after=hours(0.3))
    assert causes(report) == {left: f"job_{cause}"}
    assert report.alerts[0].severity == "warning"


def test_the_machine_of_an_older_attempt_ends(world):
    job = world.job(attempts=2)
    old, new = world.of_job(job, 1), world.of_job(job, 2)
    world.beat(job, 2, at=world.now + hours(0.3))
    assert causes(world.reap(after=hours(0.3))) == {old: "superseded"}
    assert world.state(new) == "running"


def test_a_second_machine_of_one_attempt_ends(world):
    job = world.job()
    first, second = world.of_job(job), world.of_job(job)
    facts = {"instance_type": "g6.xlarge", "zone": "z", "market": "spot", "usd_per_hour": 0.3}
    job.launched(Launch(attempt=1, instance_id=first, at=world.now, **facts))
    world.beat(job, at=world.now + hours(0.3))
    assert causes(world.reap(after=hours(0.3))) == {second: "double"}
    assert world.state(first) == "running"


def test_a_cancelled_machine_that_stays_ends(world):
    job = world.job()
    left = world.of_job(job)
    job.cancel(1, "the task was cleared", world.now)
    assert world.reap().terminated == []
    assert causes(world.reap(after=hours(0.3))) == {left: "cancelled"}


def test_silence_needs_a_second_look(world):
    job = world.job()
    silent = world.of_job(job)
    world.beat(job)
    late = timedelta(minutes=world.config.boot_minutes + world.config.silent_minutes + 1)

    def comes_back(seconds: float) -> None:
        assert seconds == 3 * world.config.heartbeat_seconds
        world.beat(job, at=world.now + late)

    assert world.reap(after=late, pause=comes_back).terminated == [], "the bucket had been away, the machine had not"
    assert causes(world.reap(after=2 * late)) == {silent: "silent"}
    assert len(world.pauses) == 1


def test_a_machine_that_never_spoke_has_time_to_boot(world):
    job = world.job()
    mute = world.of_job(job)
    assert world.reap(after=timedelta(minutes=25)).terminated == []
    assert causes(world.reap(after=timedelta(minutes=31))) == {mute: "never_spoke"}


def test_a_bucket_that_does_not_answer_is_no_evidence(world, monkeypatch):
    job = world.job()
    alive = world.of_job(job)
    asked = []

    def refuse(prefix: str) -> Iterator[Any]:
        asked.append(prefix)
        raise StorageError(f"S3 cannot be used for {prefix}: timed out")

    monkeypatch.setattr(storage, "list_objects", refuse)
    world.of_job(job)
    report = world.reap(after=hours(7))
    assert report.terminated == []
    assert world.state(alive) == "running"
    assert [line for line in report.unreadable if "cannot be read" in line]
    assert len(asked) == 1, "one machine waited for the bucket, the others did not"


def test_another_bucket_that_knows_nothing_of_the_job_is_no_evidence(world):
    elsewhere = Job(f"{world.root}/training/jobs/unknown")
    alive = world.of_job(elsewhere)
    report = world.reap(after=hours(7))
    assert report.terminated == []
    assert "it may be another bucket" in report.unreadable[0]
    assert world.state(alive) == "running"


class Airflow(BaseHTTPRequestHandler):
    """Answers as Airflow's API does for one run."""

    answer: dict[str, Any] | str = ""
    calls: list[str]

    def do_GET(self) -> None:
        type(self).calls.append(f"{self.headers.get('Authorization')} {self.path}")
        known = "night" in self.path
        self._say(200 if known else 404, self.answer if known else {"detail": "not found"})

    def do_POST(self) -> None:
        login = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._say(201 if login["password"] == "secret" else 401, {"access_token": "t"})

    def _say(self, status: int, content: Any) -> None:
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *anything: Any) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[str]:
    Airflow.calls = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Airflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run_of_airflow(state: str, ended: datetime | None) -> dict[str, Any]:
    text = ended.isoformat().replace("+00:00", "Z") if ended else None
    return {"dag_run_id": "night", "dag_id": "nightly_retraining", "state": state, "end_date": text}


def test_a_machine_whose_run_has_ended_ends_after_a_grace(world, airflow):
    job = world.job()
    left = world.of_job(job, dag="nightly_retraining", dag_run="night")
    runs = AirflowRuns(airflow, user="reaper", password="secret")
    Airflow.answer = run_of_airflow("failed", world.now)
    world.beat(job, at=world.now + hours(0.1))
    assert world.reap(after=hours(0.1), runs=runs).terminated == []
    world.beat(job, at=world.now + hours(0.3))
    assert causes(world.reap(after=hours(0.3), runs=runs)) == {left: "run_ended"}
    assert Airflow.calls[-1] == "Bearer t /api/v2/dags/nightly_retraining/dagRuns/night"


@pytest.mark.parametrize(
    "answer",
    [
        run_of_airflow("running", None),
        {**run_of_airflow("failed", datetime(2026, 1, 1, tzinfo=UTC)), "dag_run_id": "another"},
        {"detail": "error"},
        "<html>a proxy's page</html>",
        run_of_airflow("failed", None),
    ],
)
def test_anything_but_the_end_of_the_run_is_no_evidence(world, airflow, answer):
    job = world.job()
    alive = world.of_job(job, dag="nightly_retraining", dag_run="night")
    Airflow.answer = answer
    world.beat(job, at=world.now + hours(7))
    assert world.reap(after=hours(7), runs=AirflowRuns(airflow, token="t")).terminated == []
    assert world.state(alive) == "running"


@pytest.mark.parametrize("password", ["wrong", None])
def test_an_airflow_that_refuses_or_does_not_answer_is_no_evidence(world, airflow, password):
    job = world.job()
    world.of_job(job, dag="nightly_retraining", dag_run="night")
    world.of_job(job, dag="nightly_retraining", dag_run="of another Airflow")
    Airflow.answer = run_of_airflow("failed", datetime(2026, 1, 1, tzinfo=UTC))
    runs = AirflowRuns(airflow, user="reaper", password=password) if password else AirflowRuns(NOBODY, token="t")
    world.beat(job, at=world.now + hours(7))
    report = world.reap(after=hours(7), runs=runs)
    assert report.terminated == []
    assert "cannot be asked" in report.unreadable[0]


def test_leftovers_go_and_living_things_stay(world):
    tags = [{"Key": "adbreak:project", "Value": "adbreak"}]
    old = [*tags, {"Key": "adbreak:deadline", "Value": (world.now + hours(1)).isoformat()}]
    new = [*tags, {"Key": "adbreak:deadline", "Value": (world.now + hours(9)).isoformat()}]
    zone = world.ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    ours, stranger = (
        world.ec2.create_volume(
            AvailabilityZone=zone, Size=8, TagSpecifications=[{"ResourceType": "volume", "Tags": own}] if own else []
        )["VolumeId"]
        for own in (tags, [])
    )
    for name, own in (("old", old), ("new", new), ("foreign", [])):
        world.ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "g6.xlarge"},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": own}] if own else [],
        )
    assert world.reap().deleted == []
    report = world.reap(after=hours(2))
    assert report.deleted == [f"volume {ours}", "launch-template old"]
    assert [found["VolumeId"] for found in world.ec2.describe_volumes()["Volumes"]] == [stranger]
    names = {found["LaunchTemplateName"] for found in world.ec2.describe_launch_templates()["LaunchTemplates"]}
    assert names == {"new", "foreign"}


def test_a_spot_request_past_its_deadline_is_cancelled(world):
    tags = {"adbreak:project": "adbreak", "adbreak:deadline": (world.now + hours(1)).isoformat()}
    request = world.ec2.request_spot_instances(
        SpotPrice="0.5",
        LaunchSpecification={"ImageId": "ami-12c6146b", "InstanceType": "g6.xlarge"},
        TagSpecifications=[
            {"ResourceType": "spot-instances-request", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
        ],
    )["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
    found = {"id": request, "states": {"open", "active"}}
    states = {
        item["State"]
        for item in world.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
        if item["SpotInstanceRequestId"] == found["id"]
    }
    assert states <= found["states"]
    assert f"spot-request {request}" in world.reap(after=hours(2)).deleted


def test_what_a_reaped_machine_cost_stands_in_the_ledger(world):
    job = world.job(attempts=2)
    world.of_job(job, 1)
    world.of_job(job, 2)
    job.end(Ending(attempt=1, instance_id="i", cause="interrupted", ended_at=world.now, seconds=60, usd=0.01))
    at = datetime.now(UTC) + hours(9)
    world.reap(after=hours(9))
    cost = {cost.attempt: cost for cost in costs.read_ledger(world.root, costs.month_of(at))}
    cost |= {cost.attempt: cost for cost in costs.read_ledger(world.root, costs.month_of(world.now))}
    assert cost[1].usd == 0.01, "its own word counts"
    assert cost[2].usd == pytest.approx(9 * 0.3, rel=0.01)
    assert cost[2].cause == "deadline"


def test_what_a_machine_cost_whose_launcher_has_gone_is_noted_once(world, monkeypatch):
    machine = world.of_job(job := world.job())
    world.ec2.terminate_instances(InstanceIds=[machine])
    job.end(Ending(attempt=1, instance_id=machine, cause="done", ended_at=world.now, seconds=60, usd=0.01))
    world.reap()
    assert [cost.usd for cost in costs.read_ledger(world.root, costs.month_of(world.now))] == [0.01]
    monkeypatch.setattr(costs, "settle", lambda job: pytest.fail("it is not looked at again"))
    world.reap()


def test_an_ec2_that_does_not_answer_fails_the_pass(world, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", NOBODY)
    with pytest.raises(CloudUnreachable, match="does not answer"):
        world.reap()


def test_the_command_prints_its_report(world, tmp_path, capsys):
    late = world.machine(deadline=(world.now - hours(1)).isoformat())
    path = tmp_path / "cloud.yaml"
    path.write_text(world.config.model_dump_json(exclude_none=True))
    assert reaper.main(["--dry-run", "--cloud-config", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [machine["instance_id"] for machine in report["terminated"]] == [late]
    assert report["dry_run"] is True
