import shutil
import subprocess

import pytest
from ml_training.edge.agent import pack

UNIT = pack.INCLUDE / "ml_training" / "edge" / "agent" / "adbreak-agent.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_ignores_nothing_of_the_unit():
    done = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if UNIT.name in line and "is not executable" not in line]
    assert said == []
