"""Small networks of every architecture, whose batch norms know their data as trained ones do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras as keras
from ml_training.config.schema import ModelSection
from ml_training.models.architectures import Network, build

SIDE = 64
SECTIONS: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {"width": 0.5},
    "mobilenet_v2": {"width": 0.35},
    "resnet50": {"width": 0.125},
    "five classes": {
        "architecture": "mobilenet_v2",
        "width": 0.35,
        "classes": ["ad", "content", "promo", "ident", "sponsor"],
    },
    "temporal": {"trunk": "mobilenet_v2", "width": 0.35, "sequence_units": 16},
    "multimodal": {"trunk": "mobilenet_v2", "width": 0.35, "mfcc_bands": 32},
}


def make_section(name: str) -> ModelSection:
    values = {"architecture": name, **SECTIONS[name]}
    return ModelSection(**{"pretrained": None, "input_size": SIDE, "dense_units": 24, **values})


def make_inputs(model: keras.Model, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Plausible inputs of a network, by name."""
    generator = np.random.default_rng(seed)
    shapes = dict(zip(model.input_names, (item.shape[1:] for item in model.inputs), strict=True))
    inputs = {name: generator.normal(0, 0.5, (count, *shape)) for name, shape in shapes.items()}
    if "image" in inputs:  # pictures differ in colour more than in grain
        inputs["image"] = 0.2 * inputs["image"] + generator.uniform(-1, 1, (count, 1, 1, 3))
    if "embeddings" in inputs:
        inputs["embeddings"] = np.abs(inputs["embeddings"])
    if "has_sound" in inputs:
        inputs["has_sound"] = np.ones((count, 1))
    return {name: values.astype(np.float32) for name, values in inputs.items()}


def settle(model: keras.Model) -> None:
    """Give every batch norm the statistics of some inputs."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    model(make_inputs(model, 8, seed=9), training=True)
    for norm in norms:
        norm.momentum = 0.99


@pytest.fixture(scope="session")
def networks() -> dict[str, Network]:
    built = {}
    for name in SECTIONS:
        keras.utils.set_random_seed(7)
        built[name] = build(make_section(name))
        settle(built[name].model or built[name].head)
    return built


@pytest.fixture(scope="session")
def section_of() -> Callable[[str], ModelSection]:
    """``make_section``: the config of a small network, by the name of its case."""
    return make_section


@pytest.fixture(scope="session")
def inputs_of() -> Callable[..., dict[str, np.ndarray]]:
    """``make_inputs``: plausible inputs of a network, by name."""
    return make_inputs
