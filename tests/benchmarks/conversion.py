"""What conversion costs every family: F1 lost by int8, sizes, and whether all operators are int8.

    make bench NAME=conversion

Trains base_model, base_small (which learns from it), temporal and multimodal by the package's commands, converts each
as the night does, and judges the files on channels held out, beside their float parents on the same frames. About forty
minutes on two cores. ``ADBREAK_BENCH_DATA`` names a folder with a dataset version to use instead of making one; it is
copied by links and not changed. ``SCALE=full`` makes more recordings; ``PARTS=base,small`` does a part of the families.

The loss of F1 is paired, its interval drawn over recordings. Where the interval is wider than the bar it is not
measured: that is said, and counts neither as kept nor as missed.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, report
from package_commands import Version, command, make_dataset

RECORDINGS, MINUTES, CHANNELS = (120, 2.5, 30) if os.environ.get("SCALE") == "full" else (40, 2, 20)
FAMILIES = {"base": "base_model", "small": "base_small", "temporal": "temporal", "multimodal": "multimodal"}
PARTS = os.environ.get("PARTS", ",".join(FAMILIES)).split(",")
LOSS_BAR, BASE_BYTES, SMALL_BYTES, SMALL_COMPRESSED = 0.007, 5_000_000, 1_400_000, 1_250_000
ABOUT = 1.05  # "about 1.25 MB": within 5 %


def judged(name: str, version: Version) -> dict[str, Any]:
    """Train, convert and judge one family; a training that was done before is found again."""
    started = time.monotonic()
    root = version.root
    trained = command("training.train", "--config", FAMILIES[name], *version.options, "--output-dir", root / "training")
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
        Figure(f"{name}: F1 lost by int8", round(loss["value"], 4), "<=", LOSS_BAR, narrow),
        Figure(f"{name}: operators that are not int8", len(report["float_operators"]), "<=", 0),
        Figure(f"{name}: files that differ from their manifest", len(report["metadata_differences"]), "<=", 0),
    ]
    if name == "base":
        found.append(Figure("base: bytes", report["size_bytes"], "<=", BASE_BYTES - 1))
    if name == "small":
        found.append(Figure("small: bytes", report["size_bytes"], "<=", SMALL_BYTES))
        found.append(Figure("small: compressed bytes", report["compressed_bytes"], "<=", SMALL_COMPRESSED * ABOUT))
    return found


def main() -> int:
    """Measure, print a table and, as the last line, the figures beside their bars."""
    started, figures = time.monotonic(), []
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"ADBREAK_WORK_DIR": str(Path(temporary) / "work"), "MLFLOW_TRACKING_URI": ""}
        version = make_dataset(Path(temporary) / "data", recordings=RECORDINGS, minutes=MINUTES, channels=CHANNELS)
        print(f"dataset {version.dataset_id}, made in {time.monotonic() - started:.0f} s")
        print(
            f"{'family':<11}{'float F1':>9}{'int8 F1':>9}{'lost':>10} {'interval':<20}{'mean':>9}{'95 %':>9}"
            f"{'bytes':>11}{'compressed':>12}{'float':>6}{'seconds':>8}",
            flush=True,
        )
        for name in FAMILIES:
            if name in PARTS:
                figures += figures_of(name, judged(name, version))
    return report(figures)


if __name__ == "__main__":
    raise SystemExit(main())
