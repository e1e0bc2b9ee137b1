"""The commands, as a person and as Airflow call them."""

import json

import pytest
from ml_training.edge.delivery import repository

from .conftest import NAME, promote, store_model


@pytest.fixture
def call(publisher, root, capsys, monkeypatch):
    """Call a command as Airflow does; returns its exit code and its result or what it said."""
    monkeypatch.setenv("ADBREAK_DELIVERY_KEYS", str(publisher.ring.folder))

    def call(command, *words):
        code = repository.main([command, "--data-dir", root, *words, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if code == 0 else printed.err

    return call


def test_a_day_of_publishing(call, root, capsys):
    assert call("init")[1]["created"] is False
    promote(root, store_model(root, "1.0.0"), None)
    store_model(root, "1.1.0")
    assert call("follow-ledger", "--name", NAME)[1]["models"][NAME]["champion"] == "1.0.0"
    assert call("publish-model", "--name", NAME, "--semver", "1.1.0")[1]["published"] is True
    offered = ["--challenger", "1.1.0", "--stage", "5", "--holdback", "2", "--shadow", "challenger=0.05"]
    more = ["--pin", "a=champion", "b=previous", "--exclude", "c", "--boards", "Raspberry Pi 5", "--minimum-agent", "1"]
    code, result = call("publish-rollout", "--name", NAME, *offered, *more, "--minimum-runtime", "2.1.0")
    assert (code, result["models"][NAME]["challenger"], result["revision"]) == (0, "1.1.0", 2)
    result = call("publish-rollout", "--name", NAME, "--challenger", "none", "--shadow", "none", "--boards")[1]
    assert result["models"][NAME]["challenger"] is None
    assert call("refresh")[1]["signed"] == ["timestamp"]
    assert call("verify")[1]["problems"] == []
    assert call("status")[1]["signed_models"] == [f"models/{NAME}/1.0.0", f"models/{NAME}/1.1.0"]
    assert repository.main(["status", "--data-dir", root]) == 0
    shown = capsys.readouterr().out
    assert "holds 2.0 days" in shown
    assert "2 of 3 keys must sign, 3 here" in shown
    assert call("publish-rollout", "--name", NAME, "--remove")[1]["models"] == {}
    assert call("withdraw-model", "--name", NAME, "--semver", "1.1.0")[1]["withdrawn"] is True


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["publish-rollout", "--name", NAME, "--pin", "a=nobody"], 2, "expected NAME=champion|challenger"),
        (["publish-rollout", "--name", NAME, "--shadow", "challenger"], 2, "expected ALIAS=SHARE"),
        (["publish-rollout", "--name", NAME, "--champion", "9.0.0"], 1, "run publish-model first"),
        (["publish-model", "--name", NAME, "--semver", "nine"], 2, "nine"),
        (["publish-model", "--name", NAME, "--semver", "9.0.0"], 1, "there is no file"),
        (["rotate", "--role", "guest"], 2, "invalid choice"),
        (["revoke", "--role", "root"], 2, "--key"),
        (["init", "--keys", "/nowhere"], 1, "has no keys.json"),
    ],
)
def test_wrong_calls_are_told(call, words, code, message):
    received, said = call(*words)
    assert received == code
    assert message in said


def test_verify_fails_when_a_device_would_refuse(call, publisher, root):
    first = store_model(root, "1.0.0")
    promote(root, first, None)
    call("follow-ledger")
    path = publisher.store.target_uri(f"models/{NAME}/1.0.0/model.tflite", first.sha256)
    with open(path, "wb") as file:
        file.write(b"altered")
    code, said = call("verify")
    assert code == 1
    assert "model.tflite is not what was signed" in said
