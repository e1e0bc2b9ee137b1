"""Tries a model's files on the device that they are for: do they load, give the golden outputs, and in time?

    python3 -m ml_training.edge.agent.trial --model models/base-general/1.2.0        # one line of JSON
    try_model(folder, Limits(threads=1, largest_latency_ms=250.0))                    # UpdateRefused: why not

The trial is a process of its own: a file that crashes the runtime, or takes all memory, takes only that with it.
Outputs must be exact with the runtime that the manifest names, within two steps of the quantized output with another.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ml_training.utils.errors import ModelError, UpdateRefused

TIMEOUT_SECONDS = 120
MEMORY_BYTES = 2_000_000_000  # of address space; a model and its runtime take a quarter of it
RUNS = 50
ENDED_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)
STEPS_OF_ANOTHER_RUNTIME = 2


class Limits(NamedTuple):
    """What a model has to keep."""

    threads: int = 1
    largest_latency_ms: float = 250.0


def try_model(folder: Path, limits: Limits) -> dict[str, Any]:
    """Run the trial in a process of its own; returns what it measured.

    Raises UpdateRefused: of the kind ``trial`` it says what the model failed in; of the kind ``trial_ended`` it says
    nothing about the model, for the device may have been busy, or had no memory.
    """
    command = [
        sys.executable, "-m", "ml_training.edge.agent.trial", "--model", str(folder),
        "--threads", str(limits.threads), "--largest-latency-ms", str(limits.largest_latency_ms),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _ended(folder, f"no answer within {TIMEOUT_SECONDS} s") from error
    if done.returncode in ENDED_FROM_OUTSIDE:
        raise _ended(folder, f"{signal.Signals(-done.returncode).name} ended it, perhaps for want of memory")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise UpdateRefused(f"{_label(folder)} fails the trial: it crashes the runtime ({name})", kind="trial")
    lines = done.stdout.strip().splitlines()
    try:
        result = dict(json.loads(lines[-1]))
    except (IndexError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UpdateRefused(f"{_label(folder)} fails the trial: {last}", kind="trial") from error
    if not result["passed"]:
        raise UpdateRefused(f"{_label(folder)} fails the trial: {result['error']}", kind="trial")
    return result


def run_trial(folder: Path, limits: Limits) -> dict[str, Any]:
    """Load the files of a folder, compare the golden outputs, time the whole. Raises ModelError."""
    from ml_training.edge.agent.device_model import open_device_model
    from ml_training.edge.agent.facts import runtime_name

    model = open_device_model(folder, threads=limits.threads)
    golden = _golden(folder)
    steps = model.golden_steps(golden)
    allowed = 0 if model.facts.runtime == runtime_name() and model.is_quantized else STEPS_OF_ANOTHER_RUNTIME
    if not steps <= allowed:
        raise ModelError(
            f"its golden outputs differ by {steps:g} steps, {allowed} are allowed: converted for "
            f"{model.facts.runtime}, here is {runtime_name()}"
        )
    latency = _latency(model, golden)
    if latency["p95"] >= limits.largest_latency_ms:
        raise ModelError(
            f"95 of 100 frames take up to {latency['p95']:.0f} ms, less than {limits.largest_latency_ms:g} are allowed"
        )
    return {"golden_steps": steps, "latency_ms": latency, "runtime": runtime_name()}


def _golden(folder: Path) -> dict[str, Any]:
    try:
        with np.load(folder / "golden.npz") as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"its golden.npz cannot be read: {error}") from error


def _latency(model: Any, golden: dict[str, Any]) -> dict[str, float]:
    times_ms = []
    for number in range(RUNS + 3):
        start = time.perf_counter()
        model.run_golden(golden, number)
        times_ms.append((time.perf_counter() - start) * 1000)
    measured = times_ms[3:]  # the first ones warm up
    return {f"p{percent}": round(float(np.percentile(measured, percent)), 3) for percent in (50, 95)}


def _ended(folder: Path, what: str) -> UpdateRefused:
    return UpdateRefused(f"{_label(folder)} did not come to the end of its trial: {what}", kind="trial_ended")


def _label(folder: Path) -> str:
    return folder.name


def main(argv: list[str] | None = None) -> int:
    """Print one line of JSON: passed and what was measured, or the error; 1 when it failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder with manifest.json and the files it names")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--largest-latency-ms", type=float, default=Limits().largest_latency_ms)
    args = parser.parse_args(argv)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        result: dict[str, Any] = {
            "passed": True,
            **run_trial(args.model, Limits(args.threads, args.largest_latency_ms)),
        }
    except (ModelError, MemoryError) as error:
        result = {"passed": False, "error": str(error) or "not enough memory"}
    print(json.dumps(result), flush=True)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
