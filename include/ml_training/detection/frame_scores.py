"""Scores of frames by models that did not learn them: the only ones that a sequence model may learn from.

    scored = score_unseen(lessons, [open_frames_model("RUN/int8", data_dir)])
    scored.log_odds["news-0105"]                     # float32 [N], one a frame, calibrated
    scored.calibration                               # of the first model, which the detector will work with

On what a model has learned it is too sure, and a sequence model that learned from such scores would trust it too much.
Each recording is scored by the first model that did not learn it. Those that all have learned are scored by logistic
heads on ImageNet features, each learned without their channel: weaker, but calibrated and honest.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.config.schema import ModelSection
from ml_training.data.dataset_listing import read_listing
from ml_training.data.label_resolution import segment_numbers
from ml_training.data.workers import available_cores
from ml_training.detection.calibration import Calibration, calibrate
from ml_training.detection.features import Floats
from ml_training.detection.gather import Score, StoredRecording, log_odds
from ml_training.inference.description import CARD_NAME, MANIFEST_NAME
from ml_training.inference.models import open_model
from ml_training.inference.scorer import scale
from ml_training.utils.errors import DatasetUnusable, ModelError
from ml_training.utils.records import Segment

logger = logging.getLogger(__name__)

HEAD_FOLDS = 5
BATCH = 32
INVERSE_RIDGE = 3e-3  # of the heads: 1,280 features, some thousand frames of a dozen channels


class FramesModel(NamedTuple):
    """A model of frames, and the recordings that it has learned."""

    path: Path
    score: Score
    learned: frozenset[str]


class Labelled(NamedTuple):
    """A stored recording with its labels."""

    source: StoredRecording
    segments: Sequence[Segment]
    channel: str

    @property
    def frame_labels(self) -> npt.NDArray[np.int64]:
        """Return 1 for ads, 0 for content and -1 for what is not scored, of every frame."""
        numbers = segment_numbers(self.segments, self.source.index["pts_seconds"].to_numpy())
        values = np.array([{"ad": 1, "content": 0}.get(s.label, -1) for s in self.segments] + [-1])
        return np.asarray(values[numbers], np.int64)


class Scored(NamedTuple):
    """Calibrated log odds of every frame by recording, and the calibration of the first model."""

    log_odds: dict[str, Floats]
    calibration: Calibration


def open_frames_model(path: Path, data_dir: str) -> FramesModel:
    """Open a model of frames and read from its dataset version what it has learned; raises ModelError."""
    import json

    folder = path if path.is_dir() else path.parent
    for name in (MANIFEST_NAME, CARD_NAME):
        if (folder / name).is_file():
            dataset_id = json.loads((folder / name).read_text())["dataset_id"]
            break
    else:
        raise ModelError(f"{path} does not say what it has learned: expected {MANIFEST_NAME} or {CARD_NAME} beside it")
    try:
        listed = read_listing(data_dir, dataset_id).recordings.values()
    except DatasetUnusable as error:
        raise ModelError(
            f"{path} has learned dataset {dataset_id}, which is not in {data_dir}: then nobody knows which of its "
            "scores are honest"
        ) from error
    return FramesModel(
        path,
        open_model(path, threads=available_cores()).score,
        frozenset(r.recording_id for r in listed if r.split == "train"),
    )


def score_unseen(lessons: Mapping[str, Labelled], models: Sequence[FramesModel]) -> Scored:
    """Score every recording. Raises ModelError when the first model has learned all of them."""
    found: dict[str, Floats] = {}
    calibration = Calibration()
    for number, model in enumerate(models):
        unseen = [name for name in lessons if name not in model.learned and name not in found]
        if number == 0 and not unseen:
            raise ModelError(f"{model.path} has learned all of these recordings: some must be left, to calibrate it")
        own, fitted = _calibrated(lessons, {n: log_odds(model.score(lessons[n].source.stretch())) for n in unseen})
        found |= own
        calibration = fitted if number == 0 else calibration
        logger.info("%s scored %d recordings that it has not learned", model.path.name, len(unseen))
    left = [name for name in lessons if name not in found]
    if models and left:
        logger.info("%d recordings are scored by heads that have not learned their channel", len(left))
        found |= _calibrated(lessons, _by_heads({name: lessons[name] for name in left}))[0]
    return Scored(found, calibration)


def _calibrated(lessons: Mapping[str, Labelled], raw: Mapping[str, Floats]) -> tuple[dict[str, Floats], Calibration]:
    if not raw:
        return {}, Calibration()
    labels = np.concatenate([lessons[name].frame_labels for name in raw])
    values = np.concatenate(list(raw.values()))
    fitted = calibrate(values[labels >= 0], labels[labels >= 0])
    return {name: fitted.apply(values) for name, values in raw.items()}, fitted


def _by_heads(lessons: Mapping[str, Labelled]) -> dict[str, Floats]:
    """Return log odds of logistic heads on ImageNet features, each learned on the other channels."""
    features = imagenet_features(lessons)
    channels = sorted({lesson.channel for lesson in lessons.values()})
    found: dict[str, Floats] = {}
    for number in range(min(HEAD_FOLDS, len(channels))):
        held_out = set(channels[number::HEAD_FOLDS])
        head = _head(lessons, features, held_out)
        for name, lesson in lessons.items():
            if lesson.channel in held_out:
                found[name] = np.asarray(head(features[name]), np.float32)
    return found


def _head(lessons: Mapping[str, Labelled], features: Mapping[str, Floats], held_out: Collection[str]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    others = [name for name, lesson in lessons.items() if lesson.channel not in held_out]
    if not others:
        return lambda rows: np.zeros(len(rows))
    labels = np.concatenate([lessons[name].frame_labels for name in others])
    rows = np.concatenate([features[name] for name in others])[labels >= 0]
    if len(np.unique(labels[labels >= 0])) < 2:
        return lambda rows: np.zeros(len(rows))
    head = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_RIDGE, max_iter=200))
    return head.fit(rows, labels[labels >= 0]).decision_function


def imagenet_features(lessons: Mapping[str, Labelled]) -> dict[str, Floats]:
    """Return pooled features of EfficientNet-Lite0 as ImageNet left it, float32 [N, 1280] for each recording."""
    import tf_keras as keras

    from ml_training.models.efficientnet import build_classifier

    model = build_classifier(ModelSection(), weights="imagenet")
    pooled = keras.Model(model.input, model.get_layer("pool").get_output_at(0))
    found = {}
    for name, lesson in lessons.items():
        count = len(lesson.source.index)
        parts = [
            pooled.predict_on_batch(scale(lesson.source.images(start, min(start + BATCH, count))))
            for start in range(0, count, BATCH)
        ]
        found[name] = np.concatenate(parts).astype(np.float32)
    return found
