"""Data and a config to train with in seconds."""

import pytest
from colour_dataset import make_dataset


@pytest.fixture(scope="session")
def training_root(tmp_path_factory):
    """The data root of the dataset version ``DATASET``."""
    root = tmp_path_factory.mktemp("training")
    make_dataset(root)
    return str(root)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where a training keeps its state."""
    from ml_training.training.fitting import Place

    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Place(tmp_path / "activations", str(tmp_path / "checkpoints"), lambda stage, epoch, values: None)


@pytest.fixture
def tiny_config():
    """A MobileNetV2 that learns in seconds."""
    from ml_training.config.loading import parse_config

    def make(**training):
        model = {
            "architecture": "mobilenet_v2", "pretrained": None, "width": 0.35, "input_size": 32, "dense_units": 16,
            **training.pop("model", {}),
        }  # fmt: skip
        end_to_end = {"epochs": 3, "batch_size": 8, "learning_rate": 3e-3, **training.pop("end_to_end", {})}
        section = {"mode": "end_to_end", "ema_decay": 0.9, "end_to_end": end_to_end, **training}
        content = {"model_type": "base", "variant": "tiny", "model": model, "training": section}
        return parse_config(content, source="a test")

    return make
