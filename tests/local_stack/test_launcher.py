import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local_stack.errors import StackError
from local_stack.launcher import clean, only_one, running_launcher, stop
from local_stack.processes import TAG_VARIABLE, tagged

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from local_stack.launcher import only_one
from local_stack.workplace import Workplace
with only_one(Workplace(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(place):
    """Another process that runs a stack in the same folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place.state)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_stack_in_the_same_folder_is_refused(place, holder):
    with pytest.raises(StackError, match=f"already.*process {holder.pid}"), only_one(place):
        pass


def test_a_killed_launcher_holds_nothing(place, holder):
    holder.kill()
    holder.wait()
    assert running_launcher(place) is None
    with only_one(place):
        assert running_launcher(place).pid == os.getpid()
    assert running_launcher(place) is None


def test_stop_ends_the_launcher_and_what_it_left(place, holder):
    left = subprocess.Popen(["sleep", "300"], env={"PATH": os.environ["PATH"], TAG_VARIABLE: place.tag})
    assert stop(place)
    assert left.wait(timeout=5) == -signal.SIGTERM
    assert tagged(place.tag) == []
    assert holder.wait(timeout=5) != 0
    assert not stop(place)


def test_clean_refuses_while_a_stack_runs(place, holder):
    with pytest.raises(StackError, match="make stop"):
        clean(place)
    assert place.state.is_dir()


def test_clean_removes_all_state_and_may_be_repeated(place):
    clean(place)
    assert not place.state.exists()
    clean(place)
