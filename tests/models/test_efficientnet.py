"""EfficientNet-Lite0: its size, its cuts, what learns, and that ImageNet's weights see."""

import numpy as np
import pytest
from ml_training.config.schema import ModelSection
from ml_training.inference.scorer import scale
from ml_training.models.efficientnet import build_classifier, freeze_below, split_at_pool, split_at_stage

IMAGES = scale(np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def model():
    return build_classifier(ModelSection(), weights="imagenet")


def test_size_is_the_published_one(model):
    assert model.count_params() == 3_741_217  # 3,413,024 in the trunk, the rest in the head
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("stage", [2, 6, 7])
def test_the_two_halves_are_the_whole(model, stage):
    lower, upper = split_at_stage(model, stage)
    assert np.array_equal(upper(lower(IMAGES)).numpy(), model(IMAGES).numpy())


def test_the_head_continues_the_features(model):
    lower, upper = split_at_stage(model, 6)
    pooled, head = split_at_pool(model, 6)
    features = pooled(lower(IMAGES))
    assert features.shape == (2, 1280)
    assert np.allclose(head(features), upper(lower(IMAGES)), atol=1e-6)


def test_only_the_upper_blocks_learn(model):
    freeze_below(model, 6)
    names = [weight.name for weight in model.trainable_weights]
    assert any("block6a_expand_conv" in name for name in names)
    assert any(name.startswith("ad/") for name in names)
    assert not any("block5" in name or "stem" in name or "_bn/" in name for name in names)


def test_pretrained_features_tell_pictures_apart(model):
    """Two crops of one photograph are closer to each other than to another photograph; random weights do not matter."""
    from sklearn.datasets import load_sample_images

    photographs = [image[:400, :400] for image in load_sample_images().images]
    crops = np.stack([photo[top : top + 224, 80:304] for photo in photographs for top in (60, 90)])
    pooled, _ = split_at_pool(model, 2)
    lower, _ = split_at_stage(model, 2)
    features = pooled(lower(scale(crops.astype(np.uint8)))).numpy()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    likeness = unit @ unit.T
    assert min(likeness[0, 1], likeness[2, 3]) > 0.8
    assert likeness[:2, 2:].max() < 0.5
