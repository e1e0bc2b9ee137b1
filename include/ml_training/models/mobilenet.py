"""MobileNetV2: a smaller and faster network than the EfficientNets, for small pictures and small boards.

    model = build_classifier(ModelSection(architecture="mobilenet_v2", width=0.35, input_size=96, pretrained=None),
                             weights=None)

Stages, widths and rounding are those of the paper (Sandler et al., arXiv:1801.04381, table 2); the 1x1 head never has
fewer than 1280 channels. No package that is known here carries its ImageNet weights: it learns from a trained
EfficientNet-Lite0 (``training.teacher``).
"""

import tf_keras as keras

from ml_training.config.schema import ModelSection
from ml_training.models.blocks import (
    Stage,
    classifier,
    convolution,
    inverted_residual_stages,
    picture_input,
    scaled,
)
from ml_training.utils.errors import ModelError

STEM_FILTERS = 32
HEAD_FILTERS = 1280

STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(3, 3, 2, 6, 32),
    Stage(4, 3, 2, 6, 64),
    Stage(3, 3, 1, 6, 96),
    Stage(3, 3, 2, 6, 160),
    Stage(1, 3, 1, 6, 320),
)


def build_classifier(section: ModelSection, *, weights: str | None) -> keras.Model:
    """Build the network for float32 [N, S, S, 3]; shapes and head as ``efficientnet.build_classifier``.

    Raises ModelError when weights are asked for.
    """
    refuse_weights("mobilenet_v2", weights)
    inputs = picture_input(section)
    x = convolution(inputs, scaled(STEM_FILTERS, section.width), 3, "stem", stride=2)
    x = inverted_residual_stages(x, STAGES, width=section.width)
    x = convolution(x, scaled(HEAD_FILTERS, max(1.0, section.width)), 1, "head")
    return classifier(inputs, x, section, "mobilenet_v2")


def refuse_weights(architecture: str, weights: str | None) -> None:
    """Raise ModelError when pretrained weights are asked of a network that has none."""
    if weights is not None:
        raise ModelError(
            f"there are no {weights} weights of {architecture}: set model.pretrained to null, and training.teacher to "
            "a trained model that it learns from"
        )
