"""A measurement as a job on a device: started once, detached, found again after a dropped connection, then removed.

    outcome = run_job(device, job, wait_seconds=60)
    outcome.answer            # the runner's answer; None when it is still at work after 60 seconds
    outcome.seconds_left      # about how long it still takes

A job is known by the name of its folder, so whoever starts the same one joins it. One job works at a time on a device:
the runner holds a lock, and nothing is copied to a device whose lock is held.
"""

import contextlib
import io
import json
import logging
import shlex
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from ml_training.edge.devices import DeviceDescription
from ml_training.edge.ssh import Deadline, DeviceConnection, connect
from ml_training.utils.errors import DeviceError, DeviceUnreachable
from ml_training.utils.hashing import sha256_bytes

PACKAGE = Path(__file__).resolve().parents[1]
RUNNER_FILES = ("__init__.py", "edge/__init__.py", "edge/device_runner.py", "edge/on_device/*.py")
RUNNER_NAME = "device_runner.pyz"
START = "from ml_training.edge.device_runner import main\n\nraise SystemExit(main())\n"
LOCK_NAME = "benchmark.lock"

CONNECT_SECONDS = 20.0
UPLOAD_SECONDS = 120.0
COMMAND_SECONDS = 20.0
CLEANUP_SECONDS = 10.0
RECONNECT_SECONDS = 5.0
BUSY_SECONDS = 60.0  # after which a device that measures something else is worth another look
FORGOTTEN_MINUTES = 24 * 60  # what nobody fetched is removed after this
POLL_SECONDS = ((10.0, 0.5), (60.0, 2.0), (float("inf"), 5.0))  # until so many seconds, look this often

# $1 the job's folder, $2 the lock, $3 the minutes after which it is forgotten. The number in ``group`` may be another
# process's by now: ours has the folder among its arguments, and one that has ended has none.
OURS = """
ours() { group=$(cat "$1/group") && tr '\\0' ' ' < "/proc/$group/cmdline" | grep -qF -- "--folder $1 "; } 2>/dev/null
"""
LOOK = f"""{OURS}
age() {{ echo $(( $(date +%s) - $(stat -c %Y "$1") )); }}
if ours "$1"; then alive=yes; else alive=; fi
if [ -z "$alive" ] && [ -n "$(find "$1" -maxdepth 0 -mmin "+$3" 2>/dev/null)" ]; then echo forgotten
elif [ -s "$1/result.json" ]; then echo done; age "$1/result.json"
elif [ -n "$alive" ]; then echo running; age "$1/group"; tail -n 1 "$1/log"
elif [ -s "$1/group" ]; then echo ended; tail -n 5 "$1/log"
elif [ -e "$2" ] && command -v flock >/dev/null && ! flock -n "$2" true; then echo busy
else echo absent; fi
"""
END = f"""{OURS}
if ours "$1"; then kill -s TERM -- "-$group"; sleep 0.5; kill -s KILL -- "-$group"; fi 2>/dev/null
rm -rf "$1"
"""

logger = logging.getLogger(__name__)


class Job(NamedTuple):
    """What to run: files for the folder ``name`` in the device's work folder, its options, how long it takes."""

    name: str
    contents: dict[str, bytes]
    options: list[str]
    limit_seconds: float
    expected_seconds: float


class Outcome(NamedTuple):
    """The runner's answer and its age, or None and about how many seconds it still takes."""

    answer: dict[str, Any] | None
    seconds_left: float = 0.0
    age_seconds: float = 0.0


def pack_runner() -> bytes:
    """Return the device runner with the modules of ours that it imports, as one file that Python runs."""
    paths = sorted(path for pattern in RUNNER_FILES for path in PACKAGE.glob(pattern))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), START)
        for path in paths:
            name = f"ml_training/{path.relative_to(PACKAGE).as_posix()}"
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def run_job(
    device: DeviceDescription, job: Job, *, queue_seconds: float = 0.0, wait_seconds: float | None = None
) -> Outcome:
    """Start ``job`` on ``device`` or join it, wait for its answer, remove it there.

    A dropped connection is made again as long as the job may last. After ``wait_seconds`` the job goes on without us;
    an interruption, or the end of its time, ends it. Raises DeviceError.
    """
    watch = _Watch(device, job, queue_seconds, wait_seconds)
    try:
        while True:
            try:
                with connect(device, Deadline(CONNECT_SECONDS)) as connection:
                    return watch.follow(connection)
            except DeviceUnreachable as error:
                if not watch.reached or watch.end.passed():
                    raise
                logger.warning("%s; the measurement goes on there, connecting again", error)
                time.sleep(RECONNECT_SECONDS)
    except DeviceUnreachable:
        raise  # there is nobody to tell
    except BaseException:
        if watch.reached:
            _end(device, job)
        raise


