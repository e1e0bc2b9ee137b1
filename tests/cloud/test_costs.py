"""Money: each attempt once in the ledger, sums that say what they do not know, a budget that is said once a day."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ml_training.cloud import costs, storage
from ml_training.cloud.jobs import Archive, Attempt, Ending, Job, JobSpec
from ml_training.cloud.workload import Frames, frames_of_hours
from ml_training.config.cloud import Candidate, load_cloud_config
from ml_training.config.loading import load_config
from ml_training.utils.errors import JobError

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ARCHIVE = Archive(uri="s3://adbreak/code/x", sha256="0" * 64)
SPEC = JobSpec(
    module="m",
    options={},
    code=ARCHIVE,
    lock=ARCHIVE,
    deadline_seconds=3600,
    budget_usd=2,
    labels={"dag_run": "night"},
)


def ending(attempt=1, usd=0.25, at=NOW, **values):
    facts = {"instance_id": "i-1", "cause": "interrupted", "seconds": 600, "instance_type": "g6.xlarge"}
    return Ending(attempt=attempt, ended_at=at, usd=usd, market="spot", **{**facts, **values})


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "adbreak")


@pytest.fixture
def job(root):
    job = Job(f"{root}/training/jobs/one")
    job.create(SPEC)
    for number in (1, 2):
        job.claim(Attempt(number=number, client_token=str(number), created_at=NOW, deadline_at=NOW))
    return job


def test_an_attempt_stands_in_the_ledger_once(root, job):
    first = costs.record(job, ending())
    again = costs.record(job, ending(usd=99))
    assert first == again
    assert costs.read_ledger(root, "2026-11") == [first]
    assert storage.read_json(f"{root}/ledger/costs/2026-11/one-0001.json")["usd"] == 0.25
    assert first.labels == {"dag_run": "night"}


def test_what_was_not_written_is_settled_later(root, job):
    job.end(ending(1))
    job.end(ending(2, usd=0.5))
    costs.record(job, ending(1))
    assert [cost.attempt for cost in costs.settle(job)] == [1, 2]
    assert costs.of_month(root, "2026-11").usd == pytest.approx(0.75)
    assert costs.of_job(job).model_dump() == {
        "usd": 0.75, "seconds": 1200.0, "attempts": 2, "unpriced": 0, "simulated": False,
    }  # fmt: skip


def test_an_attempt_without_a_price_is_counted_apart(root, job):
    costs.record(job, ending(1, usd=None))
    costs.record(job, ending(2))
    verdict = costs.judge_month(root, "2026-11", 10)
    assert (verdict.usd, verdict.unpriced, verdict.over) == (0.25, 1, False)
    assert "1 of them without a known price" in verdict.summary


def test_an_attempt_belongs_to_the_month_in_utc_in_which_it_ended(root, job):
    costs.record(job, ending(at=datetime.fromisoformat("2026-12-01T00:30:00+01:00")))
    assert costs.of_month(root, "2026-11").attempts == 1
    assert costs.of_month(root, "2026-12").attempts == 0


def test_a_passed_budget_is_said_once_a_day(root, job):
    costs.record(job, ending(usd=70))
    verdict = costs.judge_month(root, "2026-11", 60)
    assert verdict.over
    assert verdict.summary == "2026-11: 70.00 of 60.00 USD for 1 machines: the month's budget is passed"
    said = [costs.first_to_say(root, verdict, NOW + timedelta(hours=hours)) for hours in (0, 1, 24)]
    assert said == [True, False, True]
    assert not costs.first_to_say(root, costs.judge_month(root, "2026-11", 80), NOW + timedelta(days=9))
    assert costs.of_month(root, "2026-11").attempts == 1, "what was said is no cost"


def test_simulated_money_says_so(root):
    job = Job(f"{root}/training/jobs/two")
    job.create(SPEC.model_copy(update={"simulated": True}))
    assert costs.record(job, ending()).simulated
    assert "(simulated)" in costs.judge_month(root, "2026-11", 60).summary


def test_a_file_that_is_no_cost_is_named(root):
    storage.write_json(f"{root}/ledger/costs/2026-11/bad.json", {"usd": 1})
    with pytest.raises(JobError, match=r"bad.json is no cost of a job"):
        costs.of_month(root, "2026-11")


def test_a_minute_is_billed_at_least():
    assert costs.price(3600, 0.3) == pytest.approx(0.3)
    assert costs.price(1, 0.6) == costs.price(60, 0.6) == pytest.approx(0.01)


def test_an_estimate_is_time_times_price_and_follows_the_job(root, job):
    candidate = Candidate(
        instance_type="g4dn.xlarge", gpus=1, relative_speed=1, on_demand_usd_per_hour=0.5, source="test"
    )
    expected = costs.estimate(load_config("base_model"), Frames(432_000, 108_000), candidate)
    assert expected.usd == pytest.approx(expected.seconds / 3600 * 0.5, abs=1e-3)
    spot = costs.estimate(load_config("base_model"), Frames(432_000, 108_000), candidate, 0.1)
    assert spot.usd == pytest.approx(expected.usd / 5, abs=1e-4)
    costs.keep_estimate(job, expected)
    costs.keep_estimate(job, spot)
    assert costs.record(job, ending()).estimated_usd == expected.usd


def test_a_job_is_estimated_from_the_card_of_its_dataset(root):
    config = load_cloud_config()
    options = {"config": "base_model", "dataset": "d1"}
    assert costs.estimate_job(options, config, data_dir=root) is None
    counts = {split: {"ad": 300, "content": 700, "not_scored": 50} for split in ("train", "validation", "test")}
    storage.write_json(f"{root}/datasets/d1/card.json", {"frames": counts})
    expected = costs.estimate_job(options, config, data_dir=root)
    assert expected.pictures == 3000
    assert costs.estimate_job({"config": "base_model"}, config, data_dir=root) is None


def test_the_command_prints_a_month_and_an_estimate(root, job, capsys):
    costs.record(job, ending(usd=70))
    assert costs.main(["--data-dir", root, "--month", "2026-11", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["over"] is True
    assert result["machines"] == ["2026-11-23 02:00 one-0001 g6.xlarge spot interrupted 600 s 70.0000 USD"]
    assert result["news"] is False, "nobody asked to keep it"
    for news in (True, False):
        costs.main(["--data-dir", root, "--month", "2026-11", "--say-once", "--json"])
        assert json.loads(capsys.readouterr().out)["news"] is news
    assert costs.main(["--data-dir", root, "--month", "November"]) == 2
    assert costs.main(["--estimate", "base_model", "--hours", "200", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)["g6.xlarge"]
    assert 0 < alone["usd"] < 2
    assert costs.main(["--estimate", "base_model", "--hours", "200", "--machines", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["estimate"].endswith("shared by 2 machines")
    shared = said["g6.xlarge"]
    assert shared["seconds"] == pytest.approx((alone["seconds"] + costs.BOOT_SECONDS) / 2, abs=1)
    assert shared["usd"] == pytest.approx(2 * costs.price(shared["seconds"], shared["usd_per_hour"]), rel=1e-2)
    assert costs.main(["--estimate", "base_model", "--machines", "0"]) == 2


@pytest.mark.parametrize(
    ("instance_type", "spot_usd"), [("g4dn.xlarge", 0.19), ("g6.xlarge", 0.28), ("g5.xlarge", 0.39)]
)
def test_the_page_says_what_the_arithmetic_gives(instance_type, spot_usd):
    page = (Path(__file__).resolve().parents[2] / "docs" / "costs.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| {instance_type}"))
    said = [cell.strip() for cell in row.strip("|").split("|")][1:]
    candidate = load_cloud_config().candidate(instance_type)
    whole = {"training.mode": "end_to_end", "training.end_to_end.epochs": 10}
    trainings = load_config("base_model"), load_config("base_model", whole)
    found = [
        [costs.estimate(training, frames_of_hours(training, 200), candidate, usd) for usd in (spot_usd, None)]
        for training in trainings
    ]
    amounts = [f"{one.usd:.2f} USD" for pair in found for one in pair]
    assert said == [
        f"{found[0][0].seconds / 60:.0f} min",
        *amounts[:2],
        f"{found[1][0].seconds / 3600:.1f} h",
        *amounts[2:],
    ]
    assert all(one.usd < 2 for pair in found for one in pair), "what a full training is to stay below"
