"""The night's course: mapped families, what happens when one breaks or is refused, dry runs, backfills.

The commands answer at once here (``stand_in_commands``); the end-to-end test runs the real ones.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.airflow


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices, and a policy that accepts what they say."""
    monkeypatch.setenv("AIRFLOW_CONN_DEVICE_PI_A", '{"conn_type": "ssh", "host": "a"}')
    monkeypatch.setenv("AIRFLOW_CONN_DEVICE_PI_B", '{"conn_type": "ssh", "host": "b"}')
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_GATE_POLICY", "local")


@pytest.fixture
def second_family(tmp_path: Path) -> str:
    """A config of another model."""
    path = tmp_path / "sports.yaml"
    path.write_text("model_type: sports\nvariant: nfl\n")
    return str(path)


def test_an_accepted_model_goes_from_data_to_challenger(run_dag: Any, calls: Any, tmp_path: Path) -> None:
    run = run_dag("nightly_retraining", devices=["pi_a", "pi_b"], epochs=2, overrides={"data.genres": ["news"]})
    assert run.state == "success"
    assert [call["module"] for call in calls()] == [
        "data.dataset", "registry.client", "data.validation", "training.train", "training.evaluate",
        "conversion.to_tflite", "registry.client",
        "conversion.test_tflite", "edge.benchmark", "edge.benchmark", "registry.gates", "registry.client",
        "edge.benchmark_trend",
    ]  # fmt: skip
    by_module = {call["module"]: call for call in calls()}
    run_uri = f"{tmp_path}/bucket/training/run-base_model"
    assert by_module["training.train"] == {
        "module": "training.train", "config": "base_model", "overrides": {"data.genres": ["news"]}, "seed": 1,
        "dataset": "data-of-base_model", "output_dir": f"{tmp_path}/bucket/training", "epochs": 2,
    }  # fmt: skip
    assert by_module["data.validation"] == {
        "module": "data.validation", "command": "run", "suite": "dataset", "recordings": None,
        "dataset": "data-of-base_model", "reference": "", "accept_drift": False,
    }  # fmt: skip
    assert by_module["conversion.to_tflite"]["output"] == f"{run_uri}/int8"
    assert "champion" not in {k for k, v in by_module["conversion.test_tflite"].items() if v}
    assert by_module["registry.gates"]["benchmarks"] == [
        f"{run_uri}/int8/benchmarks/pi_a.json", f"{run_uri}/int8/benchmarks/pi_b.json"
    ]  # fmt: skip
    assert by_module["registry.gates"]["policy"] == "local"
    models = [{"name": "base-general", "version": "3", "semver": "1.2.0", "summary": "ACCEPTED: F1 0.93"}]
    assert run.announced("challenger") == [{"models": models}]


def test_a_night_trains_on_a_machine_and_says_what_it_cost(
    run_dag: Any, calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "ec2-spot")
    run = run_dag("nightly_retraining", epochs=2)
    assert run.state == "success"
    called = [call.get("command", call["module"]) for call in calls()]
    assert called[3:6] == ["prepare", "watch", "cost"]
    assert called.count("end") == 1
    prepared = next(call for call in calls() if call.get("command") == "prepare")
    assert prepared["options"] == {
        "config": "base_model", "dataset": "data-of-base_model", "output_dir": f"{tmp_path}/bucket/training",
        "epochs": 2, "seed": 1,
    }  # fmt: skip
    assert {call["job"] for call in calls() if "job" in call} == {prepared["job"]}
    assert run.result_of("night_report")["base-general"]["training_cost"]["usd"] == 0.12


