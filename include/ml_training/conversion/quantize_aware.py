"""A trained single-frame model becomes one that fakes int8 and says the same: calibrated, then fine-tuned.

    quantized = quantize_aware(parent, card, training=..., validation=..., data_dir=..., checkpoint="s3://.../qat.npz")

The stages from ``training.upper.from_block`` on learn at a low rate to say what the float model says, so that its
threshold serves the int8 file as well.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.config.settings import read_settings
from ml_training.conversion.quantization import (
    calibrate,
    fix_input_range,
    freeze_batch_norms,
    quantize,
    range_decay,
)
from ml_training.inference.models import fit_size
from ml_training.inference.parts import KerasPart
from ml_training.inference.scorer import scale
from ml_training.models.stages import split_at_stage, stage_boundaries
from ml_training.training.activations import compute_activations
from ml_training.training.checkpoints import CheckpointStore
from ml_training.training.loop import LabeledArrays, LoopOptions, fit
from ml_training.training.model_card import ModelCard
from ml_training.training.samples import Samples, iterate_images

logger = logging.getLogger(__name__)

Images = npt.NDArray[np.uint8]

FINE_TUNING_DECAY = 0.99  # of the ranges, once they are calibrated
WATCHED_FRAMES = 256  # of validation, where a single epoch leaves nothing to choose between: only its score is logged
BATCH_SIZE = 64


def quantize_aware(
    parent: keras.Model, card: ModelCard, *, training: Samples, validation: Samples, data_dir: str, checkpoint: str
) -> keras.Model:
    """Return the quantized model. ``checkpoint`` is where the fine-tuning keeps its state."""
    section = card.config.training.quantization
    seed = card.config.training.seed
    model = quantize(parent)
    calibration = choose_samples(training, section.calibration_batches * section.batch_size, seed)
    with range_decay(section.range_decay):
        images = read_images(calibration, data_dir, tuple(parent.input_shape[1:]))
        calibrate(model, _shuffled_batches(images, section.batch_size, seed))
    logger.info("ranges calibrated with %d batches of %d", section.calibration_batches, section.batch_size)
    freeze_batch_norms(model)
    lower, upper = split_at_stage(model, min(card.config.training.upper.from_block, len(stage_boundaries(model))))
    chosen = choose_samples(training, section.maximum_samples, seed)
    watched = choose_samples(validation, WATCHED_FRAMES if section.epochs == 1 else None, seed)
    with range_decay(FINE_TUNING_DECAY):
        fit(
            upper,
            LabeledArrays(
                _activations(lower, chosen, data_dir, card),
                chosen.labels,
                targets=_parent_scores(parent, chosen, data_dir),
            ),
            validation=LabeledArrays(_activations(lower, watched, data_dir, card), watched.labels),
            options=LoopOptions(
                epochs=section.epochs,
                batch_size=section.batch_size,
                learning_rate=section.learning_rate,
                weight_decay=card.config.training.weight_decay,
                seed=seed,
            ),
            store=CheckpointStore(checkpoint),
        )
    fix_input_range(model)
    return model


def choose_samples(samples: Samples, maximum: int | None, seed: int) -> Samples:
    """Return at most ``maximum`` frames drawn by ``seed``, in the order of recording and time."""
    if maximum is None or maximum >= len(samples.labels):
        return samples
    chosen = np.random.default_rng(seed).choice(len(samples.labels), size=maximum, replace=False)
    return samples.take(np.sort(chosen))


def read_images(samples: Samples, data_dir: str, shape: tuple[int, ...]) -> Images:
    """Return the pictures of all samples in the size of a network's input, uint8 [N, S, S, 3]."""
    parts = [fit_size(images, shape) for _, images in iterate_images(samples, data_dir, batch_size=BATCH_SIZE)]
    return np.concatenate(parts)


def _shuffled_batches(images: Images, batch_size: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    order = np.random.default_rng(seed).permutation(len(images))
    for start in range(0, len(images), batch_size):
        yield scale(images[order[start : start + batch_size]])


def _activations(lower: Any, samples: Samples, data_dir: str, card: ModelCard) -> npt.NDArray[Any]:
    return compute_activations(lower, samples, data_dir, read_settings().work_dir / "quantized" / card.run_id)


def _parent_scores(parent: keras.Model, samples: Samples, data_dir: str) -> npt.NDArray[np.float32]:
    part = KerasPart(parent)
    shape = tuple(parent.input_shape[1:])
    batches = iterate_images(samples, data_dir, batch_size=BATCH_SIZE)
    return np.concatenate([part.run({"image": fit_size(images, shape)}).reshape(-1) for _, images in batches])
