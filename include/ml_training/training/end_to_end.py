"""How a classifier learns as a whole: every picture anew from the pipeline, through the whole network.

    fitted = fit_end_to_end(config, data, place)

For GPUs, for small networks, and for those that learn from a teacher. Pictures are decoded and changed at the size that
the network takes, by threads that run ahead, so that the processor or GPU never waits for them.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras

from ml_training.cloud import storage
from ml_training.config.schema import TrainingConfig
from ml_training.data.frames import FRAME_SIZE
from ml_training.data.pipeline.batches import Options, Pipeline
from ml_training.data.pipeline.examples import FRAMES, Examples
from ml_training.data.pipeline.reading import resized
from ml_training.inference.scorer import scale
from ml_training.models.stored import load_parts
from ml_training.training.distillation import Teacher
from ml_training.training.feeds import PipelineFeed
from ml_training.training.fitting import Fitted, Place, TrainingData, ad_class_of, loop_options
from ml_training.training.learner import Learner
from ml_training.training.loop import Stage, ad_scores, learner_options, run_stage
from ml_training.training.machines import (
    in_precision,
    local_copy,
    make_strategy,
    part_of_data,
    precision,
    replica_batch,
)
from ml_training.training.resources import require_memory
from ml_training.training.samples import Samples, iterate_images
from ml_training.training.weights import starting_model
from ml_training.utils.errors import ModelError
from ml_training.utils.metrics import average_precision

Scores = npt.NDArray[np.float32]

VALIDATION_BATCH = 64
MOST_WORKERS = 16  # threads that make pictures


def fit_end_to_end(config: TrainingConfig, data: TrainingData, place: Place) -> Fitted:
    """Train as ``config`` says. Raises ModelError, DatasetUnusable and TooLittleMemory with advice."""
    section, part = config.training.end_to_end, part_of_data()
    strategy = make_strategy()
    keras.utils.set_random_seed(config.training.seed)
    with strategy.scope():
        model = starting_model(config)
        freeze(model, config)
        learning = in_precision(model, precision(wanted=config.training.mixed_precision))
    require_memory(learning, replica_batch(section.batch_size, strategy))
    teacher = _teacher(config)
    feed = make_feed(config, data, teacher=teacher)
    options = loop_options(config, section, "end_to_end")
    judge = validation_judge(data, ad_class_of(config.model))
    own = local_copy if part.num_shards > 1 else lambda shared: shared
    if section.epochs:
        learner = Learner(learning, learner_options(options, feed.steps), strategy=strategy, teacher=teacher)
        stage = Stage(learner, feed, lambda one: judge(own(one))[0], options, place.store("end_to_end"), part.is_chief)
        run_stage(stage, place.reporter("end_to_end"))
        model.set_weights(learning.get_weights())
    model = own(model)
    return Fitted({"model": model}, judge(model)[1], data.validation.labels)


def freeze(model: keras.Model, config: TrainingConfig) -> None:
    """Let the layers learn that the config says; batch norms where they have no pretrained statistics to keep."""
    learn = config.training.end_to_end.batch_norms_learn
    norms_learn = config.model.pretrained is None if learn is None else learn
    for place, layer in enumerate(model.layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = place >= (config.training.freeze_layers or 0) and (norms_learn or not is_norm)
    if not model.trainable_weights:
        raise ModelError(
            f"no layer is left to learn: {model.name} has {len(model.layers)}, freeze_layers is "
            f"{config.training.freeze_layers}"
        )


def make_feed(config: TrainingConfig, data: TrainingData, *, teacher: Teacher | None = None) -> PipelineFeed:
    """Return the pictures of the training split, as large as network and teacher take them."""
    section, part = config.training.end_to_end, part_of_data()
    options = loop_options(config, section, "end_to_end")
    size = max(config.model.input_size, teacher.input_size if teacher else 0)
    pipeline = Pipeline(
        examples_of(data.training, data.data_dir),
        Options(
            batch_size=section.batch_size // part.num_shards,
            seed=config.training.seed,
            num_shards=part.num_shards,
            index=part.number,
            picture_size=min(size, FRAME_SIZE),
            workers=min(os.cpu_count() or 1, MOST_WORKERS),
        ),
    )
    return PipelineFeed(pipeline, options, classes=len(config.model.classes))


def examples_of(samples: Samples, data_dir: str) -> Examples:
    """Return single frames as the pipeline reads them."""
    files, file_numbers = np.unique(samples.shard_uris.astype(str), return_inverse=True)
    recordings, recording_numbers = np.unique(samples.recording_ids.astype(str), return_inverse=True)
    return Examples(
        view=FRAMES,
        files=[storage.join(data_dir, name) for name in files.tolist()],
        file_numbers=file_numbers.astype(np.int32)[:, None],
        rows=samples.rows.astype(np.int32)[:, None],
        labels=samples.labels,
        recordings=recordings.tolist(),
        recording_numbers=recording_numbers.astype(np.int32),
        pts_seconds=samples.pts_seconds,
        hardness=np.zeros(len(samples.labels), np.float32),
        data_dir=data_dir,
    )


def validation_judge(data: TrainingData, ad_class: int) -> Callable[[keras.Model], tuple[float, Scores]]:
    """Return what scores the validation frames with a model: average precision, and P(ad) float32 [N]."""
    labels = data.validation.labels
    graphs: dict[int, Any] = {}  # traced once a model, not once an epoch

    def judge(model: keras.Model) -> tuple[float, Scores]:
        run = graphs.setdefault(id(model), tf.function(lambda images: model(images, training=False)))
        scores = ad_scores(score_frames(run, int(model.input_shape[1]), data.validation, data.data_dir), ad_class)
        return average_precision(labels == ad_class, scores), scores

    return judge


def score_frames(run: Callable[[Any], Any], size: int, samples: Samples, data_dir: str) -> Scores:
    """Return what ``run`` gives for stored frames of ``size`` pixels, float32 [N, 1] or [N, classes]."""
    outputs: Sequence[Any] = [
        run(tf.constant(scale(np.stack([resized(image, size) for image in images])))).numpy()
        for _, images in iterate_images(samples, data_dir, batch_size=VALIDATION_BATCH)
    ]
    return np.concatenate(outputs).astype(np.float32)


def _teacher(config: TrainingConfig) -> Teacher | None:
    section = config.training.teacher
    if section is None:
        return None
    parts = load_parts(section.model)
    if "model" not in parts:
        raise ModelError(f"{section.model} is no model of single frames: only such a one can teach")
    return Teacher(parts["model"], share=section.share, embedding_weight=section.embedding_weight)
