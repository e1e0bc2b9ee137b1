"""One launcher for each state folder: who it is, how another terminal stops it, how its state is removed.

with only_one(place): ...      # raises StackError when a stack runs here already
stop(place)                    # True when something ran
"""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from local_stack.errors import StackError
from local_stack.processes import end_all
from local_stack.workplace import Workplace, read_json, write_json

STOP_SECONDS = 40.0


@contextmanager
def only_one(place: Workplace) -> Iterator[None]:
    """Hold the state folder while the context lasts. The lock goes with the process, however it ends."""
    with (place.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = (read_json(place.state / "launcher.json") or {}).get("pid")
            raise StackError(f"a stack runs in {place.state} already (process {pid}); `make stop` stops it") from error
        process = psutil.Process()
        write_json(place.state / "launcher.json", {"pid": process.pid, "created": process.create_time()})
        try:
            yield
        finally:
            (place.state / "launcher.json").unlink(missing_ok=True)


def running_launcher(place: Workplace) -> psutil.Process | None:
    """Return the process that runs the stack, None when there is none."""
    facts = read_json(place.state / "launcher.json")
    try:
        process = psutil.Process(facts["pid"]) if facts else None
        return process if process and abs(process.create_time() - facts["created"]) < 1 else None
    except psutil.NoSuchProcess:
        return None


def stop(place: Workplace) -> bool:
    """Stop the launcher, then whatever of its stack is left; tells whether anything ran."""
    process = running_launcher(place)
    if process is not None:
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                process.kill()
                break
            time.sleep(0.1)
    return bool(end_all(place.tag)) or process is not None


def clean(place: Workplace) -> None:
    """Remove all state. Raises StackError while a stack runs."""
    if running_launcher(place) is not None:
        raise StackError(f"a stack runs in {place.state}: stop it first with `make stop`")
    end_all(place.tag)
    if place.state.is_dir():
        os.chmod(place.state, 0o755)
        shutil.rmtree(place.state)
        print(f"removed {place.state}")
    else:
        print(f"there is no {place.state}")
