"""What every model keeps, whatever its architecture: shapes, files, gradients, determinism, int8."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from ml_training.conversion.files import to_int8
from ml_training.data.pipeline.examples import VIEWS as DATA_VIEWS
from ml_training.inference.description import view_of as description_of_view
from ml_training.inference.parts import TflitePart
from ml_training.inference.scorer import load_interpreter
from ml_training.models.architectures import build, view_of
from ml_training.models.blocks import classifier, picture_input
from ml_training.models.stages import split_at_embedding
from ml_training.utils.errors import ModelError

SIDE = 64
NAMES = ("efficientnet_lite0", "mobilenet_v2", "resnet50", "five classes", "temporal", "multimodal")
EVERY = pytest.mark.parametrize("name", NAMES)


def learned_part(network):
    """The whole model of a frame, or the head on a trunk that is such a model's."""
    return network.model or network.head


@EVERY
def test_shapes(networks, name, section_of, inputs_of):
    network, section = networks[name], section_of(name)
    outputs = len(section.classes) if len(section.classes) > 2 else 1
    assert network.trunk.input_shape == (None, SIDE, SIDE, 3)
    assert network.trunk.output_shape == (None, 24)
    assert network.head.output_shape == (None, outputs)
    scores = network.head(inputs_of(network.head, 3)).numpy()
    assert np.all((scores >= 0) & (scores <= 1))
    if outputs > 1:
        assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    if network.model is not None:
        images = inputs_of(network.model, 2)
        assert np.allclose(network.model(images), network.head(network.trunk(images)), atol=1e-6)


@EVERY
def test_a_stored_network_says_the_same(networks, name, tmp_path, inputs_of):
    model = learned_part(networks[name])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    inputs = inputs_of(model, 2)
    assert np.array_equal(again(inputs), model(inputs))


@EVERY
def test_every_weight_learns(networks, name, inputs_of):
    model = learned_part(networks[name])
    before = model.get_weights()
    with tf.GradientTape() as tape:
        outputs = model(inputs_of(model, 8), training=True)
        loss = tf.reduce_sum(outputs * tf.random.stateless_normal(outputs.shape, (1, 2)))
    gradients = tape.gradient(loss, model.trainable_weights)
    model.set_weights(before)  # the statistics of batch norms moved
    pairs = zip(model.trainable_weights, gradients, strict=True)
    assert not [weight.name for weight, gradient in pairs if gradient is None or not np.any(gradient.numpy())]


@EVERY
def test_the_same_seed_builds_the_same_network(networks, name, section_of, inputs_of):
    keras.utils.set_random_seed(7)
    one, other = learned_part(networks[name]), learned_part(build(section_of(name)))
    for weight, again in zip(one.trainable_weights, other.trainable_weights, strict=True):
        assert np.array_equal(weight, again)
    inputs = inputs_of(one, 2)
    assert np.array_equal(one(inputs), one(inputs))


@EVERY
def test_the_int8_file_says_nearly_the_same(networks, name, inputs_of):
    model = learned_part(networks[name])
    inputs = inputs_of(model, 24)
    examples = [{key: values[place] for key, values in inputs.items()} for place in range(24)]
    converted = TflitePart(load_interpreter(Path("model.tflite"), content=to_int8(model, examples)))
    assert {details["dtype"] for details in converted.inputs.values()} == {np.int8}
    assert not [key for key, kind in converted.tensor_types().items() if kind.startswith("float")]
    expected, received = model(inputs).numpy(), converted.run(inputs)
    assert np.array_equal(received, converted.run(inputs)), "a file must not remember what it saw"
    least = 0.98 if name in ("temporal", "multimodal") else 0.4  # random weights of a trunk blow differences up
    assert np.corrcoef(expected.ravel(), received.ravel())[0, 1] > least


@pytest.mark.parametrize("name", ["temporal", "multimodal", "mobilenet_v2"])
def test_views_are_those_of_the_pipeline(name):
    view, description = view_of(name), description_of_view(name)
    assert view is DATA_VIEWS[description.name]
    assert (view.offsets_seconds, view.sound_seconds) == (description.offsets_seconds, description.sound_seconds)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "mobilenet_v2"}, "no imagenet weights of mobilenet_v2"),
        ({"architecture": "resnet50"}, "no imagenet weights of resnet50"),
        ({"width": 0.5}, "weights are of width 1.0"),
    ],
)
def test_weights_that_nobody_has_are_refused(values, message, section_of):
    section = section_of("temporal").model_copy(update={"architecture": "efficientnet_lite0", "width": 1.0, **values})
    with pytest.raises(ModelError, match=message):
        build(section.model_copy(update={"pretrained": "imagenet"}))


def test_a_trunk_of_another_network_is_refused(tmp_path, section_of, inputs_of):
    section = section_of("temporal").model_copy(update={"trunk_model": str(tmp_path)})
    image = picture_input(section)
    model = classifier(image, keras.layers.Conv2D(4, 5, strides=8)(image), section, "mobilenet_v2")
    model.save(tmp_path / "model.keras")
    images = inputs_of(model, 2)
    assert np.allclose(build(section).trunk(images), split_at_embedding(model)[0](images), atol=1e-6)
    for wrong in ({"trunk": "efficientnet_lite0"}, {"input_size": 96}):
        with pytest.raises(ModelError, match=r"received a mobilenet_v2 for \(64, 64, 3\)"):
            build(section.model_copy(update=wrong))
    with pytest.raises(ModelError, match=r"no trunk\.keras and no model\.keras"):
        build(section.model_copy(update={"trunk_model": str(tmp_path / "nothing")}))
