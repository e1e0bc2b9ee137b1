"""One file with several inputs: which array goes where, and its own numbers in and out."""

import numpy as np
import pytest
from ml_training.inference.parts import dequantized, match_inputs, quantized
from ml_training.inference.scorer import scale
from ml_training.utils.errors import ModelError

BYTES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)


def test_bytes_become_int8_exactly_as_by_way_of_floats():
    fast = quantized(BYTES, {"dtype": np.int8, "quantization": (1 / 128, -1)})
    slow = quantized(scale(BYTES), {"dtype": np.int8, "quantization": (1 / 128, -1)})
    assert np.array_equal(fast, slow)
    assert np.array_equal(fast, BYTES.astype(np.int16) - 128)


def test_numbers_come_back_within_half_a_step():
    details = {"dtype": np.int8, "quantization": (0.05, 10)}
    values = np.linspace(-6.8, 5.8, 100).astype(np.float32)
    assert np.abs(dequantized(quantized(values, details), details) - values).max() <= 0.025 + 1e-6
    assert quantized(np.array([1e9]), details).tolist() == [127]


def test_inputs_are_found_by_name_then_by_shape():
    inputs = {"embeddings": np.zeros((2, 5, 8)), "has_sound": np.zeros((2, 1))}
    assert match_inputs(inputs, {"embeddings": (5, 8)})["embeddings"] is inputs["embeddings"]
    named = match_inputs(inputs, {"serving_default_x:0": (1,), "serving_default_y:0": (5, 8)})
    assert named["serving_default_x:0"] is inputs["has_sound"]
    assert named["serving_default_y:0"] is inputs["embeddings"]


@pytest.mark.parametrize("shape", [(4, 8), (1,)])
def test_what_does_not_fit_or_fits_twice_is_refused(shape):
    inputs = {"a": np.zeros((2, 1)), "b": np.zeros((2, 1))}
    with pytest.raises(ModelError, match="expected an input x of shape"):
        match_inputs(inputs, {"x": shape})
