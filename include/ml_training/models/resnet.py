"""ResNet50: a large network, for servers and as a teacher of small ones; too large for the devices.

    model = build_classifier(ModelSection(architecture="resnet50", pretrained=None), weights=None)

He et al., arXiv:1512.03385, table 1, with the stride in the 3x3 convolution of a block ("version 1.5"), which scores
higher. No package that is known here carries its ImageNet weights: it learns from a trained EfficientNet-Lite0
(``training.teacher``).
"""

from typing import Any

import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection
from ml_training.models.blocks import block_name, classifier, convolution, picture_input, scaled
from ml_training.models.mobilenet import refuse_weights

STEM_FILTERS = 64
EXPANSION = 4  # of a block's last convolution
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))  # (blocks, filters) of stages 2 to 5


def build_classifier(section: ModelSection, *, weights: str | None) -> keras.Model:
    """Build the network for float32 [N, S, S, 3]; shapes and head as ``efficientnet.build_classifier``.

    Raises ModelError when weights are asked for.
    """
    refuse_weights("resnet50", weights)
    inputs = picture_input(section)
    x = convolution(inputs, scaled(STEM_FILTERS, section.width), 7, "stem", stride=2, ceiling=None)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for number, (blocks, filters) in enumerate(STAGES, start=2):
        for repeat in range(blocks):
            stride = 2 if repeat == 0 and number > 2 else 1
            x = _bottleneck(x, scaled(filters, section.width), block_name(number, repeat), stride=stride)
    return classifier(inputs, x, section, "resnet50")


def _bottleneck(x: Any, filters: int, name: str, *, stride: int) -> Any:
    shortcut = x
    if stride > 1 or x.shape[-1] != filters * EXPANSION:
        shortcut = convolution(x, filters * EXPANSION, 1, f"{name}_shortcut", stride=stride, activation=False)
    x = convolution(x, filters, 1, f"{name}_reduce", ceiling=None)
    x = convolution(x, filters, 3, f"{name}_spatial", stride=stride, ceiling=None)
    x = convolution(x, filters * EXPANSION, 1, f"{name}_restore", activation=False)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_relu")(x)
