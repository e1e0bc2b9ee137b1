"""What training costs and keeps: feeding beside the bare step, a small model beside the base, twenty kills.

    make bench NAME=training

Generated recordings are extracted, labelled and made a dataset version by the package's commands. Then, on them:

- MobileNetV2 of 96x96 learns end to end from the pipeline, in turn with the same step on one batch that lies in memory;
- base_small learns from base_model, and both are judged on channels held out;
- a small network is killed (kill -9) at twenty random moments and started again, beside one that nobody disturbs.

About half an hour on two cores. ``ADBREAK_BENCH_DATA`` names a folder with a dataset version to use instead of making
one; it is copied by links and not changed. ``SCALE=full`` makes more recordings, ``PARTS=feeding,kills`` does a part.
"""

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from figures import Figure, report
from package_commands import Version, command, make_dataset, words_of

RECORDINGS, MINUTES, CHANNELS = (40, 5, 20) if os.environ.get("SCALE") == "full" else (16, 3, 8)
PARTS = os.environ.get("PARTS", "feeding,small,kills").split(",")
FED_BAR, SMALL_BAR, KILLS = 0.95, 0.01, 20
SEGMENTS, SEGMENT_SECONDS = 15, 5.0
LIFE_SECONDS = (0.0, 6.0)  # of learning, before a kill
TINY = {
    "model_type": "base",
    "variant": "killed",
    "model": {"architecture": "mobilenet_v2", "pretrained": None, "width": 0.35, "input_size": 96},
    "training": {
        "mode": "end_to_end",
        "ema_decay": 0.99,
        "checkpoint_steps": 5,
        "end_to_end": {"epochs": 12, "batch_size": 16, "learning_rate": 1e-3},
    },
}


class Rate(NamedTuple):
    """What one stretch of learning did."""

    images_per_second: float
    cpu_ms: float  # of all threads, an image


def feeding(data: Version) -> Iterator[Figure]:
    """Measure images a second with the pipeline and without it, in turn, on the same learner."""
    from ml_training.config.loading import parse_config
    from ml_training.training.end_to_end import make_feed
    from ml_training.training.fitting import TrainingData, loop_options
    from ml_training.training.learner import Learner
    from ml_training.training.loop import learner_options
    from ml_training.training.samples import read_samples
    from ml_training.training.weights import starting_model

    content: Any = {**TINY, "model": {**TINY["model"], "width": 1.0}}  # type: ignore[dict-item]
    content["training"] = {**content["training"], "end_to_end": {"batch_size": 32, "epochs": 100}}
    config = parse_config(content, source="the benchmark")
    samples = read_samples(str(data.root), data.dataset_id, "train")
    feed = make_feed(config, TrainingData(str(data.root), data.dataset_id, samples, samples))
    options = loop_options(config, config.training.end_to_end, "bench")
    learner = Learner(starting_model(config), learner_options(options, feed.steps))
    batches = feed.iterate(0, 0, 1_000_000)
    batch = next(batches)

    def measured(fed: bool) -> Rate:
        count, started, cpu = 0, time.monotonic(), time.process_time()
        while time.monotonic() - started < SEGMENT_SECONDS:
            one = next(batches) if fed else batch
            learner.step(one.inputs, one.targets, one.weights)
            count += len(one.weights)
        return Rate(count / (time.monotonic() - started), 1000 * (time.process_time() - cpu) / count)

    measured(True)  # warm
    pairs = [(measured(False), measured(True)) for _ in range(SEGMENTS)]
    (bare, bare_cpu), (fed, fed_cpu) = np.median(np.array(pairs), axis=0)
    print(f"MobileNetV2 of 96x96, batches of 32: {fed:.0f} images a second with the pipeline, {bare:.0f} without; "
          f"{fed_cpu:.1f} and {bare_cpu:.1f} ms of processor an image")  # fmt: skip
    ratios = [with_pipeline.images_per_second / alone.images_per_second for alone, with_pipeline in pairs]
    print(f"  fed / bare of each pair: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    yield Figure("fed / bare throughput", round(float(np.median(ratios)), 3), ">=", FED_BAR)


def small(data: Version) -> Iterator[Figure]:
    """Train the base and the small model, judge both on the channels held out, and compare them."""
    runs = data.root / "training"
    where = (*data.options, "--output-dir", runs)
    base = command("training.train", "--config", "base_model", *where)
    told = {"training.teacher.model": base["model_uri"], "training.initial_model": base["model_uri"]}
    distilled = command("training.train", "--config", "base_small", *where, "--overrides", json.dumps(told))
    f1 = {}
    for name, run in (("base", base), ("small", distilled)):
        judged = command("training.evaluate", "--model", run["model_uri"], "--data-dir", data.root)
        f1[name] = judged["f1"]
        interval = f"{f1[name]['low']:.3f} to {f1[name]['high']:.3f}"
        size = Path(run["model_uri"]).stat().st_size / 1e6
        print(f"{name:<6} F1 {f1[name]['value']:.3f} ({interval}), float file {size:.1f} MB, {run['seconds']:.0f} s")
    yield Figure("F1 lost by the small model", round(f1["base"]["value"] - f1["small"]["value"], 4), "<=", SMALL_BAR)


def kills(data: Version) -> Iterator[Figure]:
    """Kill a training at random moments until it was killed often enough; compare what it ends with."""
    config = data.root / "killed.yaml"
    config.write_text(yaml.safe_dump(TINY))
    runs = {name: data.root / name for name in ("whole", "killed")}
    options = ("--config", config, *data.options)
    whole = command("training.train", *options, "--output-dir", runs["whole"])
    generator = random.Random(4)
    killed = sum(
        lived(words_of("training.train", *options, "--output-dir", runs["killed"]), generator.uniform(*LIFE_SECONDS))
        for _ in range(KILLS)
    )
    resumed = command("training.train", *options, "--output-dir", runs["killed"])
    same = same_weights(Path(whole["model_uri"]), Path(resumed["model_uri"]))
    print(f"{killed} kills; a last start ended with {'the same' if same else 'OTHER'} weights")
    yield Figure("kills", killed, ">=", KILLS)
    yield Figure("identical final weights", float(same), ">=", 1.0)


def lived(words: list[str], seconds: float) -> bool:
    """Start a training, let it learn for some seconds and kill it; tell whether it was still at work."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        begun = ""
        for line in process.stderr:
            begun = line if "begins" in line or "goes on" in line else begun
            if "first batch" in line and begun:
                break
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.stderr.read()
        print(f"  killed {seconds:.1f} s after its first batch; {begun.split('INFO')[-1].strip()}", flush=True)
    return process.returncode == -signal.SIGKILL


def same_weights(one: Path, other: Path) -> bool:
    """Tell whether two stored networks have the same weights, bit for bit."""
    from ml_training.inference.scorer import load_keras

    first, second = (load_keras(path).get_weights() for path in (one, other))
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def main() -> int:
    """Measure, print a table and, as the last line, the figures beside their bars."""
    started = time.monotonic()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"ADBREAK_WORK_DIR": str(Path(temporary) / "work"), "MLFLOW_TRACKING_URI": ""}
        data = make_dataset(Path(temporary) / "data", recordings=RECORDINGS, minutes=MINUTES, channels=CHANNELS)
        print(f"dataset {data.dataset_id}, made in {time.monotonic() - started:.0f} s", flush=True)
        for name, part in (("feeding", feeding), ("small", small), ("kills", kills)):
            if name in PARTS:
                figures += part(data)
                print(f"{name}: done after {time.monotonic() - started:.0f} s", flush=True)
    return report(figures)


if __name__ == "__main__":
    raise SystemExit(main())
