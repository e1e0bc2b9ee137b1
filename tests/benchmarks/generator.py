"""How hard are the generated broadcasts: speed, single cues, shortcuts, a model beside them, what each cue is worth.

    make bench NAME=generator

Generates 20 recordings of 3.5 minutes on ten channels, trains the base model on them by the package's own commands, and
judges it on channels held out. The same channels are then made again without logos (swapped), separators or loudness,
and judged by the same model at the same threshold, second by second. About 25 minutes on two cores;
``ADBREAK_BENCH_RECORDINGS=40`` makes it larger.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from ml_training.data.synthetic.ablation import ABLATIONS
from ml_training.data.synthetic.contact_sheet import label_at
from ml_training.data.synthetic.deep_audit import MARGIN
from ml_training.utils.records import SCORED_LABELS
from package_commands import command

RECORDINGS = int(os.environ.get("ADBREAK_BENCH_RECORDINGS", "20"))
MINUTES = float(os.environ.get("ADBREAK_BENCH_MINUTES", "3.5"))
CHANNELS = 10
SPEED_BAR, AUC_BAR, AD_SHARES = 10.0, 0.85, (0.15, 0.30)
Figure = tuple[str, float, str, float]


def generated(folder: Path, *options: object) -> dict[str, Any]:
    """Generate the recordings of the benchmark, or part of them."""
    sizes = ("--recordings", RECORDINGS, "--minutes", MINUTES, "--channels", CHANNELS)
    return command("data.synthetic", "generate", "--output-dir", folder, *sizes, *options)


def with_frames(folder: Path) -> Path:
    """Extract frames of the recordings in a folder into the same folder."""
    command("data.collectors", "extract", "--video-source", folder / "recordings", "--output-dir", folder / "frames")
    return folder


def trained(folder: Path) -> dict[str, Any]:
    """Train and judge the base model; return model, threshold, figures and the channels held out for the test."""
    labels = folder / "labels.json"
    command("data.labels", "import", "--labels", labels, "--data-dir", folder, "--source", "generator")
    work = {"ADBREAK_WORK_DIR": str(folder / "work"), "MLFLOW_TRACKING_URI": ""}
    model = command("training.train", "--config", "base_model", "--data-dir", folder, **work)["model_uri"]
    judged = command("training.evaluate", "--model", model, "--data-dir", folder, **work)
    splits = {path.stem: json.loads(path.read_text())["split"] for path in (folder / "splits/channels").glob("*.json")}
    return {**judged, "model": model, "held_out": sorted(name for name, split in splits.items() if split == "test")}


def f1_on(folder: Path, model: dict[str, Any]) -> float:
    """Return the model's F1 over all scored seconds of the channels held out, as they are in ``folder``."""
    labels = json.loads((folder / "labels.json").read_text())
    names = [name for name in labels if name.split("_")[0] in model["held_out"]]
    out = folder / "scores"
    command(
        "training.predict", "--model", model["model"], "--data-dir", folder, "--output", out, "--recordings", *names
    )
    right = said = wanted = 0
    for name in names:
        table = pq.read_table(out / f"{name}.parquet").to_pydict()
        for seconds, score in zip(table["pts_seconds"], table["score"], strict=True):
            label = label_at(labels[name], seconds)
            if label in SCORED_LABELS:
                called, is_ad = score >= model["threshold"], label == "ad"
                right, said, wanted = right + (called and is_ad), said + called, wanted + is_ad
    return 2 * right / max(said + wanted, 1)


def main() -> int:
    """Measure, print a table and, as the last line, the figures beside their bars."""
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain"
        made = generated(plain)
        print(f"{RECORDINGS} recordings, {made['hours']:.2f} hours, {CHANNELS} channels, two workers")
        model = trained(with_frames(plain))
        f1 = model["f1"]
        print(f"model: F1 {f1['value']:.3f} ({f1['low']:.3f} to {f1['high']:.3f}) on {model['frames']} frames of "
              f"{', '.join(model['held_out'])}, unseen creatives")  # fmt: skip
        audit = command("data.synthetic", "audit", "--recordings-dir", plain, "--deep", "--bound", 1.0)
        for name, value in sorted(audit["auc"].items(), key=lambda entry: -entry[1]):
            print(f"  {name:<20} AUC {value:.3f}")
        deep = audit["deep"]
        whole = f1_on(plain, model)
        print(f"held-out channels, all creatives: F1 {whole:.3f}")
        for name in ABLATIONS:
            folder = Path(temporary) / name
            generated(folder, "--ablate", name, "--only", *model["held_out"])
            without = f1_on(with_frames(folder), model)
            print(f"  {name:<20} F1 {without:.3f}, lost {whole - without:+.3f}")
    return judged(made, audit, deep, f1["value"])


def judged(made: dict[str, Any], audit: dict[str, Any], deep: dict[str, Any], f1: float) -> int:
    """Print each figure beside its bar; return 1 when one falls short."""
    figures: list[Figure] = [
        ("times real time", made["times_real_time"], ">=", SPEED_BAR),
        ("ad share", made["ad_share"], ">=", AD_SHARES[0]),
        ("ad share", made["ad_share"], "<=", AD_SHARES[1]),
        ("largest single-cue AUC", max(audit["auc"].values()), "<=", AUC_BAR),
        ("F1 of trees on all cues", deep["trees_f1"], "<=", round(f1 - MARGIN, 3)),
        ("F1 of high-pass patches", deep["patches_f1"], "<=", round(f1 - MARGIN, 3)),
    ]
    kept = [value >= bar if sign == ">=" else value <= bar for _, value, sign, bar in figures]
    for (name, value, sign, bar), fine in zip(figures, kept, strict=True):
        print(f"{name:<26} {value:>8g} {sign} {bar:<8g} {'kept' if fine else 'MISSED'}")
    print("; ".join(f"{name} {value:g} {sign} {bar:g}" for name, value, sign, bar in figures))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
