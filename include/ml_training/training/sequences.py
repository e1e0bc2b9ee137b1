"""How a head on embeddings learns: the trunk looks at every frame once, the head at windows or clips of embeddings.

    fitted = fit_on_embeddings(config, data, place)          # config.model.architecture: temporal or multimodal

The trunk is a trained single-frame model's and does not change, so a head learns in a minute. An augmented copy changes
all frames of a stretch of 60 seconds alike, and the sound with them: a window is cut from one stretch, and what moves
in it is what moved in the programme.
"""

import logging
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.config.schema import TrainingConfig
from ml_training.data.pipeline.examples import Examples
from ml_training.data.pipeline.selection import read_examples
from ml_training.models.architectures import Network, build
from ml_training.models.multimodal import branches_of
from ml_training.training.activations import compute_activations, stretch_numbers
from ml_training.training.clip_sound import ClipSound, compute_sound
from ml_training.training.fitting import Fitted, Place, TrainingData, loop_options
from ml_training.training.fusion import fit_fusion, fit_sound
from ml_training.training.loop import LabeledArrays, fit, predict
from ml_training.training.samples import Samples
from ml_training.utils.errors import ConfigError, DatasetUnusable
from ml_training.utils.records import Split

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

BATCH = 64
SURE = 1e-6  # probabilities are kept this far from 0 and 1


class Gathered:
    """Rows of a table, several an example: float16 [N, n, D] that is cut out only when it is asked for."""

    def __init__(self, table: Array, places: Array) -> None:
        self._table, self._places = table, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, chosen: Any) -> Array:
        return np.asarray(self._table[self._places[chosen]])


class Sequences(NamedTuple):
    """Examples of every copy: which frames each sees, int64 [M, n], and which example each is, int64 [M]."""

    places: Array
    numbers: Array
    copies: Array


def fit_on_embeddings(config: TrainingConfig, data: TrainingData, place: Place) -> Fitted:
    """Train the head of a temporal or multimodal model. Raises ModelError and DatasetUnusable with advice."""
    if len(config.model.classes) > 2:
        raise ConfigError(f"{config.model.architecture} tells ads from content only: take two classes")
    if config.model.trunk_model is None:
        raise ConfigError("model.trunk_model is missing: name a float model, or the config of one")
    keras.utils.set_random_seed(config.training.seed)
    network = build(config.model)
    copies = 1 + config.training.augmented_copies
    training = _arrays(network, config, data, place, split="train", copies=copies)
    validation = _arrays(network, config, data, place, split="validation", copies=1)
    if config.model.architecture == "multimodal":
        _fit_branches(network.head, config, training, validation, place)
    else:
        _fit_head(network.head, config, training, validation, place)
    scores = predict(network.head, validation.inputs)
    return Fitted({"trunk": network.trunk, "head": network.head}, scores, validation.labels)


def _fit_head(
    head: keras.Model, config: TrainingConfig, training: LabeledArrays, validation: LabeledArrays, place: Place
) -> None:
    fit(
        head,
        training,
        validation=validation,
        options=loop_options(config, config.training.head, "head"),
        store=place.store("head"),
        on_epoch=place.reporter("head"),
    )


def _fit_branches(
    head: keras.Model, config: TrainingConfig, training: LabeledArrays, validation: LabeledArrays, place: Place
) -> None:
    """Let pictures and sound learn by themselves, then how much each counts."""
    branches = branches_of(head)
    seen, held_out = (LabeledArrays(data.inputs["embeddings"], data.labels) for data in (training, validation))
    _fit_head(branches.pictures, config, seen, held_out, place)
    fit_sound(head, _statistics(branches.statistics, training), training.labels)
    chances = np.clip(predict(branches.pictures, held_out.inputs).astype(np.float64), SURE, 1 - SURE)
    fit_fusion(
        head, np.log(chances / (1 - chances)), predict(branches.sound, validation.inputs["sound"]), validation.labels
    )


def _statistics(model: keras.Model, data: LabeledArrays) -> Array:
    """Return the sound's statistics of every example, float32 [N, 3, 20]."""
    sound, count = data.inputs["sound"], len(data.labels)
    starts = range(0, count, BATCH)
    parts = [model.predict_on_batch(sound[np.arange(at, min(at + BATCH, count))].astype(np.float32)) for at in starts]
    return np.concatenate([np.stack(part, axis=1) for part in parts])


def _arrays(
    network: Network, config: TrainingConfig, data: TrainingData, place: Place, *, split: Split, copies: int
) -> LabeledArrays:
    examples = read_examples(data.data_dir, data.dataset_id, split, view=network.view)
    frames, places = frames_of(examples, data.data_dir)
    seed = config.training.seed
    table = compute_activations(
        network.trunk, frames, data.data_dir, place.work_dir, copies=copies, seed=seed, alike=True
    )
    sequences = in_copies(places, stretch_numbers(frames.pts_seconds), copies)
    labels = examples.labels[sequences.numbers]
    if len(np.unique(labels)) < 2:
        raise DatasetUnusable(f"the {split} split has only one class left in {network.view.name}: label more")
    embeddings = Gathered(table, sequences.places)
    logger.info("%s: %d %s, passed over: %s", split, len(labels), network.view.name, dict(examples.passed_over))
    if network.view.sound_seconds is None:
        return LabeledArrays(embeddings, labels)
    tables = compute_sound(examples, bands=config.model.mfcc_bands, copies=copies, seed=seed, folder=place.work_dir)
    sound = ClipSound(tables, examples, sequences.numbers, sequences.copies)
    heard = np.ones((len(labels), 1), np.float32)
    return LabeledArrays({"embeddings": embeddings, "sound": sound, "has_sound": heard}, labels)


def frames_of(examples: Examples, data_dir: str) -> tuple[Samples, Array]:
    """Return every frame that some example sees, once, and the frames of each example as places in that list [N, n]."""
    keys = examples.file_numbers.astype(np.int64) << 32 | examples.rows
    known, first, places = np.unique(keys, return_index=True, return_inverse=True)
    example, picture = np.divmod(first, keys.shape[1])
    files = np.array([name.removeprefix(f"{data_dir.rstrip('/')}/") for name in examples.files], object)
    frames = Samples(
        recording_ids=examples.recording_ids[example],
        channels=np.full(len(known), "", object),
        genres=np.full(len(known), "", object),
        pts_seconds=examples.pts_seconds[example] + np.array(examples.view.offsets_seconds)[picture],
        labels=np.full(len(known), -1, np.int8),
        shard_uris=files[known >> 32],
        rows=(known & 0xFFFFFFFF).astype(np.int32),
    )
    return frames, places.reshape(keys.shape)


def in_copies(places: Array, stretches: Array, copies: int) -> Sequences:
    """Return the examples of the frames themselves, and of each changed copy those whose frames changed alike.

    ``places`` [N, n] are frames of M, ``stretches`` [M] the stretch of each; frame i of copy c is ``c * M + i``.
    """
    seen = stretches[places]
    alike = np.flatnonzero((seen == seen[:, :1]).all(axis=1))
    numbers = [np.arange(len(places)), *[alike] * (copies - 1)]
    of_copy = [np.full(len(chosen), copy) for copy, chosen in enumerate(numbers)]
    shifted = [places[chosen] + copy * len(stretches) for copy, chosen in enumerate(numbers)]
    return Sequences(np.concatenate(shifted), np.concatenate(numbers), np.concatenate(of_copy))
