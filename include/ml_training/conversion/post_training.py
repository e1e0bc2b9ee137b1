"""Int8 after training: the ranges come from examples that a finished network sees.

    content = picture_to_int8(trunk, samples, data_dir, seed=1)
    content = to_int8(head, head_examples(card, trunk_part, data_dir))

For the trunk and the head of temporal and multimodal models, which quantization-aware training cannot wrap (an LSTM),
or whose outputs are no scores that it could learn. The head's examples are the embeddings that the int8 trunk gives:
what it will see.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.conversion.files import to_int8
from ml_training.conversion.quantize_aware import choose_samples, read_images
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


def picture_to_int8(model: keras.Model, samples: Samples, data_dir: str, *, seed: int) -> bytes:
    """Convert a network that takes pictures; its input turns byte b into int8 b - 128."""
    shape = tuple(model.input_shape[1:])
    images = read_images(choose_samples(samples, TRUNK_EXAMPLES, seed), data_dir, shape)
    images[0, 0, 0], images[0, 0, 1] = 0, 255  # the whole range of bytes, so that the input's scale is 1/128
    return to_int8(model, ({model.input_names[0]: scale(image)} for image in images))


def head_examples(card: ModelCard, trunk: Part, data_dir: str, *, count: int = HEAD_EXAMPLES) -> list[Example]:
    """Return inputs of the head, from training examples that ``trunk`` sees; a quarter of clips without their sound."""
    section, seed = card.config.model, card.config.training.seed
    view = view_of(section.architecture)
    examples = read_examples(data_dir, card.dataset_id, "train", view=view)
    if len(examples) > count:
        examples = examples.take(np.sort(np.random.default_rng(seed).choice(len(examples), count, replace=False)))
    bands = section.mfcc_bands if view.sound_seconds else None
    options = Options(batch_size=8, shuffle=False, augment=False, drop_remainder=False, mfcc_bands=bands)
    return [example for batch in Pipeline(examples, options).iterate(epochs=1) for example in _inputs(batch, trunk)]


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
