"""A registry to test with: a real MLflow store on SQLite, a data folder, and model files made to order."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_training.registry.server import RegistryServer


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in them; making one takes seconds, copying it nothing."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    RegistryServer(f"sqlite:///{path}").names()
    return path


@pytest.fixture
def server(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegistryServer:
    """A registry of this test's own, also for the commands."""
    address = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return RegistryServer(address)


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A data folder."""
    return str(tmp_path / "data")


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Write a model, its manifest and its verdicts; the registry does not look inside a model file."""

    def make(content: str, *, accepted: bool = True, manifest: dict[str, Any] | None = None) -> dict[str, str]:
        folder = tmp_path / f"run-{content}"
        folder.mkdir(exist_ok=True)
        (folder / "model.tflite").write_bytes(content.encode())
        (folder / "golden.npz").write_bytes(b"golden " + content.encode())
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        described = {
            "version": 1,
            "model_name": "base-general",
            "sha256": sha256,
            "size_bytes": len(content),
            "input": {"shape": [1, 224, 224, 3], "dtype": "int8"},
            "output": {"shape": [1, 1], "dtype": "int8"},
            "golden": {"inputs": "golden.npz", "n": 4},
            "dataset_id": "dataset-1",
            "run_id": f"run-{content}",
            **(manifest or {}),
        }
        verdicts = {
            "sha256": sha256,
            "policy": "local",
            "accepted": accepted,
            "reasons": [] if accepted else ["recall: 0.840 is not above 0.900"],
            "simulated": ["latency_p95"],
            "metrics": {"precision": 0.96, "recall": 0.93, "f1": 0.945},
        }
        (folder / "manifest.json").write_text(json.dumps(described))
        (folder / "verdicts.json").write_text(json.dumps(verdicts))
        return {"model_uri": str(folder / "model.tflite"), "verdicts_uri": str(folder / "verdicts.json")}

    return make
