"""Measures one model on the device that it runs on; `ml_training.edge.benchmark` copies it there, packed into one file.

    python3 device_runner.pyz --folder F --threads 1 2 --seconds 10 --environment adbreak/environment-2.3.0

Standard library, numpy and ai_edge_litert only, Python 3.9 or newer: nothing else of this project is on a device. What
is missing is installed into ``--environment``. F holds ``manifest.json``, the files that it names, ``golden.npz`` and
perhaps ``test.npz``. The measurements go to ``F/result.json`` (but for ``--only-golden``) and, as one line of JSON, to
standard output; or ``{"error": ..., "message": ...}`` with exit code 3. Standard error tells what it is doing, a line a
stage.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from ml_training.edge.on_device.board import Board
from ml_training.edge.on_device.model import Model
from ml_training.edge.on_device.operators import operators
from ml_training.edge.on_device.runtime import RunnerError, import_runtime, tell
from ml_training.edge.on_device.timing import BOARD_SECONDS, ELSEWHERE_SECONDS, Plan, measure

VERSION = 2
PROFILE_SECONDS = 60
INSIDE = "ADBREAK_RUNNER_ENVIRONMENT"  # set for the run inside the private environment


def enter_environment(args: argparse.Namespace) -> None:
    """Go on in the private environment when the runtime is missing here; it is made first where it is not there.

    Raises RunnerError when it may not be made, or cannot.
    """
    try:
        import_runtime()
    except RunnerError:
        if args.install == "never" or not args.environment or os.environ.get(INSIDE):
            raise
    else:
        return
    python = os.path.join(args.environment, "bin", "python")
    complete = os.path.join(args.environment, "complete")
    if not os.path.exists(complete):
        tell(f"installing {' '.join(args.packages)}")
        shutil.rmtree(args.environment, ignore_errors=True)
        wheels = ["--no-index", "--find-links", args.wheels] if args.wheels else []
        install([sys.executable, "-m", "venv", args.environment])
        install([python, "-m", "pip", "install", "--quiet", *wheels, *args.packages])
        with open(complete, "w", encoding="utf-8"):
            pass
    os.environ[INSIDE] = args.environment
    os.execv(python, [python, os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def install(command: list[str]) -> None:
    """Run a step of the installation. Raises RunnerError with the last lines of what it said."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        said = " | ".join(done.stdout.strip().splitlines()[-3:])
        raise RunnerError("install_failed", f"could not install the runtime: {said}")


def hold(path: str, seconds: float) -> None:
    """Take the device's lock until the process ends, waiting up to ``seconds``. Raises RunnerError after them."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)  # the lock goes with the process into the private environment
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= end:
                raise RunnerError("busy", f"another benchmark held this device for {seconds:g} s") from None
            tell("waiting for another benchmark on this device")
            time.sleep(1)
        else:
            return


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do the whole measurement."""
    board = Board(args.system_root)
    threads = list(dict.fromkeys(min(count, os.cpu_count() or 1) for count in args.threads))
    tell("loading")
    start = time.perf_counter()
    model = Model(args.folder, threads[0])
    loaded = time.perf_counter()
    model.step(0)
    first = time.perf_counter()
    result: dict[str, Any] = {
        "version": VERSION,
        "load_ms": (loaded - start) * 1000,
        "first_inference_ms": (first - loaded) * 1000,
        **board.describe(),
        **model.check_golden(),
    }
    if args.only_golden:
        return result
    lasting = args.sustained_seconds
    if lasting < 0:
        lasting = BOARD_SECONDS if board.model else ELSEWHERE_SECONDS
    plan = Plan(args.runs, args.warmup, args.seconds, lasting, args.cooling_seconds)
    result.update(measure(lambda n: model if n == threads[0] else Model(args.folder, n), board, threads, plan))
    tell("test set and profile")
    test = os.path.join(args.folder, "test.npz")
    result["accuracy"] = model.accuracy(test) if os.path.exists(test) else None
    result["profile"] = {part.name: profile(part.path) for part in model.parts}
    return result


def profile(path: str) -> dict[str, Any]:
    """Return the milliseconds of each kind of operator, or what came instead."""
    command = [sys.executable, os.path.abspath(sys.argv[0]), "--profile", path]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PROFILE_SECONDS)
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        return {"error": "no_profile", "message": f"the profiler gave nothing: {error}"}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options; thread counts are capped by the cores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="manifest.json, the model's files, golden.npz, perhaps test.npz")
    parser.add_argument("--runs", type=int, default=200, help="most inferences for each thread count")
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], choices=range(1, 5))
    parser.add_argument("--seconds", type=float, default=10.0, help="for the timed inferences, all together")
    parser.add_argument("--sustained-seconds", type=float, default=-1.0, help="negative: 600 on a board, 10 elsewhere")
    parser.add_argument("--cooling-seconds", type=float, default=180.0, help="before a throttled board is tried again")
    parser.add_argument("--deadline", type=int, default=0, help="seconds after which the process ends itself")
    parser.add_argument("--only-golden", action="store_true", help="compare the golden outputs and stop")
    parser.add_argument("--environment", default="", help="private folder for numpy and the runtime")
    parser.add_argument("--install", choices=("when-missing", "never"), default="when-missing")
    parser.add_argument("--packages", nargs="+", default=["numpy", "ai-edge-litert"])
    parser.add_argument("--wheels", default="", help="folder to install from, instead of the network")
    parser.add_argument("--lock", default="", help="file that only one benchmark holds")
    parser.add_argument("--queue-seconds", type=float, default=0.0, help="how long to wait for the lock")
    parser.add_argument("--system-root", default="/", help="where /proc and /sys are")
    parser.add_argument("--profile", default="", help="time the operators of this file and stop")
    return parser.parse_args(argv)


def answer(args: argparse.Namespace) -> dict[str, Any]:
    """Do what was asked; an error that this device can name is an answer too."""
    try:
        if args.profile:
            return operators(args.profile)
        if args.lock and not os.environ.get(INSIDE):
            hold(args.lock, args.queue_seconds)
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(args.deadline)
        enter_environment(args)
        return run(args)
    except RunnerError as error:
        return {"error": error.kind, "message": str(error)}


def _too_late(number: int, frame: Any) -> None:
    raise RunnerError("too_late", "it took longer than it may: is the device busy with something else?")


def main(argv: list[str] | None = None) -> int:
    """Print and store the answer; 3 when this device cannot measure this model."""
    args = parse_arguments(argv)
    content = answer(args)
    if args.folder and not (args.profile or args.only_golden):
        part = os.path.join(args.folder, "result.json.part")
        with open(part, "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.replace(part, os.path.join(args.folder, "result.json"))
    print(json.dumps(content), flush=True)
    return 3 if "error" in content else 0


if __name__ == "__main__":
    sys.exit(main())
