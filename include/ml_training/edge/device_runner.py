"""Measures one model file on the device that it runs on; `ml_training.edge.benchmark` copies this file there.

    python3 device_runner.py --model m.tflite --golden golden.npz --runs 200 --warmup 20 --threads 1 2 --seconds 10

Standard library, numpy and ai_edge_litert only, Python 3.9 or newer: nothing else of this project is on a device. The
one line of JSON on standard output holds the measurements, or ``{"error": ..., "message": ...}`` with exit code 3.
Standard error opens with ``process_group=N``, by which whoever started it can end it; ``--deadline`` ends it without.

A latency is the time from a frame in memory to a score in memory: set input, invoke, read output.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from importlib import metadata
from typing import Any

VERSION = 1
MOST_THREADS = 4
PERCENTILES = (50, 90, 95, 99)
NEEDED = {"numpy": "numpy", "ai_edge_litert": "ai-edge-litert"}


class RunnerError(Exception):
    """What keeps this device from measuring this model; ``kind`` is for programs, the message for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def import_runtime() -> Any:
    """Return the runtime's Interpreter class. Raises RunnerError that names the missing package."""
    try:
        import numpy  # noqa: F401
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        missing = NEEDED.get((error.name or "").split(".")[0], "ai-edge-litert")
        raise RunnerError("runtime_missing", f"cannot import {missing}: {error}") from error
    return Interpreter


def load_interpreter(model: str, threads: int) -> Any:
    """Return an interpreter of ``model`` with its tensors allocated. Raises RunnerError."""
    interpreter_class = import_runtime()
    try:
        interpreter = interpreter_class(model_path=model, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise RunnerError("model_unusable", f"the runtime refuses {os.path.basename(model)}: {error}") from error
    if len(interpreter.get_input_details()) != 1 or len(interpreter.get_output_details()) != 1:
        raise RunnerError("model_unusable", "expected a model with one input and one output")
    return interpreter


def infer(interpreter: Any, frame: Any) -> Any:
    """Return a copy of the output for ``frame`` (the input's shape and dtype, with its batch of one)."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def read_golden(path: str, interpreter: Any) -> tuple[Any, Any]:
    """Return inputs [N, ...] and outputs [N, ...] that the model was converted with. Raises RunnerError on a misfit."""
    import numpy as np

    details = interpreter.get_input_details()[0]
    with np.load(path) as golden:
        inputs, outputs = golden["inputs"], golden["outputs"]
    expected = tuple(int(size) for size in details["shape"][1:])
    if (
        inputs.shape[1:] != expected
        or inputs.dtype != details["dtype"]
        or len(inputs) != len(outputs)
        or not len(inputs)
    ):
        raise RunnerError(
            "golden_unusable",
            f"the model takes {expected} of {np.dtype(details['dtype']).name}, "
            f"the golden inputs are {inputs.shape} of {inputs.dtype.name} with {len(outputs)} outputs",
        )
    return inputs, outputs


def check_golden(interpreter: Any, inputs: Any, outputs: Any) -> dict[str, Any]:
    """Run every golden input and compare; the difference is in the output's own (quantised) units."""
    import numpy as np

    difference = 0.0
    for frame, expected in zip(inputs, outputs):  # noqa: B905  # lengths are checked, and Python 3.9 has no strict
        answer = infer(interpreter, frame[None])[0].astype(np.float64)
        difference = max(difference, float(np.max(np.abs(answer - expected.astype(np.float64)))))
    return {"golden_exact": difference == 0.0, "golden_max_difference": difference, "golden_inputs": len(inputs)}


def measure(interpreter: Any, frames: Any, *, runs: int, warmup: int, seconds: float) -> dict[str, float]:
    """Time up to ``runs`` inferences, at least one, within about ``seconds`` including the warm-up."""
    import numpy as np

    end = time.perf_counter() + seconds
    for number in range(warmup):
        infer(interpreter, frames[number % len(frames)][None])
        if time.perf_counter() > end - seconds / 2:
            break
    times_ms = []
    for number in range(runs):
        frame = frames[number % len(frames)][None]
        start = time.perf_counter()
        infer(interpreter, frame)
        times_ms.append((time.perf_counter() - start) * 1000)
        if time.perf_counter() > end:
            break
    result = {f"p{percent}": float(np.percentile(times_ms, percent)) for percent in PERCENTILES}
    result["runs"] = len(times_ms)
    result["throughput_per_second"] = 1000 * len(times_ms) / sum(times_ms)
    return result


def describe_device() -> dict[str, Any]:
    """Return what the device says of itself; what it does not know is absent."""
    facts = {
        "board": _read("/proc/device-tree/model") or platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count() or 1,
        "python_version": platform.python_version(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "throttled": _throttled(),
    }
    return {name: value for name, value in facts.items() if value is not None}


def temperature_celsius() -> float | None:
    """Return the hottest thermal zone, or None where the kernel shows none."""
    values = [_read(path) for path in glob.glob("/sys/class/thermal/thermal_zone*/temp")]
    return max((int(value) / 1000 for value in values if value and value.lstrip("-").isdigit()), default=None)


def _throttled() -> str | None:
    # Bits of https://www.raspberrypi.com/documentation/computers/os.html#get_throttled; 0x0 is a healthy board.
    for path in glob.glob("/sys/devices/platform/soc*/*firmware/get_throttled"):
        value = _read(path)
        if value:
            return "0x" + value
    try:
        answer = subprocess.run(["vcgencmd", "get_throttled"], check=False, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip().partition("=")[2] or None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ") or None
    except OSError:
        return None


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do the whole measurement: load, first inference, golden parity, then latency for each thread count."""
    threads = list(dict.fromkeys(min(count, os.cpu_count() or 1) for count in args.threads))
    import_runtime()
    start = time.perf_counter()
    interpreter = load_interpreter(args.model, threads[0])
    load_ms = (time.perf_counter() - start) * 1000
    inputs, outputs = read_golden(args.golden, interpreter)
    start = time.perf_counter()
    infer(interpreter, inputs[0][None])
    first_ms = (time.perf_counter() - start) * 1000
    parity = check_golden(interpreter, inputs, outputs)
    before = temperature_celsius()
    by_threads = {}
    for count in threads:
        measured = interpreter if count == threads[0] else load_interpreter(args.model, count)
        share = args.seconds / len(threads)
        by_threads[str(count)] = measure(measured, inputs, runs=args.runs, warmup=args.warmup, seconds=share)
    return {
        "version": VERSION,
        "load_ms": load_ms,
        "first_inference_ms": first_ms,
        "threads": by_threads,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **parity,
        "runtime_version": "ai-edge-litert " + metadata.version("ai-edge-litert"),
        **describe_device(),
        "temperature_celsius": {"before": before, "after": temperature_celsius()},
    }


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options; thread counts are capped by the cores and by four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--golden", required=True)
    parser.add_argument("--runs", type=int, default=200, help="most inferences for each thread count")
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], choices=range(1, MOST_THREADS + 1))
    parser.add_argument("--seconds", type=float, default=10.0, help="for the timed inferences, all together")
    parser.add_argument("--deadline", type=int, default=120, help="seconds after which the process ends itself")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Print the measurements, and the process group before; 3 when this device cannot measure this model."""
    args = parse_arguments(argv)
    signal.alarm(args.deadline)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    print(f"process_group={os.getpgrp()}", file=sys.stderr, flush=True)
    try:
        result = run(args)
    except RunnerError as error:
        print(json.dumps({"error": error.kind, "message": str(error)}), flush=True)
        return 3
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
