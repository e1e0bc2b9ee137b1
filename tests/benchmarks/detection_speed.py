"""How fast ad breaks are found in a recording of ordinary length, beside tools that do not learn, on the same cores.

    DETECTOR=DIR make bench NAME=detection_speed         # DIR: what detection.train left; without it one is trained

Short files tell little: much of their time is beginning. One generated recording (twenty minutes, ``SCALE=full``: an
hour) is judged by every tool in turn, three times; the ratio is that of the medians. Models are loaded before the
clock starts, as they are for the second of many recordings.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from detection_models import train_detector, train_frames, train_multimodal
from detection_steps import Steps
from detection_world import TINY, World
from ml_training.data.synthetic.generate import recordings_below
from ml_training.data.workers import available_cores
from ml_training.detection.baselines import black_silence, comskip
from ml_training.detection.detect import detect
from ml_training.detection.judging import Judge
from ml_training.utils.errors import UsageError

MINUTES = 60 if os.environ.get("SCALE") == "full" else 20
ROUNDS = 3
BAR = 1.0
QUICK = {"training.head": {"epochs": 1}, "training.augmented_copies": 1}  # speed is not a matter of weights


def find_detector(steps: Steps) -> Path:
    """Return the detector that ``DETECTOR`` names, else one that is trained for the occasion."""
    if given := os.environ.get("DETECTOR"):
        return Path(given)
    world = World(steps.folder / "world", steps, TINY)
    world.build()
    return train_detector(world, train_multimodal(world, train_frames(world, "base_model", **QUICK)))


def make_recording(steps: Steps) -> Path:
    """Generate the recording that all judge."""
    sizes = ("--recordings", 1, "--channels", 1, "--minutes", MINUTES)
    steps.command("data.synthetic", "generate", "--output-dir", steps.folder / "long", "--seed", 33, *sizes)
    (path,) = recordings_below(steps.folder / "long" / "recordings")
    return Path(path)


def seconds_of(work: Callable[[Path], object], path: Path) -> float | None:
    """Return how long a tool takes; None, said aloud, where it is not on the PATH."""
    started = time.monotonic()
    try:
        work(path)
    except UsageError as missing:
        print(f"SKIPPED: {missing.message}")
        return None
    return time.monotonic() - started


def main() -> int:
    """Measure, print a table and, as the last line, the figures beside their bars."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="bench-speed-") as temporary:
        steps = Steps(Path(temporary))
        detector, path = find_detector(steps), make_recording(steps)
        judge = Judge.open(str(detector))
        tools: dict[str, Callable[[Path], object]] = {
            "detection": lambda file: detect([str(file)], judge),
            "black and silence": black_silence.detect,
            "comskip": comskip.detect,
        }
        rounds = []
        for number in range(ROUNDS):
            rounds.append({name: seconds_of(tool, path) for name, tool in tools.items()})
            print(
                f"round {number + 1}: " + ", ".join(f"{name} {took:.1f} s" for name, took in rounds[-1].items() if took)
            )
    took = {name: [one[name] for one in rounds if one[name] is not None] for name in tools}
    print(f"{path.stem}, {MINUTES} minutes, {available_cores()} cores")
    for name, each in took.items():
        if each:
            listed = ", ".join(f"{seconds:.1f}" for seconds in each)
            print(f"{name:<20} {listed} s; median {60 * MINUTES / median(each):.0f} times real time")
    ours = median(took.pop("detection"))
    figures = {f"speed beside {name}": median(each) / ours for name, each in took.items() if each}
    print("; ".join(f"{name} {value:.2f} >= {BAR:g}" for name, value in figures.items()))
    return 0 if all(value >= BAR for value in figures.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
