import numpy as np
import pytest
import tf_keras as keras
from ml_training.conversion.files import to_int8
from ml_training.conversion.quantization import calibrate, quantize, range_decay
from ml_training.inference.scorer import TfliteScorer

SIZES = np.array([1.0, 0.001, 0.03, 0.0002], np.float32)  # channels of one kernel that differ this much


@pytest.fixture(scope="module")
def networks():
    """A depthwise convolution whose channels differ by four orders of magnitude, and what quantization makes of it."""
    keras.utils.set_random_seed(1)
    inputs = keras.layers.Input((16, 16, 4), name="image")
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(inputs)
    x = keras.layers.BatchNormalization(epsilon=1e-12, name="norm")(x)
    model = keras.Model(inputs, keras.layers.ReLU(6.0, name="relu")(x))
    kernel = np.random.default_rng(2).normal(size=(3, 3, 4, 1)).astype(np.float32) * SIZES[:, None]
    model.get_layer("depthwise").set_weights([kernel])
    norm = model.get_layer("norm")
    norm.set_weights([np.ones(4), np.full(4, 0.5), np.zeros(4), SIZES**2 * 9])  # as a trained one: evens the channels
    images = np.random.default_rng(3).uniform(-1, 1, (8, 16, 16, 4)).astype(np.float32)
    quantized = quantize(model)
    with range_decay(0.5):
        calibrate(quantized, [images] * 12)
    return model, quantized, images


def test_every_channel_of_a_depthwise_kernel_has_its_own_scale(networks):
    model, quantized, images = networks
    expected = model.predict(images, verbose=0)
    received = quantized.predict(images, verbose=0)
    for channel in range(4):
        off = np.abs(received[..., channel] - expected[..., channel]).max()
        assert off < 0.08, f"channel {channel} is off by {off:.3f}"
        assert expected[..., channel].std() > 0.1


def test_the_file_has_a_scale_for_each_channel(networks, tmp_path):
    _, quantized, _ = networks
    path = tmp_path / "model.tflite"
    path.write_bytes(to_int8(quantized))
    scorer = TfliteScorer(path)
    tensors = scorer._interpreter.get_tensor_details()
    kernels = [t for t in tensors if list(t["shape"]) == [1, 3, 3, 4] and t["dtype"] == np.int8]
    assert [len(kernel["quantization_parameters"]["scales"]) for kernel in kernels] == [4]
