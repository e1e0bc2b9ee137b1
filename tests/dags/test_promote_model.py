"""Promotion on a real registry: automatic, approved and rejected by a person, refused by the gates."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.airflow
NAME = "base-general"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables: made once, for it takes seconds."""
    from ml_training.registry.server import RegistryServer

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    RegistryServer(f"sqlite:///{path}").names()
    return path


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A real MLflow store in a file, which the commands reach by the connection ``mlflow_default``."""
    from ml_training.registry.server import RegistryServer

    address = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    connection = {"conn_type": "http", "extra": {"tracking_uri": address}}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return RegistryServer(address)


@pytest.fixture
def register(registry: Any, tmp_path: Path) -> Any:
    """Register a model file; return its version number."""
    from ml_training.registry.upload import upload

    def run(content: str, *, accepted: bool = True) -> str:
        folder = tmp_path / content
        folder.mkdir()
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        shapes = {"input": {"shape": [1, 224, 224, 3]}, "output": {"shape": [1, 1]}}
        manifest = {"version": 1, "model_name": NAME, "sha256": sha256, "size_bytes": len(content), **shapes}
        reasons = [] if accepted else ["recall: 0.840 is not above 0.900"]
        verdicts = {"sha256": sha256, "policy": "local", "accepted": accepted, "reasons": reasons}
        manifest["golden"] = {"inputs": "golden.npz", "n": 4}
        (folder / "golden.npz").write_bytes(b"inputs and outputs")
        (folder / "model.tflite").write_text(content)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / "verdicts.json").write_text(json.dumps(verdicts))
        item = upload(
            registry,
            str(tmp_path / "bucket"),
            model_uri=str(folder / "model.tflite"),
            verdicts_uri=str(folder / "verdicts.json"),
        )
        return str(item.version)

    return run


@pytest.fixture
def a_person(airflow_database: None) -> Iterator[Any]:
    """Somebody who answers the open question in the UI, as soon as it is asked."""
    threads: list[threading.Thread] = []

    def answer(option: str) -> None:
        thread = threading.Thread(target=_answer, args=(option, time.monotonic() + 60))
        threads.append(thread)
        thread.start()

    yield answer
    for thread in threads:
        thread.join()


def _answer(option: str, deadline: float) -> None:
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    waiting = select(TaskInstance).where(TaskInstance.state == "awaiting_input")
    while time.monotonic() < deadline:
        with create_session() as session:
            instance = session.scalar(waiting)
            if instance is not None:
                detail = session.get(HITLDetail, instance.id)
                detail.responded_by = {"id": "ana", "name": "Ana"}
                detail.responded_at = datetime.now(UTC)
                detail.chosen_options = [option]
                detail.params_input = {}
                event = TriggerEvent(detail.as_resume_event_payload())
                handle_event_submit(event, task_instance=instance, session=session)
                return
        time.sleep(0.2)


def test_automatic(run_dag: Any, registry: Any, register: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_PROMOTION_APPROVAL", "automatic")
    version = register("model-a")
    run = run_dag("promote_model", name=NAME, version=version)
    assert run.state == "success"
    assert run.state_of("approval") == ["skipped"]
    assert registry.resolve(NAME, "champion").version == version
    assert run.result_of("promotion", 0)["changed"] is True
    assert run.announced("champion")[0]["models"][0]["name"] == NAME
    assert run.state_of("delivery") == "skipped"  # nobody named keys


def test_what_is_promoted_is_signed_for_the_devices(
    run_dag: Any, register: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, keys = str(tmp_path / "bucket"), str(tmp_path / "keys")
    for module, options in (("keys", ["create"]), ("repository", ["init", "--data-dir", bucket])):
        command = [os.environ["ADBREAK_ML_PYTHON"], "-m", f"ml_training.edge.delivery.{module}", *options]
        subprocess.run([*command, "--keys", keys], check=True, capture_output=True)
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_DELIVERY_KEYS", keys)
    run = run_dag("promote_model", name=NAME, version=register("model-a"), approved_by="Ana")
    assert run.state == "success"
    assert run.result_of("delivery")["models"][NAME]["champion"] == "1.0.0"
    assert list((tmp_path / "bucket/delivery/targets/models" / NAME / "1.0.0").glob("*.model.tflite"))


def test_a_person_approves(run_dag: Any, registry: Any, register: Any, a_person: Any, tmp_path: Path) -> None:
    version = register("model-a")
    a_person("Approve")
    run = run_dag("promote_model", name=NAME, version=int(version))
    assert run.state == "success"
    assert registry.resolve(NAME, "champion").version == version
    (entry,) = (tmp_path / "bucket" / "ledger" / "promotions").iterdir()
    assert json.loads(entry.read_text())["approved_by"] == "Ana"


def test_a_person_rejects(run_dag: Any, registry: Any, register: Any, a_person: Any, alerts: Any) -> None:
    version = register("model-a")
    a_person("Reject")
    run = run_dag("promote_model", name=NAME, version=version)
    assert run.state == "success"
    assert run.state_of("promotion") == ["skipped"]
    assert registry.by_alias(NAME, "champion") is None
    assert run.announced("champion") == []
    assert [(alert["kind"], alert["severity"]) for alert in alerts()] == [("promotion_rejected", "warning")]


def test_a_refused_model_is_not_promoted(run_dag: Any, registry: Any, register: Any, alerts: Any) -> None:
    version = register("model-a", accepted=False)
    run = run_dag("promote_model", name=NAME, version=version, approved_by="Ana")
    assert run.state == "failed"
    assert registry.by_alias(NAME, "champion") is None
    assert "was refused by its gates: recall: 0.840" in alerts()[0]["summary"]


def test_the_newest_offer_of_each_model_is_taken() -> None:
    from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult
    from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor
    from workflow.promotion import challengers

    def event(hour: int, **versions: str) -> Any:
        models = [{"name": name, "version": v, "semver": "1.0.0", "summary": "s"} for name, v in versions.items()]
        return AssetEventDagRunReferenceResult.model_validate(
            {
                "asset": {"name": "challenger", "uri": "challenger", "extra": {}},
                "extra": {"models": models},
                "source_task_id": None,
                "source_dag_id": None,
                "source_run_id": None,
                "source_map_index": None,
                "source_aliases": [],
                "timestamp": datetime(2026, 1, 1, hour, tzinfo=UTC),
            }
        )

    events = TriggeringAssetEventsAccessor.build([event(3, base="8", sports="2"), event(2, base="7")])
    form = {"name": None, "version": None, "approved_by": None}
    assert [(model["name"], model["version"]) for model in challengers(form, events)] == [
        ("base", "8"),
        ("sports", "2"),
    ]


@pytest.mark.parametrize("form", [{"name": NAME, "version": None}, {"name": None, "version": None}])
def test_nothing_to_promote_is_said(form: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from workflow.promotion import challengers

    with pytest.raises(AirflowFailException, match="name and version"):
        challengers(form, {})
