"""A training begins with another model's weights, whole or with the channels that weigh most."""

import numpy as np
import pytest
import tf_keras as keras
from ml_training.training.weights import copy_weights
from ml_training.utils.errors import ModelError


def network(width, *, name="net", extra=False):
    """Two blocks whose outputs are added, a depthwise layer, and a head."""
    layers = keras.layers
    x = inputs = layers.Input((16, 16, 3), name="image")
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, name="stem_conv")(x)
    x = shortcut = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.Conv2D(2 * width, 1, use_bias=False, name="expand_conv")(x)
    x = layers.BatchNormalization(name="expand_bn")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise_conv")(x)
    x = layers.ReLU(6.0, name="relu")(x)
    x = layers.Conv2D(width, 1, use_bias=False, name="project_conv")(x)
    x = layers.BatchNormalization(name="project_bn")(x)
    x = layers.Add(name="add")([shortcut, x])
    if extra:
        x = layers.ReLU(name="another_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(4, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="ad")(x), name=name)


def silence(model, kept):
    """Make all channels but ``kept`` of the sum, and the odd ones in between, give nothing."""
    width = model.get_layer("stem_bn").output_shape[-1]
    for name, loud in (("stem_bn", kept), ("project_bn", kept), ("expand_bn", range(0, 2 * width, 2))):
        gamma, beta, mean, variance = model.get_layer(name).get_weights()
        quiet = np.setdiff1d(np.arange(len(gamma)), list(loud))
        gamma[quiet], beta[quiet] = 0, 0
        model.get_layer(name).set_weights([gamma, beta, mean, variance])


def test_a_narrow_network_of_the_channels_that_matter_says_the_same():
    keras.utils.set_random_seed(3)
    wide, narrow = network(8), network(4)
    silence(wide, kept=[1, 2, 5, 7])
    copy_weights(wide, narrow)
    images = np.random.default_rng(0).normal(size=(5, 16, 16, 3)).astype(np.float32)
    assert np.allclose(wide(images), narrow(images), atol=1e-6)
    stem = wide.get_layer("stem_conv").get_weights()[0]
    assert np.array_equal(narrow.get_layer("stem_conv").get_weights()[0], stem[..., [1, 2, 5, 7]])


def test_the_same_network_gets_the_same_weights():
    one, other = network(4), network(4)
    copy_weights(one, other)
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(first, second)


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(ModelError, match=r"of another architecture: other with 14 layers.*they differ in another_relu"):
        copy_weights(network(4, extra=True, name="other"), network(4))
    with pytest.raises(ModelError, match="begin with a wider one"):
        copy_weights(network(4), network(8))
