"""The command itself on input that cannot work: it says so at once, starts nothing, and shows no traceback."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOTH = [{"start": 0, "end": 5, "label": "content"}, {"start": 5, "end": 9, "label": "ad"}]


def stack(place, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "local_stack", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "include"),
            "ADBREAK_STATE_DIR": str(place.state),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "video"
    folder.mkdir()
    (folder / "a.ts").write_bytes(b"video")
    return folder


def refused(result, message):
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "services" not in result.stdout


def test_an_empty_folder(place, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(stack(place, "run", "--once", "--recordings", str(empty)), "no video in this folder (it is empty)")


def test_labels_without_recordings(place):
    refused(stack(place, "run", "--once", "--labels", "x.json"), "LABELS was given without RECORDINGS")


def test_labels_of_one_class(place, video, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"a": BOTH[:1]}))
    result = stack(place, "run", "--once", "--recordings", str(video), "--labels", str(labels))
    refused(result, "has no segment labelled 'ad'")


def test_a_configured_port_in_use(place, video):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = str(server.getsockname()[1])
        result = stack(place, "run", "--once", "--recordings", str(video), ADBREAK_PORT_MLFLOW=port)
    refused(result, f"ADBREAK_PORT_MLFLOW={port}: this port of 127.0.0.1 is in use")


def test_an_unknown_size_of_the_night(place):
    refused(stack(place, "run", "--once", ADBREAK_NIGHT="huge"), "ADBREAK_NIGHT=huge: expected 'full' or 'tiny'")


def test_unchanged_recordings_are_nothing_new(place, video):
    from local_stack.history import History
    from local_stack.recordings import find_recordings, fingerprint

    History(place).add(kind="own", night=0, fingerprint=fingerprint(place, find_recordings(video), None))
    result = stack(place, "run", "--once", "--recordings", str(video))
    assert result.returncode == 0, result.stderr
    assert "Nothing is new" in result.stdout


def test_stop_and_clean_without_a_stack(place):
    assert stack(place, "stop").stdout == "nothing runs\n"
    assert stack(place, "clean").stdout == f"removed {place.state}\n"
    assert not place.state.exists()


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash here")
def test_set_up_says_which_python_it_wants(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "head"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "python3").write_text("#!/bin/bash\necho Python 3.9.6\nexit 1\n")
    (tools / "python3").chmod(0o755)
    script = str(ROOT / "include" / "local_stack" / "setup.sh")
    result = subprocess.run(
        ["/bin/bash", script, "ml"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "neither Python 3.11 nor 3.12 was found in PATH (python3 is Python 3.9.6)" in result.stderr


def test_the_command_line_of_airflow_needs_a_stack_that_ran(place):
    refused(stack(place, "airflow", "version"), "no stack has run in")
