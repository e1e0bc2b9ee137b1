"""Layers that the single-frame networks share, and how they are named.

    x = convolution(inputs, scaled(32, width), 3, "stem", stride=2)
    x = inverted_residual(x, stage, block_name(2, 0), width=width, stride=2)
    model = classifier(inputs, x, section, "mobilenet_v2")

Every network is one flat functional graph, since quantization-aware training refuses nested models. The names say where
a layer stands: ``stem_conv``, ``block6a_expand_conv`` (stage 6, first block), ``pool``, ``dense``; ``models.stages``
finds its boundaries by them.
"""

from typing import Any, NamedTuple

import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection
from ml_training.inference.embedding import EMBEDDING_LAYER

keras.backend.experimental.enable_tf_random_generator()  # a seed gives the same weights whatever was imported before

BATCH_NORM_EPSILON = 1e-3
CHANNEL_STEP = 8  # channels come in multiples of this, as int8 kernels like them


class Stage(NamedTuple):
    """A row of equal inverted-residual blocks; only the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


def block_name(stage: int, repeat: int) -> str:
    """Return the name of a block, such as ``block6a`` (stages count from 1)."""
    return f"block{stage}{'abcdef'[repeat]}"


def scaled(filters: int, width: float) -> int:
    """Return ``filters * width`` as a multiple of 8 that is at most 10 % smaller (MobileNetV2's rule)."""
    wanted = filters * width
    rounded = max(CHANNEL_STEP, int(wanted + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return rounded + CHANNEL_STEP if rounded < 0.9 * wanted else rounded


def picture_input(section: ModelSection) -> Any:
    """Return the input of a single-frame network: float32 [S, S, 3] as ``inference.scorer.scale`` gives it."""
    return layers.Input((section.input_size, section.input_size, 3), name="image")


def convolution(
    x: Any,
    filters: int,
    kernel: int,
    name: str,
    *,
    stride: int = 1,
    activation: bool = True,
    ceiling: float | None = 6.0,
) -> Any:
    """Apply convolution, batch norm and, with ``activation``, a ReLU that ends at ``ceiling``."""
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(ceiling, name=f"{name}_relu")(x) if activation else x


def inverted_residual(x: Any, stage: Stage, name: str, *, width: float, stride: int) -> Any:
    """Apply expansion, depthwise convolution and projection, with a shortcut where the shape stays."""
    inputs, channels, filters = x, x.shape[-1], scaled(stage.filters, width)
    if stage.expand > 1:
        x = convolution(x, channels * stage.expand, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_depthwise_bn")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = convolution(x, filters, 1, f"{name}_project", activation=False)
    if stride == 1 and channels == filters:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def inverted_residual_stages(x: Any, stages: tuple[Stage, ...], *, width: float) -> Any:
    """Apply every block of every stage."""
    for number, stage in enumerate(stages, start=1):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = inverted_residual(x, stage, block_name(number, repeat), width=width, stride=stride)
    return x


def classifier(inputs: Any, features: Any, section: ModelSection, name: str) -> keras.Model:
    """Put the head on a trunk: average pooling, Dense ReLU (the embedding), Dropout, one output or one a class."""
    x = layers.GlobalAveragePooling2D(name="pool")(features)
    x = layers.Dense(section.dense_units, activation="relu", name=EMBEDDING_LAYER)(x)
    x = layers.Dropout(section.dropout, name="dropout")(x)
    return keras.Model(inputs, class_output(x, section), name=name)


def class_output(x: Any, section: ModelSection) -> Any:
    """Return the last layer: the probability of an ad [N, 1] for two classes, those of all [N, C] for more."""
    if len(section.classes) == 2:
        return layers.Dense(1, activation="sigmoid", name="ad")(x)
    return layers.Dense(len(section.classes), activation="softmax", name="classes")(x)
