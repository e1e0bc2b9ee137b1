"""What a training asks of a machine: the counts are those of the real networks, the work follows the config."""

from typing import Any

import pytest
from ml_training.cloud import workload
from ml_training.cloud.workload import Frames, expected_work, frames_of_hours, multiply_adds, seconds_on, vcpus_of
from ml_training.config.loading import load_config
from ml_training.config.schema import ModelSection

FRAMES = Frames(train=1000, validation=100)
LITE0 = 384_235_488


def count(layer: Any) -> int:
    """Multiply-adds of one layer for one picture."""
    import tf_keras as keras

    if isinstance(layer, keras.layers.Dense):
        return int(layer.kernel.shape.num_elements())
    if not isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        return 0
    kernel = layer.depthwise_kernel if isinstance(layer, keras.layers.DepthwiseConv2D) else layer.kernel
    _, height, width, _ = layer.output_shape
    return int(height * width * kernel.shape.num_elements())


def count_network(**section: Any) -> tuple[int, tuple[int, ...]]:
    """Multiply-adds of a network, and of what lies below each of its stages."""
    from ml_training.models.architectures import build
    from ml_training.models.stages import stage_boundaries

    model = build(ModelSection(pretrained=None, **section)).model
    places = {layer.name: place for place, layer in enumerate(model.layers)}
    counts = [count(layer) for layer in model.layers]
    below = tuple(sum(counts[: places[name]]) for name in stage_boundaries(model))
    return sum(counts), below


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "mobilenet_v2"])
def test_the_table_is_what_the_networks_have(architecture):
    whole, below = count_network(architecture=architecture)
    assert whole == workload.MULTIPLY_ADDS[architecture]
    assert below == workload.BELOW_STAGE[architecture]


@pytest.mark.parametrize(
    ("size", "width", "counted"),
    [(224, 0.5, 119_417_552), (112, 1.0, 105_939_024)],
)
def test_other_sizes_and_widths_are_scaled(size, width, counted):
    section = ModelSection(input_size=size, width=width, pretrained=None)
    assert multiply_adds(section) == pytest.approx(counted, rel=0.1)


def test_a_staged_training_learns_only_above_its_border():
    config = load_config("base_model", {"training.upper.epochs": 2})
    work = expected_work(config, FRAMES)
    upper = LITE0 - workload.BELOW_STAGE["efficientnet_lite0"][5]
    assert work.pictures == 2100
    assert work.multiply_adds == 2100 * LITE0 + 2 * (2000 * 3 + 100) * upper


def test_an_end_to_end_training_does_everything_every_epoch():
    config = load_config("base_model", {"training.mode": "end_to_end", "training.end_to_end.epochs": 5})
    work = expected_work(config, FRAMES)
    assert work.pictures == 5 * 1100
    assert work.multiply_adds == 5 * (1000 * 3 + 100) * LITE0
    assert work.steps == pytest.approx(5 * (1000 + 100 / 3))


def test_every_config_has_an_expectation():
    for name in ("base_small", "temporal", "multimodal", "cost_optimized", "full_featured", "sports_model"):
        config = load_config(name)
        assert expected_work(config, frames_of_hours(config, 1)).steps > 0, name


def test_hours_become_frames():
    assert frames_of_hours(load_config("base_model"), 200) == Frames(432_000, 108_000)


def test_the_slower_of_gpu_and_processor_counts():
    work = expected_work(load_config("base_model"), FRAMES)
    slow, fast = (seconds_on(work, "g4dn.xlarge", speed) for speed in (0.1, 1000))
    assert slow == pytest.approx(work.steps / (0.1 * workload.T4_IMAGES_PER_SECOND))
    assert fast == pytest.approx(2100 * 0.00156 / 2)
    assert seconds_on(work, "g4dn.4xlarge", 1000) == pytest.approx(fast / 4)


def test_a_types_name_says_its_processors():
    assert [vcpus_of(f"g5.{size}") for size in ("large", "xlarge", "2xlarge", "16xlarge", "metal")] == [2, 4, 8, 64, 4]
