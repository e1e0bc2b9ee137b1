"""Finds the weights of any architecture, in the way that its config says.

    fitted = fit_model(config, data, Place(work_dir, "s3://.../checkpoints", on_epoch=tracker.epoch))
    fitted.parts                        # {"model": ...} or {"trunk": ..., "head": ...}

| architecture | mode | module |
| --- | --- | --- |
| of single frames | ``staged`` | ``training.staged``: activations once, head, upper blocks |
| of single frames | ``end_to_end`` | ``training.end_to_end``: the whole network on changed pictures |
| temporal, multimodal | both | ``training.sequences``: a head on the embeddings of a trained trunk |
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.config.schema import EndToEndStage, HeadStage, ModelSection, TrainingConfig, UpperStage
from ml_training.training.checkpoints import CheckpointStore
from ml_training.training.loop import LoopOptions, OnEpoch
from ml_training.training.samples import Samples

Array = npt.NDArray[Any]


class TrainingData(NamedTuple):
    """The two splits that a training may see, and where their pictures are."""

    data_dir: str
    dataset_id: str
    training: Samples
    validation: Samples


class Place(NamedTuple):
    """Where a training keeps what it computes, and whom it tells of each epoch: stage, epoch from 1, figures."""

    work_dir: Path
    checkpoints: str
    on_epoch: Callable[[str, int, dict[str, float]], None]

    def store(self, stage: str) -> CheckpointStore:
        """Return where the state of a stage is kept."""
        return CheckpointStore(storage.join(self.checkpoints, f"{stage}.npz"))

    def reporter(self, stage: str) -> OnEpoch:
        """Return what is to be told of each epoch of a stage."""
        return lambda epoch, values: self.on_epoch(stage, epoch, values)


class Fitted(NamedTuple):
    """Trained networks by the names of their files, and what they say of validation."""

    parts: dict[str, Any]
    validation_scores: npt.NDArray[np.float32]  # [N], P(ad)
    validation_labels: Array  # [N]; of more than two classes, their numbers


def fit_model(config: TrainingConfig, data: TrainingData, place: Place) -> Fitted:
    """Train as ``config`` says. Raises ModelError, DatasetUnusable and TooLittleMemory with advice."""
    if config.model.is_head:
        from ml_training.training.sequences import fit_on_embeddings

        return fit_on_embeddings(config, data, place)
    if config.training.mode == "end_to_end":
        from ml_training.training.end_to_end import fit_end_to_end

        return fit_end_to_end(config, data, place)
    from ml_training.training.staged import fit_staged

    return fit_staged(config, data, place)


def loop_options(config: TrainingConfig, stage: HeadStage | UpperStage | EndToEndStage, name: str) -> LoopOptions:
    """Return how a stage of a config learns."""
    section = config.training
    return LoopOptions(
        epochs=stage.epochs,
        batch_size=stage.batch_size,
        learning_rate=stage.learning_rate,
        weight_decay=section.weight_decay,
        label_smoothing=section.label_smoothing,
        seed=section.seed,
        class_weighting=section.class_weighting,
        warm_up_share=section.warm_up_share,
        ema_decay=section.ema_decay,
        early_stopping_epochs=section.early_stopping_epochs,
        checkpoint_seconds=section.checkpoint_seconds,
        checkpoint_steps=section.checkpoint_steps,
        name=name,
    )


def ad_class_of(section: ModelSection) -> int:
    """Return the label of an ad: 1 of two classes, its place among more."""
    return 1 if len(section.classes) == 2 else section.classes.index("ad")
