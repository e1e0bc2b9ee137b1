"""A network that was quantized or made smaller learns again to say what its parent says.

    learn_from_parent(changed, parent, card, frames, checkpoint="s3://.../qat.npz")

The stages from ``training.upper.from_block`` on learn; what lies below them is computed once. The targets are the
parent's scores, so that its threshold serves what comes of it. How long and how fast is by default what the config's
``training.quantization`` says: little, at a low rate.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.config.schema import QuantizationSection
from ml_training.config.settings import read_settings
from ml_training.inference.models import fit_size
from ml_training.inference.parts import KerasPart
from ml_training.models.stages import split_at_stage, stage_boundaries
from ml_training.training.activations import compute_activations
from ml_training.training.checkpoints import CheckpointStore
from ml_training.training.loop import LabeledArrays, LoopOptions, fit
from ml_training.training.model_card import ModelCard
from ml_training.training.samples import Samples, iterate_images

Images = npt.NDArray[np.uint8]

WATCHED_FRAMES = 256  # of validation, where a single epoch leaves nothing to choose between: only its score is logged
BATCH_SIZE = 64


class Frames(NamedTuple):
    """The frames that a conversion looks at, and the data folder that they are in."""

    calibration: Samples  # of training, for the ranges
    training: Samples
    validation: Samples
    data_dir: str


def learn_from_parent(
    model: keras.Model,
    parent: keras.Model,
    card: ModelCard,
    frames: Frames,
    *,
    checkpoint: str,
    section: QuantizationSection | None = None,
) -> None:
    """Let the upper stages of ``model`` learn the parent's scores. ``checkpoint`` is where they keep their state."""
    training, section = card.config.training, section or card.config.training.quantization
    lower, upper = split_at_stage(model, min(training.upper.from_block, len(stage_boundaries(model))))
    chosen = choose_samples(frames.training, section.maximum_samples, training.seed)
    watched = choose_samples(frames.validation, WATCHED_FRAMES if section.epochs == 1 else None, training.seed)
    fit(
        upper,
        LabeledArrays(
            _activations(lower, chosen, frames, card),
            chosen.labels,
            targets=_parent_scores(parent, chosen, frames.data_dir),
        ),
        validation=LabeledArrays(_activations(lower, watched, frames, card), watched.labels),
        options=LoopOptions(
            epochs=section.epochs,
            batch_size=section.batch_size,
            learning_rate=section.learning_rate,
            weight_decay=training.weight_decay,
            seed=training.seed,
        ),
        store=CheckpointStore(checkpoint),
    )


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


def _activations(lower: Any, samples: Samples, frames: Frames, card: ModelCard) -> npt.NDArray[Any]:
    folder = read_settings().work_dir / "quantized" / card.run_id
    return compute_activations(lower, samples, frames.data_dir, folder)


def _parent_scores(parent: keras.Model, samples: Samples, data_dir: str) -> npt.NDArray[np.float32]:
    part = KerasPart(parent)
    shape = tuple(parent.input_shape[1:])
    batches = iterate_images(samples, data_dir, batch_size=BATCH_SIZE)
    return np.concatenate([part.run({"image": fit_size(images, shape)}).reshape(-1) for _, images in batches])
