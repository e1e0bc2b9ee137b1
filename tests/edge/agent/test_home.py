import json

import pytest
from ml_training.edge.agent.home import Busy, Home, config_from, remove_leftovers, write_atomically
from ml_training.utils.errors import ConfigError

GOOD = {"device_id": "pi5-kitchen", "delivery_url": "https://devices.example.com/delivery"}


def test_what_is_not_given_has_its_default():
    config = config_from(GOOD)
    assert config.assigned == ("base-general",)
    assert config.store_bytes == 200_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device_id": "../other"}, "device_id: expected a name"),
        ({"delivery_url": "ftp://x"}, "delivery_url: expected an http"),
        ({"store_byte": 5}, "unknown field 'store_byte', meant is 'store_bytes'"),
        ({"threads": "two"}, "threads: expected a whole number"),
        ({"threads": 2.0}, "threads: expected a whole number, received 2.0"),
        ({"rate_limit_bytes_per_second": 1e6}, "rate_limit_bytes_per_second: expected a whole number"),
        ({"crash_limit": True}, "crash_limit: expected a whole number"),
        ({"check_minutes": float("nan")}, "check_minutes: expected a number"),
        ({"check_minutes": "60"}, "check_minutes: expected a number"),
        ({"hard_examples_per_day": -1}, "hard_examples_per_day: expected 0 or more"),
        ({"threads": 0}, "threads: expected more than 0"),
        ({"assigned": "base-general"}, "assigned: expected a list"),
        ({"assigned": []}, "at least one model"),
    ],
)
def test_a_wrong_field_is_named(change, message):
    with pytest.raises(ConfigError, match=message):
        config_from({**GOOD, **change})


def test_none_and_no_limit_can_be_said():
    config = config_from({**GOOD, "hard_examples_per_day": 0, "rate_limit_bytes_per_second": None, "check_minutes": 5})
    assert (config.hard_examples_per_day, config.rate_limit_bytes_per_second, config.check_minutes) == (0, None, 5)


def test_a_missing_configuration_names_the_command(tmp_path):
    with pytest.raises(ConfigError, match="setup"):
        Home(tmp_path).read_config()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        Home(tmp_path).read_config()


def test_what_was_written_is_read(tmp_path):
    home = Home(tmp_path / "new")
    home.write_config({**GOOD, "threads": 2})
    assert home.read_config().threads == 2
    assert json.loads(home.config_file.read_text())["threads"] == 2


def test_a_lock_is_one_process_only(tmp_path):
    home = Home(tmp_path)
    with home.lock("check"), pytest.raises(Busy), home.lock("check"):
        pass
    with home.lock("check"):
        pass


def test_leftovers_of_a_killed_writer_go(tmp_path):
    write_atomically(tmp_path / "state.json", b"{}")
    (tmp_path / ".state.json.123.tmp").write_bytes(b"half")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
