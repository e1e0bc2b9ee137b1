"""Which of two is better is said, and not said where chance could say the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from ml_training.training import compare, evaluate
from ml_training.training.predictions import Predictions, predict_split, write_predictions
from ml_training.utils.records import Interval


def run(capsys, *arguments: object) -> dict:
    assert compare.main(["--json", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def evaluation(root, name: str, change) -> Path:
    """An evaluation whose scores are those of the colour model, changed."""
    predictions = predict_split(root.model_uri, root.folder, root.dataset_id, "test")
    changed = Predictions(predictions.frames, change(predictions).astype(np.float32))
    write_predictions(changed, f"{root.folder}/{name}.parquet")
    facts = {
        "model_uri": f"{name}.tflite", "dataset_id": root.dataset_id, "split": "test", "threshold": 0.5,
        "predictions_uri": f"{root.folder}/{name}.parquet",
    }  # fmt: skip
    path = Path(root.folder) / f"{name}.json"
    path.write_text(json.dumps(facts))
    return path


@pytest.fixture
def pair(root):
    plain = evaluation(root, "plain", lambda predictions: predictions.all_scores)
    right = evaluation(root, "right", lambda predictions: predictions.frames.labels == 1)
    return root, plain, right


def test_the_better_one_is_named_on_either_side(pair, capsys):
    root, plain, right = pair
    found = run(capsys, plain, right, "--data-dir", root.folder)
    assert found["figures"]["f1"]["better"] == "second"
    assert found["figures"]["f1"]["difference"]["value"] > 0
    assert found["figures"]["calibration_error"]["better"] == "second"
    assert found["by_slice"]["genre=news"]["better"] == "second"
    assert found["verdict"].startswith("the second is better by more than chance")
    turned = run(capsys, "--models", right, plain, "--data-dir", root.folder)
    assert turned["figures"]["f1"]["better"] == "first"
    assert turned["figures"]["f1"]["difference"]["value"] == -found["figures"]["f1"]["difference"]["value"]


def test_a_model_is_not_better_than_itself(root, capsys):
    found = run(capsys, root.model_uri, root.model_uri, "--data-dir", root.folder)
    assert all(figure["better"] is None for figure in found["figures"].values())
    assert found["verdict"].startswith("neither is better by more than chance: F1 +0.0000")
    assert "break_f1" in found["figures"]


def test_what_an_evaluation_stored_is_used(pair, capsys):
    root, _, right = pair
    evaluate.evaluate(evaluate.read_judged(root.model_uri), data_dir=root.folder)
    before = {path.name for path in Path(root.folder).rglob("*")}
    found = run(capsys, root.model_uri, right, "--data-dir", root.folder, "--output", f"{root.folder}/compare.json")
    assert {path.name for path in Path(root.folder).rglob("*")} == before | {"compare.json"}
    assert json.loads((Path(root.folder) / "compare.json").read_text()) == found


def test_people_get_lines(pair, capsys):
    root, plain, right = pair
    assert compare.main([str(plain), str(right), "--data-dir", root.folder]) == 0
    out = capsys.readouterr().out
    assert "the second is better" in out
    assert "->" in out


def test_mistakes_are_told(pair, capsys):
    root, plain, right = pair
    assert compare.main([str(plain), "--data-dir", root.folder]) == 2
    assert "two models" in capsys.readouterr().err
    assert compare.main([str(plain), str(right), "--split", "train", "--data-dir", root.folder]) == 2
    assert "is about the test split" in capsys.readouterr().err
    plain.write_text(json.dumps({**json.loads(plain.read_text()), "dataset_id": "other"}))
    assert compare.main([str(plain), str(right), "--data-dir", root.folder]) == 2
    assert "one dataset version" in capsys.readouterr().err


def test_one_recording_decides_nothing():
    one = Interval(value=0.5, recordings=1)
    row = compare.difference_row(one, one, Interval(value=0.2, recordings=1), lower_is_better=False)
    assert row["better"] is None
    assert compare.verdict({"f1": row}).startswith("not measured")


def test_less_is_better_for_errors():
    one, less = Interval(value=0.3), Interval(value=-0.1, low=-0.2, high=-0.05, recordings=5)
    assert compare.difference_row(one, one, less, lower_is_better=True)["better"] == "second"
    assert compare.difference_row(one, one, less, lower_is_better=False)["better"] == "first"
