"""Where a conversion keeps its state, and what the run of its model is told."""

import pytest
from ml_training.cloud import storage
from ml_training.conversion import optimization, to_tflite
from ml_training.conversion import test_tflite as judge
from ml_training.training import evaluate, tracking
from ml_training.training.model_card import read_card


class Run:
    """An MLflow run that remembers what it was told."""

    def __init__(self):
        self.metrics, self.files = {}, set()

    def log_metric(self, _run_id, name, value, **_step):
        self.metrics[name] = value

    def log_artifact(self, _run_id, path, folder):
        self.files.add(f"{folder}/{path.rsplit('/', 1)[-1]}")

    def log_dict(self, _run_id, _value, name):
        self.files.add(name)


@pytest.fixture
def run(monkeypatch):
    """The MLflow run of every model that has one."""
    told = Run()
    for module in (tracking, evaluate):
        monkeypatch.setattr(module, "tracker_of", lambda known: tracking.Tracker(told if known else None, known))
    return told


@pytest.fixture
def tracked(store, tmp_path, run):
    """Stores an untrained model that has an MLflow run: ``tracked("temporal")`` returns its address."""

    def store_tracked(architecture):
        parent = store(tmp_path / "run" / "float", architecture)
        known = read_card(parent).model_copy(update={"mlflow_run_id": "known"})
        storage.write_json(str(tmp_path / "run" / "float" / "card.json"), known.model_dump(mode="json"))
        return parent

    return store_tracked


def test_each_model_and_code_has_a_checkpoint_of_its_own(store, tiny_data, work_dir, tmp_path):
    folder = tmp_path / "int8" / "checkpoints"
    for run in ("one", "two"):
        parent = store(tmp_path / run / "float", "mobilenet_v2")
        to_tflite.convert(parent, data_dir=tiny_data, output=str(tmp_path / "int8"))
    assert len(list(folder.iterdir())) == 2


def test_the_run_has_the_files_that_devices_run(tracked, tiny_data, work_dir, tmp_path, run):
    to_tflite.convert(tracked("temporal"), data_dir=tiny_data, output=str(tmp_path / "int8"))
    assert run.files == {"model/trunk.tflite", "model/head.tflite", "model/manifest.json"}
    assert set(run.metrics) == {"int8/size_bytes", "int8/threshold"}
    judge.judge_files(str(tmp_path / "int8" / "trunk.tflite"), data_dir=tiny_data)
    assert "test/int8/f1" in run.metrics


def test_files_to_compare_with_do_not_take_their_place(tracked, tiny_data, work_dir, tmp_path, run):
    parent, shared = tracked("mobilenet_v2"), {"data_dir": tiny_data, "output": str(tmp_path / "side")}
    to_tflite.convert(parent, **shared, method="int8-ptq")
    judge.judge_files(str(tmp_path / "side" / "model.tflite"), data_dir=tiny_data)
    to_tflite.convert(parent, **shared, keep_float=("stem_conv",))
    to_tflite.convert(parent, **shared, method="float16")
    kinds = {"int8-ptq", "int8-ptq-mixed", "float16"}
    assert {name.rsplit("/", 1)[0] for name in run.files} == {f"model-{kind}" for kind in kinds}
    assert {name.rsplit("/", 1)[0] for name in run.metrics} == kinds


def test_the_rows_of_a_table_are_not_told(tracked, tiny_data, work_dir, tmp_path, run):
    parent, folder = tracked("mobilenet_v2"), str(tmp_path / "variants")
    optimization.optimize(parent, data_dir=tiny_data, output=folder, variants=("int8",))
    assert not run.files
    assert not run.metrics
