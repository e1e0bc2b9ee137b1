"""Where a conversion keeps its state, and what the run of its model is told."""

from ml_training.conversion import to_tflite


def test_each_model_and_code_has_a_checkpoint_of_its_own(store, tiny_data, work_dir, tmp_path, monkeypatch):
    folder = tmp_path / "int8" / "checkpoints"
    for run in ("one", "two"):
        parent = store(tmp_path / run / "float", "mobilenet_v2")
        to_tflite.convert(parent, data_dir=tiny_data, output=str(tmp_path / "int8"))
    assert len(list(folder.iterdir())) == 2