def test_a_champion_is_what_the_file_is_compared_with(
    run_dag: Any, calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [
        {"name": "base-general", "version": "2", "model_uri": "s3://b/2", "aliases": ["candidate"]},
        {
            "name": "base-general", "version": "1", "model_uri": "s3://b/1", "aliases": ["champion"],
            "tags": {"dataset_id": "what-it-learned"},
        },
    ]  # fmt: skip
    monkeypatch.setenv("STAND_IN_MODELS", json.dumps(versions))
    run_dag("nightly_retraining", accept_drift=True)
    validation = next(call for call in calls() if call["module"] == "data.validation")
    assert (validation["reference"], validation["accept_drift"]) == ("what-it-learned", True)
    call = next(call for call in calls() if call["module"] == "conversion.test_tflite")
    assert (call["champion"], call["champion_version"]) == ("s3://b/1", "1")


def test_a_refused_model_is_a_green_run_with_an_alert(
    run_dag: Any, calls: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_REFUSES", "base")
    run = run_dag("nightly_retraining", devices=["pi_a"])
    assert run.state == "success"
    assert run.state_of("registered") == ["success"]
    assert run.state_of("challenger") == "skipped"
    assert run.announced("challenger") == []
    assert [(alert["kind"], alert["summary"]) for alert in alerts()] == [
        ("model_refused", "base-general is REFUSED: recall 0.81")
    ]
    assert run.result_of("night_report")["base-general"]["result"] == "REFUSED"


def test_a_family_that_breaks_does_not_stop_the_other(
    run_dag: Any, calls: Any, alerts: Any, second_family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "training.train:base_model")
    run = run_dag("nightly_retraining", models=["base_model", second_family], devices=["pi_a"])
    assert run.state == "failed"
    assert run.state_of("training") == ["failed", "success"]
    assert run.state_of("parity_and_size") == ["upstream_failed", "success"]
    assert run.announced("challenger")[0]["models"][0]["name"] == "sports-nfl"
    assert [alert["facts"]["task_id"] for alert in alerts()] == ["training", "night_report"]
    assert "training.train fails as asked" in alerts()[0]["summary"]


def test_data_that_must_not_be_learned_from_stops_its_family_alone(
    run_dag: Any, calls: Any, alerts: Any, second_family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "data.validation:data-of-base_model")
    run = run_dag("nightly_retraining", models=["base_model", second_family], devices=["pi_a"])
    assert run.state == "failed"
    assert run.state_of("validate_version") == ["failed", "success"]
    assert run.state_of("training") == ["upstream_failed", "success"]
    assert [call["config"] for call in calls() if call["module"] == "training.train"] == [second_family]
    assert str(run.result_of("validate_version", 0, key="_link_DataDocsLink")).endswith(
        "/validation/data_docs/index.html"
    )
    assert alerts()[0]["facts"]["task_id"] == "validate_version"


def test_a_device_that_fails_is_not_measured(
    run_dag: Any, calls: Any, alerts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "edge.benchmark:pi_b")
    run = run_dag("nightly_retraining", devices=["pi_a", "pi_b"])
    assert run.state_of("benchmark_on_device") == ["success", "failed"]
    assert [uri.rsplit("/", 1)[1] for uri in calls()[-3]["benchmarks"]] == ["pi_a.json"]
    assert run.state == "failed"


def test_a_dry_run_checks_the_data_and_trains_nothing(run_dag: Any, calls: Any) -> None:
    run = run_dag("nightly_retraining", dry_run=True, devices=["pi_a"])
    assert run.state == "success"
    assert [call["module"] for call in calls()] == ["data.dataset", "registry.client", "data.validation"]
    assert run.state_of("training") == ["skipped"]
    assert run.result_of("night_report") == {"base-general": {"result": "planned"}}


def test_a_wrong_parameter_fails_before_anything_runs(run_dag: Any, alerts: Any) -> None:
    run = run_dag("nightly_retraining", models=["base_modle"])
    assert run.state == "failed"
    assert (run.state_of("plan"), run.state_of("training")) == ("failed", "upstream_failed")
    assert "did you mean 'base_model'" in alerts()[0]["facts"]["reason"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"overrides": {"training.upper.epoch": 2}}, "did you mean 'epochs'"),
        ({"devices": ["pi_attic"]}, "device_pi_attic of type ssh"),
        ({"models": ["base_model", "include/configs/base_model.yaml"]}, "a model of its own"),
    ],
)
def test_the_plan_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, calls: Any, params: dict[str, Any], message: str
) -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from workflow.night import plan

    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_BUCKET", "adbreak")
    form = {"models": ["base_model"], "epochs": None, "seed": 1, "devices": [], "overrides": {}, "accept_drift": False}
    with pytest.raises(AirflowFailException, match=message):
        plan({**form, **params})


def test_a_machine_has_no_config_of_somebodys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from workflow.night import plan

    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_BUCKET", "adbreak")
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_COMPUTE", "ec2-spot")
    with pytest.raises(AirflowFailException, match=r"only the configs in include/configs, not my/own\.yaml"):
        plan({"models": ["base_model", "my/own.yaml"], "devices": []})


@pytest.mark.parametrize("conf", [{"epochs": "many"}, {"models": []}, {"seed": -1}])
def test_the_form_refuses_values_of_another_kind(run_dag: Any, conf: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Invalid input"):
        run_dag("nightly_retraining", **conf)


def test_a_backfill_trains_nothing(run_dag: Any) -> None:
    from workflow.night import not_a_backfill

    assert [not_a_backfill(SimpleNamespace(run_type=kind)) for kind in ("scheduled", "manual", "backfill")] == [
        True, True, False,
    ]  # fmt: skip


def test_a_device_that_is_at_work_is_looked_at_again(
    run_dag: Any, calls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is deferred, and the same command finds the measurement done."""
    monkeypatch.setenv("STAND_IN_RUNNING", str(tmp_path / "looked"))
    run = run_dag("nightly_retraining", devices=["pi_a"])
    assert run.state == "success"
    looks = [call for call in calls() if call["module"] == "edge.benchmark"]
    assert len(looks) == 2
    assert looks[0] == looks[1]
    assert run.result_of("benchmark_on_device", 0)["simulated"] is True