class _Watch:
    """Follows one job over one or more connections."""

    def __init__(self, device: DeviceDescription, job: Job, queue_seconds: float, wait_seconds: float | None) -> None:
        self.device, self.job = device, job
        self.reached = False
        self.end = Deadline(queue_seconds + job.limit_seconds)
        self._queue_seconds = queue_seconds
        self._wait = Deadline(float("inf") if wait_seconds is None else wait_seconds)
        self._start = time.monotonic()
        self._said = ""
        work_dir = device.work_dir.rstrip("/")
        self._folder, self._lock = f"{work_dir}/{job.name}", f"{work_dir}/{LOCK_NAME}"

    def follow(self, connection: DeviceConnection) -> Outcome:
        """Look, start, wait, fetch."""
        self.reached = True
        while True:
            state, *lines = self._look(connection)
            if state == "done":
                return self._fetch(connection, lines)
            if state == "ended":
                self._fail("ended without a result", lines)
            if self.end.passed():
                self._fail(f"gave no result within {self.end.seconds:g} s: the run was ended", lines)
            if state == "forgotten":
                _shell(connection, END, self._folder)
            elif state == "absent":
                self._begin(connection)
            elif self._wait.passed():
                return Outcome(None, self._seconds_left(state, lines))
            else:
                self._say(state, lines)
            passed = time.monotonic() - self._start
            time.sleep(next(pause for until, pause in POLL_SECONDS if passed < until))

    def _look(self, connection: DeviceConnection) -> list[str]:
        answer = _shell(connection, LOOK, self._folder, self._lock, str(FORGOTTEN_MINUTES))
        lines = answer.strip().splitlines()
        if not lines:
            raise DeviceError(f"{self.device.address} has no usable shell: expected bash or dash as the login shell")
        return lines

    def _begin(self, connection: DeviceConnection) -> None:
        """Copy the files and start the runner, detached from this connection."""
        device, folder = self.device, shlex.quote(self._folder)
        forgotten = f"-maxdepth 1 -name 'benchmark-*' -mmin +{FORGOTTEN_MINUTES} -exec rm -rf {{}} +"
        prepare = (
            f"mkdir -p {folder} && find {shlex.quote(device.work_dir)} {forgotten} && "
            f"{{ command -v {shlex.quote(device.python)} >/dev/null || exit 127; }}"
        )
        answer = connection.run(prepare, Deadline(COMMAND_SECONDS))
        if answer.exit_status == 127:
            raise DeviceError(
                f"{device.address} has no {device.python}: on the device, run: sudo apt install python3 python3-venv"
            )
        if answer.exit_status != 0:
            raise DeviceError(f"{device.address}: cannot use work_dir {device.work_dir}: {answer.stderr.strip()}")
        deadline = Deadline(UPLOAD_SECONDS)
        for name, content in {**self.job.contents, RUNNER_NAME: pack_runner()}.items():
            connection.upload(content, f"{self._folder}/{name}", deadline)
        wheels = ["--wheels", device.wheels] if device.wheels else []
        runner = [
            *(device.python, f"{self._folder}/{RUNNER_NAME}", "--folder", self._folder, "--lock", self._lock),
            *("--queue-seconds", f"{self._queue_seconds:g}", *wheels, *self.job.options),
        ]
        command = f"setsid nohup {shlex.join(runner)} > {folder}/log 2>&1 < /dev/null & echo $! > {folder}/group"
        connection.run(f"( {command} )", Deadline(COMMAND_SECONDS))
        self.end = Deadline(self.job.limit_seconds + self._queue_seconds)

    def _fetch(self, connection: DeviceConnection, lines: list[str]) -> Outcome:
        folder = shlex.quote(self._folder)
        text = connection.run(f"cat {folder}/result.json", Deadline(COMMAND_SECONDS)).stdout
        with contextlib.suppress(DeviceError):
            connection.run(f"rm -rf {folder}", Deadline(CLEANUP_SECONDS))
        try:
            return Outcome(dict(json.loads(text)), age_seconds=_age(lines))
        except (ValueError, TypeError) as error:
            raise DeviceError(f"{self.device.address}: expected the runner's JSON, received {text[:200]!r}") from error

    def _fail(self, what: str, lines: list[str]) -> None:
        said = " | ".join(line for line in lines if line)
        raise DeviceError(f"{self.device.address}: the measurement {what}{': ' + said if said else ''}")

    def _seconds_left(self, state: str, lines: list[str]) -> float:
        if state == "busy":
            return BUSY_SECONDS
        return max(BUSY_SECONDS / 2, self.job.expected_seconds - _age(lines))

    def _say(self, state: str, lines: list[str]) -> None:
        said = "waiting for another benchmark" if state == "busy" else lines[1] if len(lines) > 1 else "starting"
        if said != self._said and not said.startswith("{"):
            logger.info("%s: %s", self.device.address, said)
            self._said = said


def _age(lines: list[str]) -> float:
    """Return the seconds in the first line; 0 where the clock went back, or the file went meanwhile."""
    return float(lines[0]) if lines and lines[0].isdigit() else 0.0


def _end(device: DeviceDescription, job: Job) -> None:
    """End the job and remove its folder; what cannot be ended ends itself."""
    try:
        with connect(device, Deadline(CLEANUP_SECONDS)) as connection:
            _shell(connection, END, f"{device.work_dir.rstrip('/')}/{job.name}")
    except DeviceError as error:
        logger.warning("%s stays on the device for a day: %s", job.name, error)


def _shell(connection: DeviceConnection, script: str, *arguments: str) -> str:
    """Run a script with arguments; returns what it wrote."""
    return connection.run(shlex.join(["sh", "-c", script, "look", *arguments]), Deadline(COMMAND_SECONDS)).stdout


def job_name(content: str) -> str:
    """Return the folder's name of a job with this content."""
    return f"benchmark-{sha256_bytes(content.encode())[:16]}"
