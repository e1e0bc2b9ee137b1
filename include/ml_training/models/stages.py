"""Cuts a single-frame network where its stages begin, whichever network it is.

    stage_boundaries(model)                         # ['stem_conv', 'block2a_expand_conv', ..., 'block7a_expand_conv']
    lower, upper = split_at_stage(model, 6)         # upper(lower(x)) is model(x), weights shared
    freeze_below(model, 6)                          # only stage 6 and what follows learns

Training computes what lies below the first learning stage once. Stage 1 begins at the picture itself, so cutting there
leaves nothing below. The EfficientNets and MobileNetV2 have stages 1 to 7, ResNet50 has 1 to 5. Models that
quantization-aware training has wrapped are cut in the same way.
"""

import re
from typing import Any

import tf_keras as keras

from ml_training.inference.embedding import EMBEDDING_LAYER
from ml_training.utils.errors import ModelError

BOUNDARY = re.compile(r"(?:stem|block\da_(?:expand|reduce))_conv$")  # behind a prefix such as quant_


def stage_boundaries(model: keras.Model) -> list[str]:
    """Return the names of the first layer of each stage, stage 1 first."""
    found = [match.group() for layer in model.layers if (match := BOUNDARY.search(layer.name))]
    return sorted(found, key=lambda name: (not name.startswith("stem"), name))


def split_at_stage(model: keras.Model, stage: int) -> tuple[keras.Model, keras.Model]:
    """Cut a network before ``stage`` into two models that share its layers. Raises ModelError for no such stage."""
    boundary = _boundary(model, stage)
    return keras.Model(model.input, boundary), keras.Model(boundary, model.output)


def split_at_pool(model: keras.Model, stage: int) -> tuple[keras.Model, keras.Model]:
    """Cut what follows ``stage`` behind its pooling: up to the features float32 [N, channels], and the head on them."""
    pooled = model.get_layer("pool").get_output_at(0)
    return keras.Model(_boundary(model, stage), pooled), keras.Model(pooled, model.output)


def split_at_embedding(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut a classifier into its trunk, which gives the embedding float32 [N, dense_units], and the head on that."""
    embedding = model.get_layer(EMBEDDING_LAYER).get_output_at(0)
    return keras.Model(model.input, embedding, name=model.name), keras.Model(embedding, model.output)


def freeze_below(model: keras.Model, stage: int, *, batch_norms: bool = False) -> None:
    """Let only ``stage``, what follows it and the dense layers learn.

    Batch norms keep the statistics that they have, as is right for pretrained weights; with ``batch_norms`` those of
    the learning stages learn too, as random weights need it.
    """
    name = _boundary_name(model, stage)
    learns = False
    for layer in model.layers:
        learns = learns or layer.name.endswith(name)
        inner = getattr(layer, "layer", layer)
        is_norm = isinstance(inner, keras.layers.BatchNormalization)
        layer.trainable = learns and (batch_norms or not is_norm)


def _boundary_name(model: keras.Model, stage: int) -> str:
    names = stage_boundaries(model)
    if not 1 <= stage <= len(names):
        raise ModelError(
            f"{model.name} has stages 1 to {len(names)}, received {stage}: set training.upper.from_block to one of them"
        )
    return names[stage - 1]


def _boundary(model: keras.Model, stage: int) -> Any:
    name = _boundary_name(model, stage)
    layer = next(layer for layer in model.layers if layer.name.endswith(name))
    return layer.get_input_at(0)  # 0: the whole model's own
