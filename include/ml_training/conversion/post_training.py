"""The examples that ranges come from after training: what a finished network sees.

    examples = picture_examples(trunk, frames, data_dir)                   # frames of a calibration set
    examples, frames = head_examples(card, trunk_part, training, data_dir)

For the trunk and the head of temporal and multimodal models, which quantization-aware training cannot wrap (an LSTM),
or whose outputs are no scores that it could learn. The head's examples are the embeddings that the converted trunk
gives: what it will see.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.conversion.calibration import CalibrationFrame, balanced
from ml_training.conversion.relearning import read_images
from ml_training.data.pipeline.batches import Options, Pipeline
from ml_training.data.pipeline.selection import read_examples
from ml_training.inference.models import fit_size
from ml_training.inference.parts import Part
from ml_training.inference.scorer import scale
from ml_training.models.architectures import view_of
from ml_training.models.multimodal import clip_inputs
from ml_training.training.model_card import ModelCard
from ml_training.training.samples import Samples

Example = dict[str, npt.NDArray[Any]]

TRUNK_EXAMPLES = 160
HEAD_EXAMPLES = 128
SILENT_SHARE = 4  # one in so many clips comes without its sound


class HeadExamples(NamedTuple):
    """Inputs of a head, and which moments they show."""

    inputs: list[Example]
    frames: list[CalibrationFrame]


def picture_examples(model: keras.Model, frames: Samples, data_dir: str) -> list[Example]:
    """Return inputs of a network that takes pictures; byte b of an int8 one will be int8 b - 128."""
    images = read_images(frames, data_dir, tuple(model.input_shape[1:]))
    images[0, 0, 0], images[0, 0, 1] = 0, 255  # the whole range of bytes, so that the input's scale is 1/128
    return [{model.input_names[0]: scale(image)} for image in images]


def head_examples(
    card: ModelCard, trunk: Part, training: Samples, data_dir: str, *, count: int = HEAD_EXAMPLES
) -> HeadExamples:
    """Return inputs of the head, from training examples that ``trunk`` sees; a quarter of clips without their sound.

    Every channel has the same number of them, as far as it has so many.
    """
    section, seed = card.config.model, card.config.training.seed
    view = view_of(section.architecture)
    examples = read_examples(data_dir, card.dataset_id, "train", view=view)
    channel_of = dict(zip(training.recording_ids, training.channels, strict=True))
    channels = np.array([str(channel_of.get(name, "")) for name in examples.recording_ids], object)
    chosen = balanced(channels, count, seed=seed)
    examples, channels = examples.take(chosen), channels[chosen]
    moments = zip(examples.recording_ids, channels, examples.pts_seconds, strict=True)
    bands = section.mfcc_bands if view.sound_seconds else None
    options = Options(batch_size=8, shuffle=False, augment=False, drop_remainder=False, mfcc_bands=bands)
    batches = Pipeline(examples, options).iterate(epochs=1)
    return HeadExamples(
        [example for batch in batches for example in _inputs(batch, trunk)],
        [CalibrationFrame(recording_id=str(r), channel=c, pts_seconds=float(s)) for r, c, s in moments],
    )


def _inputs(batch: Any, trunk: Part) -> Iterator[Example]:
    (shape,) = trunk.input_shapes.values()
    for place in range(len(batch.labels)):
        embeddings = trunk.run({"image": fit_size(batch.images[place], shape)})
        if batch.mfcc is None:
            yield {"embeddings": embeddings}
            continue
        silent = int(batch.numbers[place]) % SILENT_SHARE == 0
        mfcc = None if silent else batch.mfcc[place : place + 1]
        inputs = clip_inputs(embeddings[None], mfcc, bands=batch.mfcc.shape[-1])
        yield {name: values[0] for name, values in inputs.items()}
