"""The registry's commands, as a person and as Airflow call them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_training.registry.client import main
from ml_training.registry.server import RegistryServer
from ml_training.registry.upload import upload

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def call(root: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run one command; return its JSON, or the error's text and code."""

    def run(*arguments: str, code: int = 0) -> Any:
        data_dir = ["--data-dir", root] if arguments[0] in ("upload", "promote", "rollback", "history") else []
        assert main(["--json", *arguments, *data_dir]) == code
        output = capsys.readouterr()
        return json.loads(output.out) if code == 0 else output.err

    return run


def test_from_upload_to_rollback(
    call: Callable[..., Any], make_model: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    for content in ("a", "b"):
        files = make_model(content)
        result = call("upload", "--model", files["model_uri"], "--verdicts", files["verdicts_uri"])
        assert result["accepted"] is True
        call("promote", "--name", "base-general", "--version", "challenger", "--approved-by", "ana")
    assert result == {**result, "name": "base-general", "version": "2", "semver": "1.1.0"}
    assert result["aliases"] == ["candidate", "challenger"]
    assert result["full_name"] == "base-general-v1.1.0"
    back = call("rollback", "--name", "base-general", "--reason", "misses a jingle")
    assert (back["semver"], back["changed"], back["replaced"]) == ("1.0.0", True, "1.1.0")
    assert [event["event"] for event in call("history")["events"]] == ["promoted", "promoted", "rolled_back"]
    assert [item["semver"] for item in call("list")["models"]] == ["1.1.0", "1.0.0"]
    assert call("show", "--name", "base-general", "--version", "1.1.0")["tags"]["rolled_back"]
    call("download", "--name", "base-general", "--alias", "champion", "--output", str(tmp_path / "out"))
    assert (tmp_path / "out" / "model.tflite").read_bytes() == b"a"
    assert (tmp_path / "out" / "golden.npz").read_bytes() == b"golden a"


def test_a_changed_file_is_not_handed_out(
    server: RegistryServer,
    root: str,
    make_model: Callable[..., dict[str, str]],
    call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    item = upload(server, root, **make_model("a"))
    Path(item.model_uri).write_bytes(b"changed")
    said = call("download", "--name", "base-general", "--version", "1.0.0", "--output", str(tmp_path / "out"), code=1)
    assert "is not what was registered" in said
    assert not (tmp_path / "out").exists()


def test_tables_for_people(
    server: RegistryServer, root: str, make_model: Callable[..., dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "no models are registered\n"
    assert main(["history", "--data-dir", root]) == 0
    assert capsys.readouterr().out == "nothing was promoted yet\n"
    upload(server, root, **make_model("a", accepted=False))
    assert main(["list"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["name", "semver", "version"]
    assert "1.0.0" in row
    assert "refused (simulated)" in row
    assert row.index("candidate") == header.index("aliases")


def test_what_is_called_wrongly(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, make_model: Callable[..., dict[str, str]]
) -> None:
    assert "expected a model name" in call("show", "--name", "x' or '1", code=2)
    assert "no version 'champion'" in call("show", "--name", "base-general", "--version", "champion", code=1)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert "MLFLOW_TRACKING_URI is not set" in call("list", code=2)


def test_the_commands_load_no_mlflow_before_they_need_it() -> None:
    program = (
        "import sys, ml_training.registry.client, ml_training.registry.gates, ml_training.monitoring.alerts\n"
        "print(sorted({'mlflow', 'tensorflow', 'paramiko', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert shown.stdout == "[]\n"
