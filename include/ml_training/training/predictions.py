"""What a model said of every frame of a split's recordings, as a table that later comparisons read.

    predictions = predict_split("s3://.../model.tflite", data_dir, dataset_id, "test")
    predictions.samples, predictions.scores                    # the frames that count
    predictions.frames, predictions.all_scores                 # all of them, promos and seen creatives too
    write_predictions(predictions, "s3://.../predictions-test.parquet")

Every recording is scored as a whole, once a frame, by whatever kind of model: single frames, windows, clips with sound.
"""

import io
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.pipeline.reading import ShardStore
from ml_training.data.workers import available_cores
from ml_training.inference.models import ENSEMBLE_ENDINGS, StretchScorer
from ml_training.models.stored import open_stored
from ml_training.statistics.intervals import RecordingCounts, count_by_recording
from ml_training.training.model_facts import folder_of, same_model, version_of
from ml_training.training.samples import Samples
from ml_training.training.split_frames import SHARDS_KEPT, SplitFrames, open_stretch, read_split_frames
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.records import Split

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Predictions:
    """Frames of one split and what a model said of each: the probability of an ad."""

    frames: SplitFrames
    all_scores: npt.NDArray[np.float32]  # [all frames]

    @cached_property
    def samples(self) -> Samples:
        """The N frames that count."""
        return self.frames.samples()

    @cached_property
    def scores(self) -> npt.NDArray[np.float32]:
        """The scores of the frames that count, float32 [N]."""
        return self.all_scores[self.frames.scored]

    def counts(self, threshold: float, chosen: Array | None = None) -> RecordingCounts:
        """Count right and wrong for each recording, of all frames that count or of those of the mask ``chosen`` [N]."""
        mask = np.ones(len(self.scores), bool) if chosen is None else chosen
        samples = self.samples
        return count_by_recording(
            samples.recording_ids[mask], samples.labels[mask], self.scores[mask] >= np.float32(threshold)
        )


def predict_split(model_uri: str, data_dir: str, dataset_id: str, split: Split) -> Predictions:
    """Score every frame of a split's recordings with a model: a file, a folder of parts or an ensemble."""
    frames = read_split_frames(data_dir, dataset_id, split)
    with open_stored(model_uri, data_dir=data_dir, threads=available_cores()) as scorer:
        return Predictions(frames, score_recordings(scorer, frames, data_dir))


def score_recordings(scorer: StretchScorer, frames: SplitFrames, data_dir: str) -> npt.NDArray[np.float32]:
    """Return the score of every frame, float32 [N]. Raises ModelError when a score is no number."""
    scores = np.zeros(len(frames.labels), np.float32)
    store = ShardStore(pictures=SHARDS_KEPT, sounds=SHARDS_KEPT)
    started = told = time.monotonic()
    for name, part in frames.recordings():
        scores[part] = scorer.score(open_stretch(frames.take(part), data_dir, store))
        if not np.isfinite(scores[part]).all():
            raise ModelError(f"the model gives scores of {name} that are no numbers: train it again", recording_id=name)
        if time.monotonic() - told > SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            logger.info("scored %d of %d frames", part.stop, len(scores))
    seconds = time.monotonic() - started
    logger.info("scored %d frames in %.1f s (%.0f a second)", len(scores), seconds, len(scores) / max(seconds, 1e-9))
    return scores


def stored_predictions(model_uri: str, data_dir: str, dataset_id: str, split: Split) -> Predictions | None:
    """Return what ``training.evaluate`` left beside a model, when it is of this model and this version; else None.

    Of an ensemble nothing is taken: its members may have changed.
    """
    if model_uri.endswith(ENSEMBLE_ENDINGS):
        return None
    try:
        evaluation = storage.read_json(storage.join(folder_of(model_uri), f"evaluation-{split}.json"))
    except ObjectNotFound:
        return None
    known = [evaluation.get(name) for name in ("model_version", "dataset_id")]
    if not same_model(evaluation["model_uri"], model_uri) or known != [version_of(model_uri), dataset_id]:
        return None
    return read_predictions(evaluation["predictions_uri"], data_dir, dataset_id, split)


def read_predictions(uri: str, data_dir: str, dataset_id: str, split: Split) -> Predictions | None:
    """Return stored predictions of a split; None when they are not there or of other frames."""
    frames = read_split_frames(data_dir, dataset_id, split)
    try:
        with storage.local_copy(uri) as path:
            table = pq.read_table(path, columns=["recording_id", "pts_seconds", "score"])
    except ObjectNotFound:
        return None
    same_times = np.array_equal(table["pts_seconds"].to_numpy(), frames.pts_seconds)
    if not same_times or table["recording_id"].to_pylist() != frames.recording_ids.tolist():
        logger.warning("%s is about other frames than dataset %s has: scoring again", uri, dataset_id)
        return None
    return Predictions(frames, table["score"].to_numpy())


def write_predictions(predictions: Predictions, uri: str) -> None:
    """Store the table, one row a frame in order of recording and time; ``label`` is -1 where nothing is judged."""
    frames = predictions.frames
    table = pa.table(
        {
            "recording_id": frames.recording_ids,
            "channel": frames.channels,
            "genre": frames.genres,
            "show": frames.shows,
            "pts_seconds": frames.pts_seconds,
            "label": frames.labels,
            "label_name": frames.label_names,
            "seen_creative": frames.seen_creatives,
            "score": predictions.all_scores,
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    storage.write_bytes(uri, buffer.getvalue())
