import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from local_stack.errors import ComponentDied, StackError, Stopped
from local_stack.processes import TAG_VARIABLE, end_all, tagged
from local_stack.supervisor import Service, Supervisor

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"]}
LAUNCHER = """
import sys, time
from pathlib import Path
from local_stack.supervisor import Service, Supervisor
from local_stack.workplace import Workplace
supervisor = Supervisor(Workplace(Path(sys.argv[1])))
supervisor.__enter__()
supervisor.start(Service("sleeper", ["/bin/sh", "-c", "sleep 300 & sleep 300"], {"PATH": "/usr/bin:/bin"}))
print("started", flush=True)
time.sleep(300)
"""


def sh(name, script, **more):
    return Service(name, ["/bin/sh", "-c", script], ENVIRONMENT, **more)


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_component_that_dies_is_named_with_the_end_of_its_log(place):
    with Supervisor(place) as supervisor:
        supervisor.start(sh("well", "sleep 300"))
        supervisor.start(sh("sick", "echo one; echo out of memory; exit 7"))
        wait_for(lambda: supervisor._running["sick"].poll() is not None)
        with pytest.raises(ComponentDied) as died:
            supervisor.check()
    assert "sick ended by itself (exit 7)" in str(died.value)
    assert "out of memory" in str(died.value)
    assert str(place.log("sick")) in str(died.value)


def test_stop_ends_what_left_its_group_and_what_ignores_sigterm(place):
    deaf = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
    daemon = "import os, time\nif os.fork() == 0:\n os.setsid()\n os.fork()\n time.sleep(300)\nos.wait()"
    with Supervisor(place) as supervisor:
        supervisor.start(Service("deaf", [sys.executable, "-c", deaf], ENVIRONMENT))
        supervisor.start(Service("daemon", [sys.executable, "-c", daemon], ENVIRONMENT))
        wait_for(lambda: len(tagged(place.tag)) >= 4 and "deaf\n" in place.log("deaf").read_text())
    assert tagged(place.tag) == []


def test_services_that_others_write_to_stop_last(place, tmp_path):
    order = tmp_path / "order"
    script = "trap 'echo {name} >> {order}; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    with Supervisor(place) as supervisor:
        supervisor.start(sh("store", script.format(name="store", order=order), stops_last=True))
        supervisor.start(sh("writer", script.format(name="writer", order=order)))
        wait_for(lambda: all("up\n" in place.log(name).read_text() for name in ("store", "writer")))
    assert order.read_text().split() == ["writer", "store"]


def test_a_killed_launcher_takes_its_services_with_it(place):
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(place.state)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
    )
    assert launcher.stdout.readline() == b"started\n"
    wait_for(lambda: len(tagged(place.tag)) >= 2)  # the shell has to begin its own children first
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    wait_for(lambda: tagged(place.tag) == [], seconds=15)


def test_the_next_start_ends_what_an_earlier_one_left(place):
    left = subprocess.Popen(["sleep", "300"], env={**ENVIRONMENT, TAG_VARIABLE: place.tag})
    with Supervisor(place):
        assert left.wait(timeout=5) == -signal.SIGTERM


def test_only_processes_with_the_mark_are_ended(place):
    other = subprocess.Popen(["sleep", "300"], env={**ENVIRONMENT, TAG_VARIABLE: "another stack"})
    try:
        end_all(place.tag)
        assert psutil.pid_exists(other.pid)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_service_that_is_never_ready_is_named(place):
    with Supervisor(place) as supervisor:
        service = sh("slow", "echo still loading; sleep 300", ready=lambda: False, ready_seconds=0.5)
        supervisor.start(service)
        with pytest.raises(StackError, match=r"slow is not ready after 0 s.(.|\n)*still loading"):
            supervisor.wait_ready(service)


def test_a_program_that_fails_is_told_with_its_log(place):
    with Supervisor(place) as supervisor, pytest.raises(StackError, match=r"job failed \(exit 4\)(.|\n)*no such table"):
        supervisor.run_to_end("job", ["/bin/sh", "-c", "echo no such table; exit 4"], ENVIRONMENT)


def test_a_program_that_is_not_there_is_told(place):
    with Supervisor(place) as supervisor, pytest.raises(StackError, match="ghost cannot start"):
        supervisor.start(Service("ghost", [str(place.state / "nothing")], ENVIRONMENT))


def test_who_waits_hears_of_the_stop(place):
    with Supervisor(place) as supervisor:
        supervisor.interrupt()
        with pytest.raises(Stopped):
            supervisor.sleep(60)
