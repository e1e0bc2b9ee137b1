"""Every architecture by its name in a config: what it is made of, and what it looks at.

    network = build(config.model)
    network.model                       # a single-frame classifier, or None: then trunk and head are two files
    network.trunk, network.head         # picture -> embedding, embedding(s) -> probability; they share the weights
    network.view                        # FRAMES, WINDOWS or CLIPS of data.pipeline.examples

A temporal or multimodal model stands on the trunk of a trained single-frame model (``model.trunk_model``). Its head
takes ``embeddings``, and the multimodal one also ``sound`` and ``has_sound`` (``multimodal.clip_inputs``).
"""

from collections.abc import Callable
from typing import NamedTuple

import tf_keras as keras

from ml_training.config.schema import ModelSection
from ml_training.data.pipeline.examples import CLIPS, FRAMES, WINDOWS, View
from ml_training.models import efficientnet, mobilenet, multimodal, resnet, temporal
from ml_training.models.stages import split_at_embedding
from ml_training.models.stored import load_trunk
from ml_training.utils.errors import ModelError

FRAME_MODELS: dict[str, Callable[..., keras.Model]] = {
    "efficientnet_lite0": efficientnet.build_classifier,
    "mobilenet_v2": mobilenet.build_classifier,
    "resnet50": resnet.build_classifier,
}
HEADS: dict[str, Callable[..., keras.Model]] = {
    "temporal": temporal.build_head,
    "multimodal": multimodal.build_head,
}
VIEWS = {"temporal": WINDOWS, "multimodal": CLIPS}


class Network(NamedTuple):
    """One model in its parts; they share their weights."""

    model: keras.Model | None  # of a single frame; None where trunk and head are stored apart
    trunk: keras.Model  # float32 [N, S, S, 3] -> embedding float32 [N, D]
    head: keras.Model  # embedding, or those of a view -> [N, 1], or [N, C] for more than two classes
    view: View


def build(section: ModelSection) -> Network:
    """Build the network of a config, with pretrained weights where they are asked for.

    Raises ModelError when there are no such weights, or the trunk model is of another architecture or input size.
    """
    if section.architecture in FRAME_MODELS:
        return as_network(FRAME_MODELS[section.architecture](section, weights=section.pretrained))
    trunk = _trunk(section)
    head = HEADS[section.architecture](section, embedding_size=int(trunk.output_shape[-1]))
    return Network(None, trunk, head, view_of(section.architecture))


def as_network(model: keras.Model) -> Network:
    """Return a single-frame classifier in its parts."""
    trunk, head = split_at_embedding(model)
    return Network(model, trunk, head, FRAMES)


def parts_of(network: Network) -> dict[str, keras.Model]:
    """Return what ``stored.save_parts`` stores: the whole model, or trunk and head."""
    if network.model is not None:
        return {"model": network.model}
    return {"trunk": network.trunk, "head": network.head}


def view_of(architecture: str) -> View:
    """Return what a model of this architecture looks at."""
    return VIEWS.get(architecture, FRAMES)


def _trunk(section: ModelSection) -> keras.Model:
    if section.trunk_model is None:
        model = FRAME_MODELS[section.trunk](section, weights=section.pretrained)
        return split_at_embedding(model)[0]
    trunk = load_trunk(section.trunk_model)
    expected = (section.trunk, (section.input_size, section.input_size, 3))
    received = (trunk.name, tuple(trunk.input_shape[1:]))
    if received != expected:
        raise ModelError(
            f"expected a {expected[0]} for pictures {expected[1]} in {section.trunk_model}, received a {received[0]} "
            f"for {received[1]}: set model.trunk and model.input_size to those"
        )
    return trunk
