"""Learns the sequence model: which columns, over two minutes, tell ads from programme.

    examples = [Example(variants, targets, "channel-01"), ...]       # a recording each
    member = learn(examples, *statistics(examples), schedule=Schedule(epochs=120), seed=1)

A recording comes in variants (with all of the archive, with a part of it). In each pass a random stretch of each is
taken, and whole groups of columns are taken away by chance: so the model relies on no single one of them, and knows
what to do without sound, without an archive, without pictures. In some passes the breaks themselves are cut out: what
lies around them, trailers and title sequences, is no break where there are no ads.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_training.detection.features import COLUMNS, GROUPS, WIDTH, Floats, group_columns, group_flag
from ml_training.detection.sequence import DILATIONS, TAPS, UNITS, Member, standardise

logger = logging.getLogger(__name__)

DROP_SHARES = {  # of the passes in which a group is taken away
    "picture": 0.25,
    "sound": 0.15,
    "shots": 0.15,
    "separators": 0.3,
    "overlay": 0.35,
    "within": 0.4,
    "archive": 0.45,
}
NOISE = 0.15  # of standard deviation, added to every column that is there
SHIFT = 0.3  # of standard deviation, the same over a stretch: channels differ by such
CUT_SHARE = 0.3  # of the passes in which a recording is seen without its breaks


@dataclass(frozen=True)
class Targets:
    """What is to be learned of a recording, values and weights float32 [T]: an ad is on air; one begins or ends."""

    ads: Floats
    ad_weights: Floats
    edges: Floats
    edge_weights: Floats

    def stacked(self) -> Floats:
        """Return values and weights of the ads, float32 [T, 2]."""
        return np.stack([self.ads, self.ad_weights], axis=1)


@dataclass(frozen=True)
class Example:
    """A recording to learn from: its matrices [T, WIDTH], one of which each pass takes, and what holds of it."""

    variants: Sequence[Floats]
    targets: Targets
    channel: str


@dataclass(frozen=True)
class Schedule:
    """How long is learned, and from what pieces."""

    epochs: int = 120
    batch_size: int = 8
    stretch_seconds: int = 384
    learning_rate: float = 3e-3
    dropout: float = 0.2
    weight_decay: float = 1e-3


def statistics(examples: Sequence[Example]) -> tuple[Floats, Floats]:
    """Return mean and standard deviation [WIDTH] of the values that are there; flags are left as they are.

    Columns of repetition are not shifted: there zero means that nothing airs again.
    """
    rows = np.concatenate([example.variants[0] for example in examples])
    mean, scale = np.zeros(WIDTH, np.float32), np.ones(WIDTH, np.float32)
    for name in GROUPS:
        there = rows[rows[:, group_flag(name)] > 0][:, group_columns(name)]
        if len(there):
            scale[group_columns(name)] = np.maximum(there.std(axis=0), 1e-3)
            if name not in ("within", "archive"):
                mean[group_columns(name)] = there.mean(axis=0)
    return mean, scale


def learn(
    examples: Sequence[Example],
    mean: Floats,
    scale: Floats,
    *,
    schedule: Schedule = Schedule(),
    seed: int = 1,
) -> Member:
    """Learn one network. The same examples and seed give the same weights on the same machine."""
    import tensorflow as tf
    import tf_keras

    tf_keras.backend.experimental.enable_tf_random_generator()  # the same weights, whatever was imported before
    tf_keras.utils.set_random_seed(seed)
    model = network(schedule.dropout)
    optimizer = _optimizer(schedule, steps=schedule.epochs * -(-len(examples) // schedule.batch_size))

    def step(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            value = _loss(targets, model(inputs, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    step = tf.function(step, input_signature=[tf.TensorSpec((None, None, WIDTH)), tf.TensorSpec((None, None, 2))])
    prepared = [[standardise(rows, mean, scale) for rows in example.variants] for example in examples]
    stacked = [example.targets.stacked() for example in examples]
    rng = np.random.default_rng(seed)
    for epoch in range(schedule.epochs):
        order = rng.permutation(len(examples)).tolist()
        values = []
        for first in range(0, len(order), schedule.batch_size):
            chosen = order[first : first + schedule.batch_size]
            values.append(float(step(*_batch(prepared, stacked, chosen, rng, schedule.stretch_seconds))))
        if epoch % 20 == 19:
            logger.info("sequence model: epoch %d of %d, loss %.4f", epoch + 1, schedule.epochs, np.mean(values))
    return member_of(model)


def _optimizer(schedule: Schedule, steps: int) -> Any:
    import tf_keras

    rate = tf_keras.optimizers.schedules.CosineDecay(
        schedule.learning_rate / 10, steps, warmup_target=schedule.learning_rate, warmup_steps=max(1, steps // 10)
    )
    return tf_keras.optimizers.AdamW(rate, weight_decay=schedule.weight_decay, clipnorm=1.0)


def network(dropout: float) -> Any:
    """Return the network as tf_keras has it: [B, T, WIDTH] -> log odds [B, T, 1]."""
    import tf_keras
    from tf_keras import layers

    inputs = layers.Input((None, WIDTH))
    state = layers.Dense(UNITS, activation="relu", name="enter")(inputs)
    state = layers.SpatialDropout1D(dropout / 2)(state)
    for number, dilation in enumerate(DILATIONS):
        hidden = layers.Conv1D(
            UNITS, TAPS, dilation_rate=dilation, padding="same", activation="relu", name=f"taps{number}"
        )(state)
        hidden = layers.Dropout(dropout)(hidden)
        state = layers.Add()([state, layers.Dense(UNITS, name=f"mix{number}")(hidden)])
    outputs = layers.Dense(1, name="leave")(layers.ReLU()(state))
    return tf_keras.Model(inputs, outputs)


def member_of(model: Any) -> Member:
    """Return the weights of a network as the detector runs it."""

    def pair(name: str) -> tuple[Floats, Floats]:
        kernel, bias = model.get_layer(name).get_weights()
        return kernel, bias

    numbers = range(len(DILATIONS))
    return Member(pair("enter"), [pair(f"taps{n}") for n in numbers], [pair(f"mix{n}") for n in numbers], pair("leave"))


def _loss(targets: Any, outputs: Any) -> Any:
    """Return the cross entropy of outputs [B, T, 1] against values and weights [B, T, 2]."""
    import tensorflow as tf

    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets[..., 0], logits=outputs[..., 0])
    return tf.reduce_sum(entropy * targets[..., 1]) / tf.maximum(tf.reduce_sum(targets[..., 1]), 1.0)


def _batch(
    prepared: Sequence[Sequence[Floats]],
    stacked: Sequence[Floats],
    chosen: Sequence[int],
    rng: np.random.Generator,
    longest: int,
) -> tuple[Floats, Floats]:
    """Return inputs [B, T, WIDTH] and targets [B, T, 2] of random stretches; beyond a recording nothing weighs."""
    length = min(longest, max(len(stacked[number]) for number in chosen))
    inputs = np.zeros((len(chosen), length, WIDTH), np.float32)
    targets = np.zeros((len(chosen), length, 2), np.float32)
    for place, number in enumerate(chosen):
        rows, wanted = prepared[number][int(rng.integers(len(prepared[number])))], stacked[number]
        if rng.random() < CUT_SHARE:
            rows, wanted = without_breaks(rows, wanted)
        start = int(rng.integers(max(1, len(rows) - length + 1)))
        piece = rows[start : start + length]
        inputs[place, : len(piece)] = disturbed(piece, rng)
        targets[place, : len(piece)] = wanted[start : start + length]
    return inputs, targets


def without_breaks(rows: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Return rows [T, WIDTH] and targets [T, 2] without the seconds of ads; all, where there is nothing else."""
    kept = wanted[:, 0] < 0.5
    return (rows[kept], wanted[kept]) if kept.any() else (rows, wanted)


def disturbed(rows: Floats, rng: np.random.Generator) -> Floats:
    """Return standardised rows with noise, and without the groups that chance takes away."""
    changed = rows.copy()
    for name in GROUPS:
        columns, width = group_columns(name), len(COLUMNS[name])
        if rng.random() < DROP_SHARES[name]:
            changed[:, columns] = 0
            changed[:, group_flag(name)] = 0
        elif name not in ("within", "archive"):
            there = rows[:, group_flag(name)].any()
            noise = NOISE * rng.standard_normal((len(rows), width)) + SHIFT * rng.standard_normal(width)
            changed[:, columns] += (noise * there).astype(np.float32)
    return changed
