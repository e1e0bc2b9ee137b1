"""The summary of a night that really took place (``last_night.json``), against the page that it makes."""

import copy
import json
from pathlib import Path

import pytest
from local_stack.summary import WIDTH, registered, render

HERE = Path(__file__).parent
DURATIONS = {"set-up": 0.2, "services": 34.4, "recordings": 59.0, "ingestion": 28.1, "retraining": 277.0}
ADDRESSES = {"Airflow": "http://127.0.0.1:8080  login admin / secret", "MLflow": "http://127.0.0.1:5050"}


@pytest.fixture
def facts():
    return json.loads((HERE / "last_night.json").read_text())


def page(facts):
    return render(facts, DURATIONS, 3_200_000_000, ADDRESSES, 383.0)


def test_a_refused_model_as_it_is_shown(facts):
    assert page(facts).strip() == (HERE / "last_night.txt").read_text().strip()


def test_it_fits_one_screen(facts):
    lines = page(facts).splitlines()
    assert len(lines) < 45
    assert max(len(line) for line in lines) <= WIDTH


def test_an_accepted_model_shows_where_its_promotion_put_it(facts):
    judgement = facts["retraining"]["gates"][0]
    judgement.update(accepted=True, reasons=[])
    promotion = {"name": "base-general", "version": "2", "semver": "1.1.0", "aliases": ["candidate", "champion"]}
    facts["promotion"] = {"promotion": [promotion]}
    assert "result       ACCEPTED" in page(facts)
    assert "base-general-v1.1.0 (MLflow version 2), aliases: candidate, champion" in page(facts)


def test_what_machines_of_a_cloud_cost_is_said_with_the_word_simulated(facts):
    assert " cost " not in page(facts)
    cost = {"usd": 0.0123, "seconds": 312.0, "machines": 2, "interruptions": 1, "simulated": True, "job": "s3://a/b"}
    facts["retraining"]["training"] = [{"run_id": "0f", "cost": cost}]
    said = " ".join(page(facts).split())
    assert "cost 0.0123 USD (simulated), an estimate until the bill comes; 2 machines, 1 taken away, 5:12" in said


def test_what_the_device_runs_is_named(facts):
    board = "simulated Raspberry Pi (this machine)"
    check = {"device": "pi_local", "board": board, "outcome": "updated", "message": "there is no challenger"}
    facts["delivery"] = {"check": [{**check, "status": {"model": {"name": "base-general", "semver": "1.1.0"}}}]}
    assert "delivered    pi_local, simulated Raspberry Pi (this machine): runs base-general-v1.1.0;" in page(facts)
    facts["delivery"]["check"][0]["status"]["model"] = None
    assert "runs no model yet" in page(facts)


def test_a_promotion_of_another_model_changes_nothing():
    version = {"name": "a", "version": "1", "semver": "1.0.0", "aliases": ["candidate"]}
    other = {"promotion": [{"name": "b", "aliases": ["champion"]}]}
    assert registered(version, other).endswith("aliases: candidate")


def test_simulated_is_said_of_a_device_that_only_claims_to_be_one(facts):
    benchmark = facts["retraining"]["benchmark_on_device"][0]
    benchmark["described_board"] = "Raspberry Pi 5"
    assert "pi_local, simulated: Raspberry Pi 5" in page(facts)
    benchmark.update(simulated=False, board="Raspberry Pi 5 Model B Rev 1.0")
    assert "pi_local, Raspberry Pi 5 Model B Rev 1.0: p50" in page(facts)


def test_several_families_are_shown_one_below_the_other(facts):
    retraining = facts["retraining"]
    for task_id in ("dataset_version", "parity_and_size", "gates", "registered"):
        retraining[task_id].append(copy.deepcopy(retraining[task_id][0]))
    retraining["registered"][1]["name"] = "sports-general"
    assert page(facts).count("REFUSED") == 2
    assert "sports-general-v1.1.0" in page(facts)


def test_quarantined_recordings_and_failed_suites_are_named(facts):
    frames = facts["validation"]["validate_frames"][0]
    frames.update(success=False, quarantined=["news-0105"], warnings=[{}, {}])
    assert "validation   frames: FAILED, 6 checked, 2 warnings, quarantined: news-0105" in page(facts)


def test_what_a_model_sees_in_recordings_without_labels(facts):
    del facts["retraining"]
    seen = {"recording_id": "clip", "frames": 60, "ad_share": 0.25, "stretches": [[5.0, 20.0]]}
    facts["prediction"] = {
        "model": "base-general-v1.0.0 (champion)",
        "output": "s3://adbreak/predictions/1.0.0",
        "recordings": [seen, *({**seen, "recording_id": f"clip-{i}", "stretches": []} for i in range(9))],
        "without_frames": ["broken"],
    }
    assert "prediction   by base-general-v1.0.0 (champion)" in page(facts)
    assert "clip: 25% of 60 frames ads; 0:05 to 0:20" in page(facts)
    assert "clip-1: 25% of 60 frames ads; none" in page(facts)
    assert "and 2 more recordings" in page(facts)
    assert "no frames: broken" in page(facts)


def test_recordings_without_labels_have_no_model(facts):
    del facts["retraining"]
    facts["prediction"] = {"reason": "there is no champion yet that could look at them"}
    assert "prediction   none: there is no champion yet" in page(facts)
    assert "result" not in page(facts)
