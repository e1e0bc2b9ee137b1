"""One whole night on a tiny set: real services, real DAGs, a real training, and nothing left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NIGHT_SECONDS = 900  # a loaded machine takes three times as long as a quiet one


def stack(state, *arguments, seconds=120):
    return subprocess.run(
        [sys.executable, "-m", "local_stack", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "include"),
            "ADBREAK_STATE_DIR": str(state),
            "ADBREAK_NIGHT": "tiny",
        },
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture
def state(tmp_path):
    """A state folder of its own, stopped whatever happens."""
    folder = tmp_path / "state"
    yield folder
    stack(folder, "stop")


@pytest.mark.end_to_end
@pytest.mark.timeout(NIGHT_SECONDS + 60)
def test_a_night_ends_green_with_its_summary_and_leaves_nothing_running(state):
    night = stack(state, "run", "--once", seconds=NIGHT_SECONDS)
    assert night.returncode == 0, f"{night.stdout[-4000:]}\n{night.stderr[-4000:]}"
    assert stack(state, "stop").stdout == "nothing runs\n"

    summary = night.stdout[night.stdout.index("Adbreak: the night") :]
    assert len(summary.splitlines()) < 45
    assert max(len(line) for line in summary.splitlines()) <= 100
    for pattern in (
        r"recordings +6 extracted; 0\.05 hours",
        r"validation +frames: passed, 6 checked",
        r"frames +train \d+ ad \+ \d+ content; validation ",
        r"precision +recall +f1",
        r"float +\d\.\d+ ",
        r"int8 +\d\.\d+ ",
        r"int8 file +\d\.\d+ MB",
        r"device +pi_local, simulated Raspberry Pi",
        r"result +(ACCEPTED|REFUSED)",
        r"registered +base-general-v1\.0\.0 \(MLflow version 1\), aliases: .*candidate",
        r"memory +\d\.\d GB at most",
        r"Airflow +http://127\.0\.0\.1:\d+ +login admin / \S+",
    ):
        assert re.search(pattern, summary), f"{pattern} is not in\n{summary}"
    nights = json.loads((state / "nights.json").read_text())
    assert [(one["kind"], one["night"]) for one in nights] == [("generated", 1)]
