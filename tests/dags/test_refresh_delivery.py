"""Signatures stay fresh, whatever the promotion ledger names."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.airflow


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty delivery repository in the bucket of the test, with its keys."""
    bucket, keys = str(tmp_path / "bucket"), str(tmp_path / "keys")
    for module, options in (("keys", ["create"]), ("repository", ["init", "--data-dir", bucket])):
        command = [os.environ["ADBREAK_ML_PYTHON"], "-m", f"ml_training.edge.delivery.{module}", *options]
        subprocess.run([*command, "--keys", keys], check=True, capture_output=True)
    monkeypatch.setenv("AIRFLOW_VAR_ADBREAK_DELIVERY_KEYS", keys)
    return bucket


def test_a_champion_without_files_does_not_stop_the_timestamp(run_dag: Any, repository: str, alerts: Any) -> None:
    from ml_training.registry.ledger import PromotionEvent, VersionReference, append_event

    gone = VersionReference(version="1", semver="1.0.0", sha256="e" * 64)
    event = {"event": "promoted", "name": "base-general", "model": gone, "replaced": None, "approved_by": "Ana"}
    append_event(repository, PromotionEvent(**event, created_at=datetime.now(UTC)))
    run = run_dag("refresh_delivery")
    assert run.state == "failed"
    assert run.states() == {"follow_ledger": "failed", "refresh": "success"}
    assert run.result_of("refresh")["signed"] == ["timestamp"]
    assert "base-general" in alerts()[0]["summary"]


def test_without_keys_nothing_is_signed(run_dag: Any) -> None:
    run = run_dag("refresh_delivery")
    assert run.states() == {"follow_ledger": "skipped", "refresh": "skipped"}
