"""A trained single-frame model becomes one that fakes int8 and says the same: calibrated, then fine-tuned.

    quantized = quantize_aware(parent, card, frames, checkpoint="s3://.../qat.npz")

The ranges come from the frames of the calibration set; then the upper stages learn to say what the float model says.
"""

import logging
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.conversion.quantization import (
    calibrate,
    fix_input_range,
    freeze_batch_norms,
    quantize,
    range_decay,
)
from ml_training.conversion.relearning import Frames, Images, learn_from_parent, read_images
from ml_training.inference.scorer import scale
from ml_training.training.model_card import ModelCard

logger = logging.getLogger(__name__)

FINE_TUNING_DECAY = 0.99  # of the ranges, once they are calibrated


def quantize_aware(parent: keras.Model, card: ModelCard, frames: Frames, *, checkpoint: str) -> keras.Model:
    """Return the quantized model. ``checkpoint`` is where the fine-tuning keeps its state."""
    section = card.config.training.quantization
    model = quantize(parent)
    with range_decay(section.range_decay):
        images = read_images(frames.calibration, frames.data_dir, tuple(parent.input_shape[1:]))
        calibrate(model, _shuffled_batches(images, section.batch_size, card.config.training.seed))
    logger.info("ranges calibrated with %d frames", len(images))
    freeze_batch_norms(model)
    with range_decay(FINE_TUNING_DECAY):
        learn_from_parent(model, parent, card, frames, checkpoint=checkpoint)
    fix_input_range(model)
    return model


def _shuffled_batches(images: Images, batch_size: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    order = np.random.default_rng(seed).permutation(len(images))
    for start in range(0, len(images), batch_size):
        yield scale(images[order[start : start + batch_size]])
