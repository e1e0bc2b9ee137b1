"""The commands by hand: train, go on with another config's weights, search; and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from colour_dataset import DATASET, TINY_MODEL
from ml_training.config.loading import load_config, parse_config
from ml_training.inference.scorer import load_keras
from ml_training.training import finetune, train, tune
from ml_training.training.fitting import Fitted
from ml_training.training.model_card import read_card
from ml_training.training.prerequisites import trunk_config, with_prerequisites
from ml_training.training.staged import first_learning_stage
from ml_training.training.weights import starting_model
from ml_training.utils.errors import ConfigError, ModelError, UsageError

TINY = {
    "model_type": "base",
    "variant": "tiny",
    "model": TINY_MODEL,
    "training": {
        "mode": "end_to_end",
        "freeze_layers": 120,
        "checkpoint_steps": 4,
        "end_to_end": {"epochs": 1, "batch_size": 16, "learning_rate": 3e-3},
    },
    "tune": {
        "training.end_to_end.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "training.end_to_end.batch_size": {"low": 8, "high": 16, "whole": True},
        "model.dropout": {"choices": [0.1, 0.3]},
    },
}


def call(command, capsys, *arguments):
    code = command.main(["--json", *map(str, arguments)])
    told = capsys.readouterr()
    assert code == 0, told.err
    return json.loads(told.out.splitlines()[-1])


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture(autouse=True)
def work_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(train, "code_version", lambda: "of the tests")


def test_a_model_is_trained_found_again_and_trained_on(config_file, training_root, tmp_path, capsys):
    where = ("--data-dir", training_root, "--dataset", DATASET)
    trained = call(train, capsys, "--config", config_file, *where, "--output-dir", tmp_path / "runs")
    assert trained["memory_peak_bytes"] > 1 << 24
    card = read_card(trained["model_uri"])
    assert card.model_name == "base-tiny"
    assert read_card(f"{trained['run_uri']}/float") == card
    assert call(train, capsys, "--config", config_file, *where, "--output-dir", tmp_path / "runs")["reused"]

    options = ("--base-model", trained["model_uri"], *where, "--output", tmp_path / "out", "--epochs", 1)
    tuned = call(finetune, capsys, *options, "--freeze-layers", 140)
    before, after = (load_keras(Path(run["model_uri"])) for run in (trained, tuned))
    same = [
        all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))
        for one, other in zip(before.layers, after.layers, strict=True)
    ]
    assert all(same[:140])
    assert not all(same[140:])
    assert read_card(tuned["model_uri"]).config.training.end_to_end.learning_rate == pytest.approx(0.3 * 3e-3)


def test_a_base_model_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ModelError, match="name its parent"):
        finetune.finetuning_config("models/base/1.0.0/model.tflite")
    content = {k: v for k, v in TINY.items() if k != "tune"}
    config = parse_config(content, source="a test")
    scores, labels = np.array([0.1, 0.9], np.float32), np.array([0, 1])
    card = train._card(config, Fitted({}, scores, labels), dataset_id="d", run_id="r")
    (tmp_path / "card.json").write_text(card.model_dump_json())
    with pytest.raises(ModelError, match="architecture mobilenet_v2 instead of efficientnet_lite0"):
        finetune.finetuning_config(str(tmp_path), config="base_model")
    with pytest.raises(UsageError, match="another model"):
        finetune.finetuning_config(str(tmp_path), config="temporal")
    found = finetune.finetuning_config(str(tmp_path), epochs=3, freeze_layers=9, overrides={"data.genres": ["news"]})
    assert (found.training.end_to_end.epochs, found.training.freeze_layers, found.data.genres) == (3, 9, ["news"])


def test_layers_to_freeze_say_where_learning_begins():
    config = parse_config({**TINY, "training": {"mode": "staged"}}, source="a test")
    model = starting_model(config)
    names = [layer.name for layer in model.layers]
    sixth = names.index("block6a_expand_conv")

    def stage(frozen):
        training = config.training.model_copy(update={"freeze_layers": frozen})
        return first_learning_stage(model, config.model_copy(update={"training": training}))

    assert [stage(None), stage(0), stage(sixth - 1), stage(sixth), stage(1000)] == [6, 1, 5, 6, 7]


def test_a_search_goes_on_where_it_was_killed(config_file, training_root, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    drawn = []

    def stand_in(config, **where):
        drawn.append(config.training.end_to_end.learning_rate)
        if len(drawn) == 2:
            raise Killed
        score = -abs(np.log(drawn[-1] / 1e-3))
        return {"validation_average_precision": score, "model_uri": f"run-{len(drawn)}"}

    monkeypatch.setattr(tune, "train", stand_in)
    options = {"data_dir": training_root, "dataset_id": DATASET, "output_dir": str(tmp_path), "trials": 4}
    with pytest.raises(Killed):
        tune.tune(str(config_file), **options)
    result = tune.tune(str(config_file), **options)
    assert len(drawn) == 5
    assert drawn[2] == drawn[1], "the trial that was under way comes first, with the same values"
    assert len(result["trials"]) == 4
    best = min((rate for number, rate in enumerate(drawn) if number != 1), key=lambda rate: abs(np.log(rate / 1e-3)))
    assert result["best"]["overrides"]["training.end_to_end.learning_rate"] == best
    assert tune.tune(str(config_file), **options) == result
    assert len(drawn) == 5


def test_a_search_without_ranges_or_with_a_wrong_name_is_refused(config_file, tmp_path):
    where = {"data_dir": "", "dataset_id": "", "output_dir": str(tmp_path), "trials": 1}
    with pytest.raises(ConfigError, match="has no ranges"):
        tune.tune("sports_model", **where)
    wrong = {"tune": {"training.end_to_end.learning_rat": {"low": 1, "high": 2}}}
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        tune.tune(str(config_file), overrides=wrong, **where)


def test_models_that_a_config_names_are_trained_first():
    trained = []

    def train_one(config):
        trained.append(config)
        return f"runs/{config.model_name}/model.keras"

    small = with_prerequisites(load_config("base_small"), train_one)
    assert small.training.teacher.model == small.training.initial_model == "runs/base-general/model.keras"
    temporal = with_prerequisites(load_config("temporal"), train_one)
    assert temporal.model.trunk_model == "runs/base-general/model.keras"
    cheap = with_prerequisites(load_config("cost_optimized"), train_one)
    assert cheap.model.trunk_model == "runs/base-cost-optimized-trunk/model.keras"
    trunk = trained[-1]
    assert trunk == trunk_config(load_config("cost_optimized"))
    assert (trunk.model.architecture, trunk.model.input_size, trunk.training.mode) == ("mobilenet_v2", 96, "end_to_end")
    given = load_config("temporal", {"model.trunk_model": "s3://bucket/float"})
    assert with_prerequisites(given, train_one) == given


def test_epochs_are_those_of_the_last_stage():
    stages = [train.last_stage(load_config(name)) for name in ("base_model", "base_small", "temporal")]
    assert stages == ["upper", "end_to_end", "head"]
