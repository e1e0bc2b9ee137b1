"""The commands as their user calls them."""

import json

import pytest
from ml_training.edge.agent.__main__ import main
from ml_training.edge.agent.home import Home


def call(capsys, *words):
    code = main([str(word) for word in words])
    lines = capsys.readouterr().out.strip().splitlines()
    return code, json.loads(lines[-1])


@pytest.fixture
def device(world, tmp_path, capsys):
    world.publish("1.0.0")
    home = tmp_path / "home"
    root = world.root / "delivery/metadata/1.root.json"
    words = ["setup", "--home", home, "--device-id", "pi5", "--delivery-url", f"{world.server.url}/delivery"]
    assert call(capsys, *words, "--root", root, "--set", "threads=2", "input=udp://x")[0] == 0
    return home


def test_a_device_from_setup_to_rollback(world, device, capsys):
    assert Home(device).read_config().threads == 2
    assert call(capsys, "check", "--home", device)[1]["outcome"] == "updated"
    world.publish("1.1.0")
    code, result = call(capsys, "check", "--home", device)
    assert (code, result["outcome"], result["trial"]["passed"]) == (0, "updated", True)
    status = call(capsys, "status", "--home", device)[1]
    assert (status["model"]["semver"], status["previous"]["semver"]) == ("1.1.0", "1.0.0")
    code, result = call(capsys, "rollback", "--home", device, "--reason", "bad")
    assert (code, result["model"][:18]) == (0, "base-general/1.0.0")
    code, result = call(capsys, "check", "--home", device)
    assert (code, result["kind"]) == (1, "refused_before")
    code, result = call(capsys, "rollback", "--home", device)
    assert (code, result["error"]) == (1, "DeviceError")


def test_settings_change_one_by_one(device, capsys):
    assert call(capsys, "setup", "--home", device, "--assigned", "sports-nfl", "base-general")[0] == 0
    config = Home(device).read_config()
    assert (config.assigned, config.device_id, config.threads) == (("sports-nfl", "base-general"), "pi5", 2)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_damaged_configuration_is_said(device, capsys, content):
    (device / "config.json").write_text(content)
    code, result = call(capsys, "setup", "--home", device, "--board", "Pi")
    assert (code, result["error"], "set it up anew" in result["message"]) == (2, "ConfigError", True)


def test_a_correction_is_stored(device, capsys):
    words = ["correct", "--home", device, "--start", 120, "--end", 150, "--label", "content"]
    record_id = call(capsys, *words)[1]["record_id"]
    (path,) = (device / "store" / "records").iterdir()
    record = json.loads(path.read_text())
    assert (record["record_id"], record["kind"], record["start"], record["label"]) == (
        record_id, "correction", 120.0, "content",
    )  # fmt: skip
    assert call(capsys, *words[:-4], "--end", 5, "--label", "ad")[0] == 2


def test_what_is_missing_is_said(tmp_path, capsys):
    code, result = call(capsys, "check", "--home", tmp_path / "none")
    assert (code, "setup" in result["message"]) == (2, True)
    words = ["setup", "--home", tmp_path / "new", "--device-id", "pi", "--delivery-url", "https://x"]
    assert "--root" in call(capsys, *words)[1]["message"]
    (tmp_path / "root.json").write_text("{}")
    assert "is not the root" in call(capsys, *words, "--root", tmp_path / "root.json")[1]["message"]
    assert not (tmp_path / "new").exists()
    with pytest.raises(SystemExit) as stopped:
        main(["check", "--nonsense"])
    assert stopped.value.code == 2


def test_a_second_run_says_that_there_is_one(device, capsys):
    with Home(device).lock("run"):
        code, result = call(capsys, "run", "--home", device)
    assert (code, result["error"]) == (1, "Busy")
    assert "another run is at work" in result["message"]


def test_a_home_that_is_no_folder_is_said(tmp_path, capsys):
    (tmp_path / "home").touch()
    code, result = call(capsys, "run", "--home", tmp_path / "home")
    assert (code, "exists" in result["message"]) == (1, True)
