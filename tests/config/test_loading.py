"""Configs: every committed one loads, mistakes are explained."""

import pytest
from ml_training.config.loading import config_names, load_config
from ml_training.config.settings import device_credentials, read_settings
from ml_training.utils.errors import ConfigError


@pytest.mark.parametrize("name", config_names())
def test_every_committed_config_loads(name):
    assert load_config(name).model_name


def test_a_path_and_overrides(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("model_type: base\nvariant: own\n")
    config = load_config(str(path), {"training.upper.epochs": 1, "training.seed": 5})
    assert (config.model_name, config.training.upper.epochs, config.training.seed) == ("base-own", 1, 5)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("model_type: base\nvariant: x\ntrainig: {}\n", "did you mean 'training'?"),
        ("model_type: base\nvariant: x\ntraining: {upper: {epoch: 2}}\n", "did you mean 'epochs'?"),
        ("model_type: base\nvariant: x\ntraining: {seed: soon}\n", "training.seed"),
        ("model_type: base\nvariant: x\ndata: {split_shares: {train: 0.9, validation: 0.3, test: 0.1}}\n", "sum to 1"),
        ("model_type: film\nvariant: x\n", "received 'film'"),
        ("variant: [\n", "is not YAML"),
        ("- a\n", "must hold a mapping, received list"),
    ],
)
def test_mistakes_are_explained(content, said, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=None) as caught:
        load_config(str(path))
    assert said in caught.value.message


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'base_model'"):
        load_config("base_modle")


def test_an_override_through_a_value_is_refused():
    with pytest.raises(ConfigError, match="variant is not a section"):
        load_config("base_model", {"variant.x": 1})


def test_settings_come_from_the_environment():
    settings = read_settings({"ADBREAK_DATA_DIR": "s3://bucket", "MLFLOW_TRACKING_URI": ""})
    assert settings.data_dir == "s3://bucket"
    assert settings.mlflow_tracking_uri is None
    assert device_credentials("pi-local", {"ADBREAK_DEVICE_PI_LOCAL": "{}"}) == "{}"
