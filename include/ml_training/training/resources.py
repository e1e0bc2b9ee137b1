"""What a training uses: processor, memory and GPU, sampled while it lasts; and how much memory there is.

with watch_resources() as watch:
    ...
watch.summary()       # {"cpu_percent": 187.0, "memory_peak_bytes": 1830000000, "gpu_percent": None, ...}
require_memory(model, batch_size=4096)        # raises TooLittleMemory before the machine swaps or dies
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from ml_training.utils.errors import TooLittleMemory
from ml_training.utils.gpus import Gpu, read_gpus

logger = logging.getLogger(__name__)

SAMPLE_SECONDS = 2.0
CGROUP = Path("/sys/fs/cgroup")
FLOAT_BYTES = 4
KEPT_SHARE = 0.9  # of what is free: the rest is for the pipeline and everybody else
COPIES_OF_WEIGHTS = 6  # weights, gradients, two moments, moving average, a checkpoint on its way


class Watch:
    """Samples of what this process and the GPUs did."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpu: list[float] = []
        self._memory: list[int] = []
        self._gpus: list[Gpu] = []
        self._process.cpu_percent()

    def sample(self) -> None:
        """Take one sample."""
        self._cpu.append(self._process.cpu_percent())
        self._memory.append(self._process.memory_info().rss)
        gpu = read_gpus()
        if gpu:
            self._gpus.append(gpu)

    def summary(self) -> dict[str, float | int | None]:
        """Return the mean load (100: one core, one GPU) and the peak of memory; None where there is no GPU."""
        return {
            "cpu_percent": round(sum(self._cpu) / max(1, len(self._cpu)), 1),
            "memory_peak_bytes": max(self._memory, default=0),
            "gpu_percent": round(sum(g.percent for g in self._gpus) / len(self._gpus), 1) if self._gpus else None,
            "gpu_memory_peak_bytes": max((g.used_bytes for g in self._gpus), default=None),
        }


@contextmanager
def watch_resources(seconds: float = SAMPLE_SECONDS) -> Iterator[Watch]:
    """Sample every ``seconds`` while the block runs."""
    watch, ended = Watch(), threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            watch.sample()

    thread = threading.Thread(target=run, name="resources", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
        watch.sample()


def free_memory() -> int:
    """Return the bytes that this process may still take: of the machine, and of its control group."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return free
    return min(free, limit - used)


def needed_memory(model: Any, batch_size: int) -> int:
    """Estimate the bytes that a training step takes: what each learning layer keeps of a batch, and the weights.

    Backpropagation keeps the output of every layer and its gradient; below the first layer that learns, nothing.
    """
    learning = [number for number, layer in enumerate(model.layers) if layer.trainable_weights]
    first = learning[0] if learning else len(model.layers)
    outputs = sum(_values(layer.output_shape) for layer in model.layers[first:])
    weights = sum(_values((1, *weight.shape)) for weight in model.weights)
    return FLOAT_BYTES * (2 * outputs * batch_size + COPIES_OF_WEIGHTS * weights)


def require_memory(model: Any, batch_size: int, *, free: int | None = None) -> None:
    """Raise TooLittleMemory when a training step with ``batch_size`` examples would not fit.

    ``free`` is in bytes, by default what the GPU or the machine has left.
    """
    if free is None:
        gpu = read_gpus()
        free = gpu.total_bytes if gpu else free_memory()
    needed, alone = needed_memory(model, batch_size), needed_memory(model, 0)
    allowed = int(free * KEPT_SHARE)
    if needed <= allowed:
        return
    a_sample = max(1, (needed - alone) // batch_size)
    fits = (allowed - alone) // a_sample
    advice = f"take a batch_size of at most {fits}" if fits >= 1 else "take a smaller network or another machine"
    raise TooLittleMemory(
        f"a batch of {batch_size} needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: {advice}",
        needed_bytes=needed,
        free_bytes=free,
    )


def _values(shape: Any) -> int:
    """Return the numbers in a shape [N, ...] for one example; of several outputs, of all."""
    if isinstance(shape, (list, dict)):
        parts = shape.values() if isinstance(shape, dict) else shape
        return sum(_values(part) for part in parts)
    count = 1
    for side in shape[1:]:
        count *= int(side or 1)
    return count
