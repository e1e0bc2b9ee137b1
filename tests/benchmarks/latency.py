"""How much faster int8 is than float32, and whether the device runner's figure is the runtime's own, side by side.

    make bench NAME=latency

One thread, the base model in both precisions. Rounds go round: int8 by the runner, float32 by the runner, int8 by the
runtime's tool (litert-benchmark), again and again, so that what disturbs the machine disturbs all alike. Of each the
median of its fastest round counts, the one that was disturbed least; the table shows how far the rounds lie apart. Five
minutes on two quiet cores; ``SCALE=full`` does three times the rounds.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROUNDS = 36 if os.environ.get("SCALE") == "full" else 12
RUNS, WARMUP = 80, 20
FASTER_BAR, TOOL_BAR = 2.0, 0.10
TOOL = Path(sys.executable).with_name("litert-benchmark")


def by_runner(folder: Path) -> float:
    """Return the median latency in milliseconds that the device runner measures."""
    command = [
        *(sys.executable, "-m", "ml_training.edge.device_runner", "--folder", str(folder), "--threads", "1"),
        *("--runs", str(RUNS), "--warmup", str(WARMUP), "--seconds", "120", "--sustained-seconds", "0"),
    ]
    return float(_answer(command)["threads"]["1"]["p50"])


def by_tool(folder: Path) -> float:
    """Return the median latency in milliseconds that the runtime's own tool measures."""
    result = folder / "tool.json"
    command = [
        *(str(TOOL), "--model", str(folder / "model.tflite"), "--num_threads", "1"),
        *("--num_runs", str(RUNS), "--warmup_runs", str(WARMUP), "--result_json", str(result)),
    ]
    subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(result.read_text())["latency"]["median_ms"])


def _answer(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the device runner failed: {done.stdout or done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Measure, print a table and, as the last line, the figures beside their bars."""
    sys.path.insert(0, str(Path(__file__).parent))
    from family_files import make_families

    times: dict[str, list[float]] = {"int8": [], "float32": [], "tool": []}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {
            precision: make_families(Path(temporary), ["base"], precision=precision)["base"]
            for precision in ("int8", "float32")
        }
        for _ in range(ROUNDS):
            times["int8"].append(by_runner(folders["int8"]))
            times["float32"].append(by_runner(folders["float32"]))
            times["tool"].append(by_tool(folders["int8"]))
        sizes = {name: (folder / "model.tflite").stat().st_size for name, folder in folders.items()}
    print(f"base model, 1 thread, {ROUNDS} rounds of {RUNS} inferences; this machine, not a Raspberry Pi (simulated)")
    print(f"{'measured':<28} {'ms, fastest':>11} {'median':>8} {'slowest':>8} {'bytes':>11}")
    for name, what in (
        ("int8", "int8, device runner"),
        ("float32", "float32, device runner"),
        ("tool", "int8, litert-benchmark"),
    ):
        values = times[name]
        size = sizes["float32" if name == "float32" else "int8"]
        print(f"{what:<28} {min(values):>11.3f} {statistics.median(values):>8.3f} {max(values):>8.3f} {size:>11,}")
    ours, floats, theirs = (min(times[name]) for name in ("int8", "float32", "tool"))
    faster, apart = floats / ours, abs(ours / theirs - 1)
    print(
        f"float32 over int8 {faster:.2f} >= {FASTER_BAR:g}; runner beside litert-benchmark {apart:.3f} <= {TOOL_BAR:g}"
    )
    return 0 if faster >= FASTER_BAR and apart <= TOOL_BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
