"""Makes the locked virtual environments; costs nothing when they are up to date.

    python3.11 include/local_stack/environments.py airflow ml stack

Each environment has a lock file and a stamp: the hash of the lock, of the interpreter's version and of what else
decides its contents. Bytecode is compiled here once: without it TensorFlow takes 18 s to import instead of 6, and every
Airflow process starts in 7 s instead of 4. Runs before anything is installed, so it needs the standard library only.
"""

import concurrent.futures
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".venv"
UV_VERSION = "0.13.9"
STAMP = ".adbreak-stamp"
NOISE = (" + ", " - ", " ~ ", "Using Python", "warning: Failed to hardlink", "If the cache and target", "Audited")
NETWORK_SIGNS = ("dns error", "Failed to fetch", "error sending request", "Connection", "timed out", "tcp connect")


class Environment(NamedTuple):
    """One environment: its lock file, and whether the package itself is installed into it."""

    name: str
    lock: str
    editable: bool

    @property
    def folder(self) -> Path:
        return VENVS / self.name


ENVIRONMENTS = {
    "airflow": Environment("airflow", "requirements.txt", editable=True),
    "ml": Environment("ml", "requirements-ml.txt", editable=True),
    "stack": Environment("stack", "include/local_stack/requirements.txt", editable=False),
}


class SetupFailed(Exception):
    """An environment could not be made; the message says why and what to do."""


def main(names: list[str]) -> int:
    """Make the named environments; returns the exit code."""
    unknown = [name for name in names if name not in ENVIRONMENTS]
    if unknown:
        print(f"error: unknown environment {unknown[0]!r}: expected {', '.join(ENVIRONMENTS)}", file=sys.stderr)
        return 2
    try:
        VENVS.mkdir(exist_ok=True)
        with (VENVS / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            make_all([ENVIRONMENTS[name] for name in names])
    except (SetupFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def make_all(environments: list[Environment]) -> None:
    """Make those environments that are not up to date, side by side."""
    missing = [environment for environment in environments if not is_current(environment)]
    if not missing:
        return
    started = time.monotonic()
    say(f"setting up {', '.join(environment.name for environment in missing)} (Python {python_version()})")
    uv = make_uv()
    with concurrent.futures.ThreadPoolExecutor(len(missing)) as pool:
        for future in [pool.submit(make, uv, environment) for environment in missing]:
            future.result()
    say(f"environments ready after {time.monotonic() - started:.0f} s")


def is_current(environment: Environment) -> bool:
    """Tell whether the environment was made from exactly this lock file."""
    stamp = environment.folder / STAMP
    return stamp.is_file() and stamp.read_text() == stamp_of(environment)


def stamp_of(environment: Environment) -> str:
    """Return the hash of everything that decides what is installed."""
    parts = [(ROOT / environment.lock).read_bytes(), UV_VERSION.encode(), python_version().encode()]
    if environment.editable:
        parts.append((ROOT / "pyproject.toml").read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_uv() -> str:
    """Return the path of the pinned uv, installed with pip when it is not there."""
    folder = VENVS / "uv"
    uv = folder / "bin" / "uv"
    if uv.is_file() and output_of([str(uv), "--version"]).startswith(f"uv {UV_VERSION}"):
        return str(uv)
    say(f"installing uv {UV_VERSION}")
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False, capture_output=True, text=True)
    if made.returncode:
        raise SetupFailed(
            f"{sys.executable} cannot make virtual environments; on Debian and Ubuntu install the package "
            f"python{python_version(2)}-venv\n{made.stdout}{made.stderr}"
        )
    run("uv", [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}"])
    return str(uv)


def make(uv: str, environment: Environment) -> None:
    """Create or update one environment from its lock file."""
    started = time.monotonic()
    (environment.folder / STAMP).unlink(missing_ok=True)
    python = environment.folder / "bin" / "python"
    if output_of([str(python), "--version"]) != f"Python {python_version()}":
        run(environment.name, [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment.folder)])
    run(
        environment.name,
        [uv, "pip", "sync", "--compile-bytecode", "--python", str(python), str(ROOT / environment.lock)],
    )
    if environment.editable:
        run(environment.name, [uv, "pip", "install", "--python", str(python), "--no-deps", "--editable", str(ROOT)])
    (environment.folder / STAMP).write_text(stamp_of(environment))
    say(f"{environment.name}: ready after {time.monotonic() - started:.0f} s")


def run(name: str, command: list[str]) -> None:
    """Run an installer, passing on the lines that say what it does. Raises SetupFailed with its last lines."""
    lines: list[str] = []
    environment = {**os.environ, "UV_NO_PROGRESS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
    )
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.strip() and not line.startswith(NOISE):
            say(f"{name}: {line.strip()}")
    if process.wait():
        raise SetupFailed(explain(name, "\n".join(lines)))


def explain(name: str, output: str) -> str:
    """Say in plain words why an installer failed; ends with its own last lines."""
    if "No space left" in output or "os error 28" in output:
        reason = f"no space left on the disk that holds {VENVS} or the package cache: the environments need 4 GB"
    elif any(sign in output for sign in NETWORK_SIGNS):
        reason = "packages cannot be fetched: is there a network, and a proxy if one is needed?"
    else:
        reason = "the installer failed"
    tail = "\n".join(f"  {line}" for line in output.splitlines()[-8:])
    return f"environment {name}: {reason}\n{tail}"


def output_of(command: list[str]) -> str:
    """Return what a command prints, or nothing when it cannot run."""
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def python_version(parts: int = 3) -> str:
    """Return the version of this interpreter, such as ``3.11.7``."""
    return ".".join(str(part) for part in sys.version_info[:parts])


def say(message: str) -> None:
    """Print one line of progress."""
    print(f"[set-up] {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(ENVIRONMENTS)))
