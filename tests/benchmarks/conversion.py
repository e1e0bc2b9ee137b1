"""What conversion costs every family: F1 lost by int8, sizes, and whether all operators are int8.

    make bench NAME=conversion

Trains base_model, base_small (which learns from it), temporal and multimodal by the package's commands, converts each
as the night does, and judges the files on channels held out, beside their float parents on the same frames. About forty
minutes on two cores. ``ADBREAK_BENCH_DATA`` names a folder with a dataset version to use instead of making one; it is
copied by links and not changed. ``SCALE=full`` makes more recordings; ``PARTS=base,small`` does a part of the families.

The loss of F1 is paired, its interval drawn over recordings. Where the interval is wider than the bar it is not
measured: that is said, and counts neither as kept nor as missed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

RECORDINGS, MINUTES, CHANNELS = (120, 2.5, 30) if os.environ.get("SCALE") == "full" else (40, 2, 20)
FAMILIES = {"base": "base_model", "small": "base_small", "temporal": "temporal", "multimodal": "multimodal"}
PARTS = os.environ.get("PARTS", ",".join(FAMILIES)).split(",")
LOSS_BAR, BASE_BYTES, SMALL_BYTES, SMALL_COMPRESSED = 0.007, 5_000_000, 1_400_000, 1_250_000
ABOUT = 1.05  # "about 1.25 MB": within 5 %


class Figure(NamedTuple):
    """A figure beside its bar; not measured where its interval is too wide."""

    name: str
    value: float
    bar: float
    measured: bool = True

    @property
    def verdict(self) -> str:
        """Return ``kept``, ``MISSED`` or ``not measured``: every bar here is an upper one."""
        if not self.measured:
            return "not measured"
        return "kept" if self.value <= self.bar else "MISSED"


def command(module: str, *arguments: object) -> dict[str, Any]:
    """Run a command of the package; return its result. Ends the benchmark when it fails."""
    words = [sys.executable, "-m", f"ml_training.{module}", "--json", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words[2:])} failed with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def make_data(root: Path) -> str:
    """Make recordings and a dataset version, or take those that ``ADBREAK_BENCH_DATA`` names; return its id."""
    given = os.environ.get("ADBREAK_BENCH_DATA")
    if given:
        subprocess.run(["cp", "-rl", given, str(root)], check=True)
        return sorted(path.name for path in (root / "datasets").iterdir())[0]
    sizes = ("--recordings", RECORDINGS, "--minutes", MINUTES, "--channels", CHANNELS)
    command("data.synthetic", "generate", "--output-dir", root, *sizes)
    command("data.collectors", "extract", "--video-source", root / "recordings", "--output-dir", root / "frames")
    command("data.labels", "import", "--labels", root / "labels.json", "--data-dir", root, "--source", "generator")
    command("data.creatives", "update", "--data-dir", root)
    return str(command("data.dataset", "build", "--data-dir", root, "--config", "base_model")["dataset_id"])


def judged(name: str, root: Path, dataset_id: str) -> dict[str, Any]:
    """Train, convert and judge one family; a training that was done before is found again."""
    started = time.monotonic()
    runs = ("--data-dir", root, "--dataset", dataset_id, "--output-dir", root / "training")
    trained = command("training.train", "--config", FAMILIES[name], *runs)
    int8 = Path(trained["run_uri"]) / "int8"
    convert = ("--model", trained["model_uri"], "--output", int8, "--data-dir", root)
    model = command("conversion.to_tflite", *convert)["model_uri"]
    report = command("conversion.test_tflite", "--model", model, "--data-dir", root)
    loss, f1 = report["f1_loss"], report["float"]["f1"]["value"]
    print(
        f"{name:<11}{f1:>9.4f}{report['int8']['f1']['value']:>9.4f}{loss['value']:>10.4f} {spanned(loss):<20}"
        f"{report['score_difference']['mean']:>9.4f}{report['score_difference']['p95']:>9.4f}"
        f"{report['size_bytes']:>11,}{report['compressed_bytes']:>12,}{len(report['float_operators']):>6}"
        f"{time.monotonic() - started:>8.0f}",
        flush=True,
    )
    return report


def spanned(interval: dict[str, Any]) -> str:
    """Return an interval as text."""
    return "none" if interval["low"] is None else f"({interval['low']:+.4f} to {interval['high']:+.4f})"


def figures_of(name: str, report: dict[str, Any]) -> list[Figure]:
    """Return what a family must show."""
    loss = report["f1_loss"]
    narrow = loss["low"] is not None and loss["high"] - loss["low"] <= LOSS_BAR
    found = [
        Figure(f"{name}: F1 lost by int8", round(loss["value"], 4), LOSS_BAR, narrow),
        Figure(f"{name}: operators that are not int8", len(report["float_operators"]), 0),
        Figure(f"{name}: files that differ from their manifest", len(report["metadata_differences"]), 0),
    ]
    if name == "base":
        found.append(Figure("base: bytes", report["size_bytes"], BASE_BYTES - 1))
    if name == "small":
        found.append(Figure("small: bytes", report["size_bytes"], SMALL_BYTES))
        found.append(Figure("small: compressed bytes", report["compressed_bytes"], SMALL_COMPRESSED * ABOUT))
    return found


def main() -> int:
    """Measure, print a table and, as the last line, the figures beside their bars."""
    started, figures = time.monotonic(), []
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"ADBREAK_WORK_DIR": str(Path(temporary) / "work"), "MLFLOW_TRACKING_URI": ""}
        root = Path(temporary) / "data"
        dataset_id = make_data(root)
        print(f"dataset {dataset_id}, made in {time.monotonic() - started:.0f} s")
        print(
            f"{'family':<11}{'float F1':>9}{'int8 F1':>9}{'lost':>10} {'interval':<20}{'mean':>9}{'95 %':>9}"
            f"{'bytes':>11}{'compressed':>12}{'float':>6}{'seconds':>8}",
            flush=True,
        )
        for name in FAMILIES:
            if name in PARTS:
                figures += figures_of(name, judged(name, root, dataset_id))
    for figure in figures:
        print(f"{figure.name:<46} {figure.value:>10g} <= {figure.bar:<10g} {figure.verdict}")
    print("; ".join(f"{figure.name} {figure.value:g} <= {figure.bar:g} {figure.verdict}" for figure in figures))
    return 1 if any(figure.verdict == "MISSED" for figure in figures) else 0


if __name__ == "__main__":
    raise SystemExit(main())
