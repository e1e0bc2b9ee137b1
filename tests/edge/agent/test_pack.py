"""What is copied to a device runs there, with nothing beside it but what the install page names."""

import json
import os
import subprocess
import sys
import zipfile

from ml_training.edge.agent import pack

ALLOWED = {"numpy", "ai_edge_litert", "tuf", "securesystemslib", "urllib3", "flatbuffers"}
GUARD = """
import sys
allowed = set(sys.stdlib_module_names) | {allowed} | {{"ml_training"}}
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if not top.startswith("_") and top not in allowed and top in {refused}:
            raise ImportError(f"a device has no {{name}}", name=name)
sys.meta_path.insert(0, Guard())
from ml_training.edge.agent.__main__ import main
import ml_training.edge.agent.check, ml_training.edge.agent.run, ml_training.edge.agent.trial
assert ml_training.__path__[0].startswith({archive!r}), ml_training.__path__
sys.exit(main(["status", "--home", {home!r}]))
"""
REFUSED = {"pydantic", "cv2", "boto3", "tensorflow", "tf_keras", "mlflow", "pandas", "av", "yaml", "scipy"}


def test_the_archive_runs_alone(tmp_path):
    archive, home = tmp_path / "adbreak-agent.zip", tmp_path / "home"
    result = pack.pack(archive)
    assert result["size_bytes"] < 200_000
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"device_id": "pi", "delivery_url": "http://127.0.0.1"}))
    code = GUARD.format(allowed=ALLOWED, refused=REFUSED, archive=str(archive), home=str(home))
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["device_id"] == "pi"


def test_it_holds_the_agent_and_little_else(tmp_path):
    pack.pack(tmp_path / "one.zip")
    pack.pack(tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        names = set(archive.namelist())
    assert "ml_training/edge/agent/run.py" in names
    assert "ml_training/inference/tflite.py" in names
    assert "ml_training/utils/records.py" not in names
    assert not any(name.startswith(("ml_training/cloud", "ml_training/data")) for name in names)


def test_the_command_writes_it(tmp_path, capsys):
    assert pack.main(["--output", str(tmp_path / "agent.zip"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] > 20
