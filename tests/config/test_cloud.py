"""The cloud's config: the committed one loads, mistakes are explained, an account is asked for before a launch."""

import pytest
import yaml
from ml_training.config.cloud import CloudConfig, load_cloud_config
from ml_training.config.loading import config_names, config_path
from ml_training.config.settings import read_settings
from ml_training.utils.errors import CloudMisconfigured, ConfigError


def committed() -> dict:
    return yaml.safe_load(config_path("ec2_spot", folder="cloud").read_text())


@pytest.mark.parametrize("name", config_names("cloud"))
def test_every_committed_config_loads_and_knows_no_account(name):
    config = load_cloud_config(name)
    assert not config.simulated
    with pytest.raises(CloudMisconfigured, match=r"subnets and security_groups: copy .*ADBREAK_CLOUD_CONFIG"):
        config.require_account()


def test_it_is_no_training_config():
    assert "ec2_spot" not in config_names()


def test_the_environment_names_it(tmp_path, monkeypatch):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(committed() | {"region": "eu-west-1", "subnets": {"eu-west-1a": "subnet-1"}}))
    monkeypatch.setenv("ADBREAK_CLOUD_CONFIG", str(path))
    assert load_cloud_config().region == "eu-west-1"
    assert read_settings({}).compute == "local"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget_usdd": 3}, "did you mean 'budget_usd'?"),
        ({"candidates": [{"instance_typ": "g6.xlarge"}]}, "did you mean 'instance_type'?"),
        ({"candidates": []}, "candidates"),
        ({"image": "ubuntu"}, "received 'ubuntu'"),
        ({"deadline_hours": 0}, "deadline_hours"),
        ({"silent_minutes": 0.1}, "three heartbeats"),
        ({"candidates": committed()["candidates"][:1] * 2}, "may stand once"),
    ],
)
def test_mistakes_are_explained(changes, said, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(committed() | changes))
    with pytest.raises(ConfigError) as caught:
        load_cloud_config(str(path))
    assert said in caught.value.message


@pytest.mark.parametrize("content", ["[", "- a", ""])
def test_what_is_no_mapping_is_refused(content, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError):
        load_cloud_config(str(path))


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'ec2_spot'"):
        load_cloud_config("ec2_spots")


def test_a_candidate_is_found_by_its_type():
    config = load_cloud_config("ec2_spot")
    assert isinstance(config, CloudConfig)
    first = config.candidates[0]
    assert config.candidate(first.instance_type) == first
    assert config.candidate("t3.nano") is None
