"""Which machines and GPUs a training runs on, and how exactly they compute.

    strategy = make_strategy()                    # by the GPUs that are there, and by TF_CONFIG
    with strategy.scope():
        model = starting_model(config)
        learning = in_precision(model, precision())      # 'mixed_bfloat16' on a GPU that has it, None on a processor
    part = part_of_data()                         # Part(num_shards=2, number=0, is_chief=True)
    together = Together(strategy)                 # what all machines decide at the same step

Several GPUs of a machine learn together by ``MirroredStrategy``, several machines by ``MultiWorkerMirroredStrategy``:
start the same command on each with a ``TF_CONFIG`` that names all of them. The batch of the config is that of all
together. Only the first machine writes.

Whatever reads a variable that is averaged over machines (batch norms have some) is a talk of all machines: they have to
read at the same step, and what is written is a copy that belongs to one machine (``local_copy``).
"""

import functools
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from ml_training.config.settings import read_settings
from ml_training.utils.errors import CloudMisconfigured, ConfigError, UsageError
from ml_training.utils.gpus import read_gpus

logger = logging.getLogger(__name__)

CLUSTER_VARIABLE = "TF_CONFIG"  # TensorFlow's own
BFLOAT16_CAPABILITY = (8, 0)  # of an NVIDIA GPU: from there on bfloat16, which needs no scaling of the loss


class Part(NamedTuple):
    """What part of the data this machine reads, and whether it writes."""

    num_shards: int = 1
    number: int = 0
    is_chief: bool = True


def make_strategy() -> tf.distribute.Strategy:
    """Return the strategy for what is there. Call it before anything else of TensorFlow. Raises ConfigError."""
    if len(_workers(os.environ)) > 1:
        return _among_machines()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


@functools.cache
def _among_machines() -> tf.distribute.Strategy:
    logger.info("several machines: %s", ", ".join(_workers(os.environ)))
    on_sigterm = signal.getsignal(signal.SIGTERM)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    signal.signal(signal.SIGTERM, on_sigterm)  # TensorFlow has taken it for itself, and would not end
    return strategy


class Together:
    """What the machines of a training decide together; one alone decides by itself."""

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._strategy = strategy if several else None
        self.is_several = several

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether a machine has set it; all machines have to ask at the same step."""
        if self._strategy is None:
            return list(flags)
        return [bool(count) for count in self._sum(lambda context: [float(flag) for flag in flags])]

    def of_the_first(self, value: float) -> float:
        """Return the first machine's value on all of them."""
        if self._strategy is None:
            return value
        (found,) = self._sum(lambda context: [value if context.replica_id_in_sync_group == 0 else 0.0])
        return float(found)

    def _sum(self, values: Callable[[Any], list[float]]) -> list[float]:
        assert self._strategy is not None
        here = self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values(context), tf.float64)
        )
        return list(self._strategy.reduce(tf.distribute.ReduceOp.SUM, here, axis=None).numpy())


def local_copy(model: keras.Model) -> keras.Model:
    """Return a copy of a model that belongs to this machine alone; all machines have to ask for it at the same step."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def require_gpus() -> None:
    """Raise CloudMisconfigured where TensorFlow sees no GPU though the machine has some and was taken for them.

    It would train on the processor without a word, and cost as much for each hour.
    """
    wanted = read_settings().gpus
    if wanted and read_gpus() is not None and not tf.config.list_physical_devices("GPU"):
        raise CloudMisconfigured(
            f"the machine was taken for {wanted} GPU(s), and TensorFlow sees none of them: its CUDA libraries do not "
            "fit the image's driver; take an image with a newer driver, or a trainer image"
        )


def part_of_data(environment: Mapping[str, str] | None = None) -> Part:
    """Return this machine's part, as ``TF_CONFIG`` says. Raises ConfigError when that is wrong."""
    source = os.environ if environment is None else environment
    workers = _workers(source)
    if len(workers) <= 1:
        return Part()
    task = json.loads(source[CLUSTER_VARIABLE]).get("task", {})
    index = task.get("index")
    if task.get("type", "worker") != "worker" or not isinstance(index, int) or not 0 <= index < len(workers):
        raise ConfigError(
            f'{CLUSTER_VARIABLE} must name this machine as {{"task": {{"type": "worker", "index": I}}}} with I of 0 to '
            f"{len(workers) - 1}, received {task}"
        )
    return Part(len(workers), index, index == 0)


def replica_batch(batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """Return the examples of a batch for each GPU. Raises UsageError when they cannot be shared out."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UsageError(f"a batch of {batch_size} cannot be shared by {replicas} replicas: take a multiple of them")
    return batch_size // replicas


def precision(*, wanted: bool = True) -> str | None:
    """Return the policy of mixed precision for this machine's GPU; None on a processor, or when it is not wanted."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus or not wanted:
        return None
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return "mixed_bfloat16" if tuple(capability) >= BFLOAT16_CAPABILITY else "mixed_float16"


def in_precision(model: keras.Model, policy: str | None) -> keras.Model:
    """Return a copy of a flat model that computes by ``policy``, all but its last layer; None: the model itself.

    Its weights are float32 as before: ``model.set_weights(copy.get_weights())`` brings back what it learned.
    """
    if policy is None:
        return model
    last = set(model.output_names)

    def copied(layer: Any) -> Any:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer) and layer.name not in last:
            config["dtype"] = policy
        clone = layer.__class__.from_config(config)
        clone.trainable = layer.trainable
        return clone

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _workers(environment: Mapping[str, str]) -> list[str]:
    text = environment.get(CLUSTER_VARIABLE)
    if not text:
        return []
    try:
        return list(json.loads(text)["cluster"].get("worker", []))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(
            f'{CLUSTER_VARIABLE} must be JSON such as {{"cluster": {{"worker": ["host:port", ...]}}, "task": ...}}'
        ) from error
