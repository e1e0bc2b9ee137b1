"""The weights that a training begins with: ImageNet's, another model's, or a narrower network's made from a wide one.

    model = starting_model(config)                 # model.pretrained, or training.initial_model
    copy_weights(source, target)                   # the same network, or one of the same kind with fewer channels

A network of half the width has no weights of its own on ImageNet. It begins with the half of the wide one's channels
that weigh most: those that are added to each other are chosen together, the others each by itself (Li et al., "Pruning
Filters for Efficient ConvNets", arXiv:1608.08710). What it lost it learns again from its teacher.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection, TrainingConfig
from ml_training.models.architectures import build
from ml_training.models.stored import load_parts
from ml_training.utils.errors import ConfigError, ModelError

Array = npt.NDArray[Any]


def starting_model(config: TrainingConfig) -> keras.Model:
    """Build the single-frame network of a config with the weights that it begins with.

    Raises ModelError when the initial model's weights are of another architecture.
    """
    initial = config.training.initial_model
    section = config.model if initial is None else config.model.model_copy(update={"pretrained": None})
    model = build(section).model
    if model is None:
        raise ConfigError(f"{section.architecture} has no weights to begin with: give it model.trunk_model")
    if initial is not None:
        copy_weights(_load(initial, section), model)
    return model


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give ``target`` the weights of ``source``, or of its channels that weigh most where ``target`` is narrower.

    Raises ModelError when their layers differ, or ``target`` is wider.
    """
    theirs, ours = [layer.name for layer in source.layers], [layer.name for layer in target.layers]
    if theirs != ours:
        only = sorted(set(theirs) ^ set(ours))
        raise ModelError(
            f"the weights are of another architecture: {source.name} with {len(theirs)} layers, expected {target.name} "
            f"with {len(ours)}; they differ in {', '.join(only[:4])}: give both configs the same model section"
        )
    chosen = _Channels(source, target)
    for layer, receiver in zip(source.layers, target.layers, strict=True):
        if layer.get_weights():
            receiver.set_weights(chosen.weights_of(layer))


class _Channels:
    """Which channels of each tensor of a wide network its narrow copy keeps."""

    def __init__(self, source: keras.Model, target: keras.Model) -> None:
        self._narrow = {layer.name: layer for layer in target.layers}
        self._group: dict[str, str] = {}  # of the channels that a layer gives, by the name of the layer that began it
        self._kept: dict[str, Array] = {}
        self._inputs = {layer.name: [one.name for one in _before(layer)] for layer in source.layers}
        for layer in source.layers:
            self._join(layer)
        self._choose(source)

    def weights_of(self, layer: Any) -> list[Array]:
        """Return the weights of the wide layer for the channels that are kept."""
        out, into = self._kept[self._root(layer.name)], self._kept[self._root(self._inputs[layer.name][0])]
        values = layer.get_weights()
        if isinstance(layer, layers.DepthwiseConv2D):
            return [values[0][:, :, out], *(value[out] for value in values[1:])]
        if isinstance(layer, (layers.Conv2D, layers.Dense)):
            return [values[0][..., into, :][..., out], *(value[out] for value in values[1:])]
        return [value[out] for value in values]

    def _join(self, layer: Any) -> None:
        """Note whose channels a layer gives: new ones, its input's, or those of inputs that are added."""
        inputs = self._inputs[layer.name]
        self._group[layer.name] = layer.name
        mixes = isinstance(layer, (layers.Conv2D, layers.Dense)) and not isinstance(layer, layers.DepthwiseConv2D)
        if not mixes:
            for name in inputs:
                self._group[self._root(name)] = self._root(layer.name)

    def _root(self, name: str) -> str:
        while self._group[name] != name:
            name = self._group[name]
        return name

    def _choose(self, source: keras.Model) -> None:
        importance: dict[str, Array] = {}
        for layer in source.layers:
            if isinstance(layer, layers.BatchNormalization) or (
                isinstance(layer, layers.Dense) and layer.get_weights()
            ):
                values = layer.get_weights()[0]
                weight = np.abs(values) if values.ndim == 1 else np.abs(values).sum(axis=0)
                root = self._root(layer.name)
                importance[root] = importance.get(root, np.zeros(len(weight))) + weight
        for layer in source.layers:
            root, wide = (
                self._root(layer.name),
                int(layer.output_shape[-1] if _is_one(layer) else layer.output_shape[0][-1]),
            )
            narrow_shape = self._narrow[layer.name].output_shape
            narrow = int(narrow_shape[-1] if _is_one(layer) else narrow_shape[0][-1])
            if narrow > wide:
                raise ModelError(
                    f"{layer.name} has {wide} channels, the new model wants {narrow}: begin with a wider one"
                )
            if root not in self._kept:
                order = np.argsort(-importance.get(root, np.arange(wide)[::-1]), kind="stable")
                self._kept[root] = np.sort(order[:narrow]) if narrow < wide else np.arange(wide)


def _is_one(layer: Any) -> bool:
    return not isinstance(layer.output_shape, list)


def _before(layer: Any) -> Iterator[Any]:
    """Yield the layers whose outputs a layer takes."""
    found = layer.inbound_nodes[0].inbound_layers
    yield from found if isinstance(found, list) else [found]


def _load(uri: str, section: ModelSection) -> keras.Model:
    parts = load_parts(uri)
    if "model" not in parts:
        raise ModelError(f"{uri} is no model of single frames: begin a {section.architecture} with one that is")
    return parts["model"]
