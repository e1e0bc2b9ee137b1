"""A training with TensorFlow on two simulated machines, one of which EC2 takes back, beside an undisturbed one.

Both learn a tiny MobileNetV2 end to end by ``MultiWorkerMirroredStrategy``. What was learned has to be the same, bit
for bit; the moving averages of batch norms, which TensorFlow averages over the machines when they are stored, as
rounded.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from colour_dataset import DATASET, TINY_MODEL, make_dataset
from figures import Figure
from local_stack.ec2.remote import RemoteEc2, simulated_ec2
from ml_training.cloud import storage
from ml_training.cloud.jobs import Job
from ml_training.cloud.members import member
from ml_training.inference.scorer import load_keras

WAIT_SECONDS = 1200
BEGUN = "end_to_end: first batch"
TINY = {
    "model_type": "base",
    "variant": "tiny",
    "model": TINY_MODEL,
    "training": {
        "mode": "end_to_end",
        "freeze_layers": 140,  # what learns has further variables, about each of which the machines talk first
        "checkpoint_seconds": 3600,
        "end_to_end": {"epochs": 3, "batch_size": 4, "learning_rate": 1e-3},
    },
}
SETTINGS = {"heartbeat_seconds": 0.5, "silent_minutes": 5.0, "boot_minutes": 10.0}


def measure(folder: Path) -> list[Figure]:
    """Train twice, and compare."""
    make_dataset(folder / "data")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    with simulated_ec2(folder / "ec2", settings=SETTINGS) as ec2:
        environment = {**os.environ, **ec2.environment}
        storage._client.cache_clear()
        with ThreadPoolExecutor() as aside:
            disturbed = Job(str(folder / "disturbed" / "training" / "jobs" / "disturbed"))
            taken = aside.submit(take_the_second_away, ec2, disturbed)
            resumed = train(folder, "disturbed", disturbed, environment)
            taken.result()
        whole = train(folder, "whole", Job(str(folder / "whole" / "training" / "jobs" / "whole")), environment)
    cost = resumed["cost"]
    print(f"on two machines, one taken back: {cost['machines']} machines, {cost['interruptions']} interruption")
    return [
        Figure("interruptions of a training on two machines", cost["interruptions"], ">=", 1),
        Figure("learned weights other than undisturbed, on two machines", others(resumed, whole), "<=", 0),
    ]


def train(folder: Path, name: str, job: Job, environment: dict[str, str]) -> dict[str, Any]:
    """Run a training on two machines; returns its result."""
    options = {
        "config": str(folder / "tiny.yaml"),
        "data_dir": str(folder / "data"),
        "dataset": DATASET,
        "output_dir": str(folder / name / "runs"),
    }
    words = [sys.executable, "-m", "ml_training.cloud.spot", "run", "--json", "--data-dir", str(folder / name)]
    words += ["--job", job.uri, "--machines", "2", "--options", json.dumps(options)]
    started = time.monotonic()
    with (folder / f"{name}.log").open("w") as log:
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    if done.returncode:
        sys.exit(f"the training {name} failed: {(folder / f'{name}.log').read_text()[-3000:]}")
    print(f"  {name}: {time.monotonic() - started:.0f} s", flush=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def take_the_second_away(ec2: RemoteEc2, job: Job) -> None:
    """Give a spot notice to the second machine as soon as both learn."""
    until = time.monotonic() + WAIT_SECONDS
    while BEGUN not in "".join(job.read_log(one.number)[0].decode() for one in job.attempts()):
        if time.monotonic() >= until:
            sys.exit("the training on two machines did not begin")
        time.sleep(0.2)
    launch = member(job, 1).launch(1)
    assert launch is not None
    ec2.notice(launch.instance_id)


def others(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Return how many of the weights differ."""
    pairs = zip(*(load_keras(Path(output["model_uri"])).weights for output in (one, other)), strict=True)
    return sum(not _same(first.name, first.numpy(), second.numpy()) for first, second in pairs)


def _same(name: str, one: Any, other: Any) -> bool:
    return np.allclose(one, other, 1e-4, 1e-8) if "moving_" in name else np.array_equal(one, other)
