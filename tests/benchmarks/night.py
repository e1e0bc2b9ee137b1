"""Two nights of `make run ONCE=1` on this machine: time of each phase, memory, and how good the int8 file is.

    make bench NAME=night

Both nights run in a state folder of their own, the second on top of the first. The bars of time and memory are those of
two cores with packages in the cache; the bars of quality are the gates, which the recordings are not made easier for.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARS = {"first night": 15 * 60, "second night": 8 * 60}  # seconds
MEMORY_BAR = 8.0  # GB
TOTAL = re.compile(r"^ time +(\d+):(\d\d) in all: (.*)$", re.M)
MEMORY = re.compile(r"^ memory +([\d.]+) GB", re.M)


def run_night(state: Path) -> str:
    """Run one night; return what it printed. Ends the benchmark when the night is not green."""
    environment = {**os.environ, "ADBREAK_STATE_DIR": str(state), "ONCE": "1"}
    for name in ("RECORDINGS", "LABELS", "ADBREAK_NIGHT", "NAME", "MAKEFLAGS"):
        environment.pop(name, None)
    night = subprocess.run(["make", "run"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if night.returncode:
        sys.exit(f"the night failed with exit code {night.returncode}:\n{night.stdout[-3000:]}\n{night.stderr[-3000:]}")
    return night.stdout


def seconds_of(printed: str) -> int:
    """Return how long a night took, by its own summary."""
    minutes, seconds, _ = TOTAL.search(printed).groups()  # type: ignore[union-attr]
    return int(minutes) * 60 + int(seconds)


def main() -> int:
    """Run both nights, print their summaries and the figures beside their bars."""
    figures: list[tuple[str, float, str, float, bool]] = []
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        for name, bar in BARS.items():
            printed = run_night(state)
            print(printed[printed.index("Adbreak: the night") - 60 :])
            took, memory = seconds_of(printed), float(MEMORY.search(printed).group(1))  # type: ignore[union-attr]
            figures.append((f"{name} (s)", took, "<", bar, took < bar))
            figures.append((f"{name} memory (GB)", memory, "<", MEMORY_BAR, memory < MEMORY_BAR))
            retraining = json.loads((state / "last_night.json").read_text())["retraining"]
            figures += quality(name, retraining["parity_and_size"][0])
    width = max(len(name) for name, *_ in figures)
    for name, value, sign, bar, kept in figures:
        print(f"{name:<{width}}  {value:>12g} {sign} {bar:<10g} {'kept' if kept else 'MISSED'}")
    print("; ".join(f"{name} {value:g} {sign} {bar:g}" for name, value, sign, bar, _ in figures))
    return 0 if all(kept for *_, kept in figures) else 1


def quality(name: str, report: dict) -> list[tuple[str, float, str, float, bool]]:
    """Return the gates' figures of one int8 file."""
    figures = []
    for metric, bar in (("precision", 0.95), ("recall", 0.90), ("f1", 0.92)):
        value = round(report["int8"][metric]["value"], 4)
        figures.append((f"{name} int8 {metric}", value, ">", bar, value > bar))
    loss = round(report["f1_loss"]["value"], 4)
    figures.append((f"{name} F1 lost by int8", loss, "<=", 0.007, loss <= 0.007))
    figures.append((f"{name} bytes", report["size_bytes"], "<", 5_000_000, report["size_bytes"] < 5_000_000))
    return figures


if __name__ == "__main__":
    raise SystemExit(main())
