"""Keys, repository and the agent on the simulated Pi: real commands, SSH server, agent and signatures, over HTTP."""

import functools
import http.server
import json
import os
import subprocess
import threading

import pytest
from local_stack.delivery import REPOSITORY, check_on_device, keys_folder, prepare_delivery
from local_stack.errors import StackError
from local_stack.ports import HOST, any_port
from local_stack.workplace import ROOT

ML_PYTHON = ROOT / ".venv" / "ml" / "bin" / "python"
PUBLISH = """
import sys; sys.path.insert(0, "tests/helpers")
from pathlib import Path; from agent_world import model_files
folder = Path(sys.argv[1]) / "models" / "base-general" / "1.0.0"; folder.mkdir(parents=True)
[(folder / name).write_bytes(data) for name, data in model_files("1.0.0").items()]
"""


@pytest.fixture
def run(place):
    """Run a command of ml_training in its own environment, on a data root in this test's folder."""
    if not ML_PYTHON.exists():
        pytest.skip("the environment ml is missing: make setup-ml")
    data, keys = str(place.state / "data"), str(keys_folder(place))
    environment = {**os.environ, "ADBREAK_DATA_DIR": data, "ADBREAK_DELIVERY_KEYS": keys}

    def run(module, *arguments):
        command = [str(ML_PYTHON), "-m", module, *arguments]
        subprocess.run(command, check=True, env=environment, cwd=ROOT, capture_output=True)
        run.called.append(arguments[0])

    run.called, run.environment = [], environment
    return run


@pytest.fixture
def delivery_url(place):
    """The data root, served over HTTP."""
    (place.state / "data").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(place.state / "data"))
    server = http.server.ThreadingHTTPServer((HOST, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}/delivery"
    server.shutdown()
    server.server_close()


@pytest.fixture
def port(place):
    """The simulated Pi."""
    port = any_port()
    command = [str(ROOT / ".venv/stack/bin/python"), "-m", "local_stack.device_server"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
    command += ["--folder", str(place.state / "device"), "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert "listening" in server.stdout.readline()
    yield port
    server.terminate()
    server.communicate(timeout=10)


def test_the_pi_runs_what_was_published(place, run, delivery_url, port):
    prepare_delivery(place, run)
    prepare_delivery(place, run)
    assert run.called == ["create", "init", "refresh", "refresh"]
    root = (place.state / "data/delivery/metadata/1.root.json").read_bytes()
    look = functools.partial(
        check_on_device, place, port=port, delivery_url=delivery_url, root=root, models=["base-general"]
    )
    assert look()["status"]["model"] is None
    publish = [str(ML_PYTHON), "-c", PUBLISH, run.environment["ADBREAK_DATA_DIR"]]
    subprocess.run(publish, check=True, cwd=ROOT, capture_output=True)
    run(REPOSITORY, "publish-model", "--name", "base-general", "--semver", "1.0.0", "--force", "a test")
    run(REPOSITORY, "publish-rollout", "--name", "base-general", "--champion", "1.0.0")
    found = look()
    assert found["outcome"] == "updated", json.dumps(found)
    assert found["status"]["model"]["semver"] == "1.0.0"
    assert found["trial"]["golden_steps"] == 0
    assert look()["outcome"] == "current"


def test_a_device_that_does_not_answer_is_said(place):
    with pytest.raises(StackError, match="the agent on the simulated device"):
        check_on_device(place, port=any_port(), delivery_url="http://x", root=b"{}", models=["base-general"])
