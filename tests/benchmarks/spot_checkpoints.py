"""What a checkpoint costs a training: base_model's whole state, stored in a bucket, beside the interval between two."""

import time
from statistics import median

import numpy as np
from figures import Figure
from ml_training.config.loading import load_config
from ml_training.models.architectures import build, parts_of
from ml_training.training.checkpoints import CheckpointStore, TrainingState

TIMES = 5
BAR = 0.03


def measure() -> list[Figure]:
    """Store the state a few times; return the share of a training that this takes."""
    config = load_config("base_model")
    weights = [array for part in parts_of(build(config.model)).values() for array in part.get_weights()]
    moments = [np.random.default_rng(1).normal(size=array.shape).astype(np.float32) for array in weights * 2]
    state = TrainingState(1, 5, 0.5, 160.0, 1, 0.7, False, weights, moments, weights, [], weights)
    store, took = CheckpointStore("s3://adbreak/checkpoints/base.npz"), []
    for _ in range(TIMES):
        started = time.monotonic()
        store.save(state)
        took.append(time.monotonic() - started)
    size = sum(array.nbytes for group in (weights, moments, weights, weights) for array in group) / 1e6
    interval = config.training.checkpoint_seconds
    print(f"a checkpoint of base_model, {size:.0f} MB: median {median(took):.2f} s, one in {interval:g} s")
    return [Figure("share of training that checkpoints take", round(median(took) / interval, 4), "<=", BAR)]
