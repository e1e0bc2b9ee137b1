"""Every single-frame network is cut and frozen by its stages."""

import numpy as np
import pytest
import tf_keras as keras
from ml_training.models.architectures import FRAME_MODELS
from ml_training.models.stages import (
    freeze_below,
    split_at_embedding,
    split_at_pool,
    split_at_stage,
    stage_boundaries,
)
from ml_training.utils.errors import ModelError

EVERY = pytest.mark.parametrize("name", FRAME_MODELS)


@EVERY
def test_the_two_halves_are_the_whole(networks, name, inputs_of):
    model = networks[name].model
    images = inputs_of(model, 2)
    boundaries = stage_boundaries(model)
    assert boundaries[0] == "stem_conv"
    assert len(boundaries) == (5 if name == "resnet50" else 7)
    for stage in (1, 3, len(boundaries)):
        lower, upper = split_at_stage(model, stage)
        assert np.array_equal(upper(lower(images)), model(images))
        pooled, head = split_at_pool(model, stage)
        assert np.allclose(head(pooled(lower(images))), model(images), atol=1e-6)


@EVERY
def test_what_lies_below_a_stage_does_not_learn(networks, name):
    model = keras.models.clone_model(networks[name].model)
    lower, upper = split_at_stage(model, 4)
    freeze_below(model, 4)
    learning = {weight.name for weight in model.trainable_weights}
    assert not learning & {weight.name for weight in lower.weights}
    norms = {weight.name for layer in upper.layers if "_bn" in layer.name for weight in layer.weights}
    assert learning == {weight.name for weight in upper.weights} - norms
    freeze_below(model, 4, batch_norms=True)
    assert any("_bn" in weight.name for weight in model.trainable_weights)


def test_a_stage_that_is_not_there_is_refused(networks):
    with pytest.raises(ModelError, match="resnet50 has stages 1 to 5, received 6"):
        split_at_stage(networks["resnet50"].model, 6)


def test_the_embedding_is_where_the_head_begins(networks, inputs_of):
    model = networks["mobilenet_v2"].model
    trunk, head = split_at_embedding(model)
    images = inputs_of(model, 2)
    assert trunk.name == "mobilenet_v2"
    assert np.allclose(head(trunk(images)), model(images), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "learning"),
    [("mobilenet_v2", 2_223_872), ("resnet50", 23_508_032)],  # of the papers' networks, without their classifiers
)
def test_full_width_has_the_published_size(name, learning, section_of):
    section = section_of(name).model_copy(update={"width": 1.0, "dense_units": 1})
    model = FRAME_MODELS[name](section, weights=None)
    below_head = keras.Model(model.input, model.get_layer("pool").output)
    assert sum(int(np.prod(weight.shape)) for weight in below_head.trainable_weights) == learning


def test_half_width_is_about_a_million(section_of):
    section = section_of("efficientnet_lite0").model_copy(update={"dense_units": 256, "input_size": 224})
    assert 0.95e6 < FRAME_MODELS["efficientnet_lite0"](section, weights=None).count_params() < 1.1e6
