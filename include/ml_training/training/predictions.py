"""What a model said of every frame of a split, as a table that later comparisons read.

predictions = predict_split("s3://.../model.tflite", data_dir, dataset_id, "test")
write_predictions(predictions, "s3://.../predictions-test.parquet")
"""

import io
import logging
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.inference.scorer import Scorer, load_scorer
from ml_training.statistics.intervals import RecordingCounts, count_by_recording
from ml_training.training.samples import Samples, iterate_images, read_samples
from ml_training.utils.errors import ObjectNotFound
from ml_training.utils.records import Split

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
BATCH_SIZE = 64


class Predictions(NamedTuple):
    """Frames of one split and what a model said of them."""

    samples: Samples
    scores: npt.NDArray[np.float32]  # [N], probability of an ad

    def counts(self, threshold: float, chosen: Array | None = None) -> RecordingCounts:
        """Count right and wrong for each recording, of all frames or of those that the mask ``chosen`` [N] names."""
        mask = np.ones(len(self.scores), bool) if chosen is None else chosen
        samples = self.samples
        return count_by_recording(
            samples.recording_ids[mask], samples.labels[mask], self.scores[mask] >= np.float32(threshold)
        )


def predict_split(model_uri: str, data_dir: str, dataset_id: str, split: Split) -> Predictions:
    """Score every scored frame of a split with a model file."""
    samples = read_samples(data_dir, dataset_id, split)
    with storage.local_copy(model_uri) as path:
        return Predictions(samples, score_samples(load_scorer(path), samples, data_dir))


def stored_predictions(model_uri: str, data_dir: str, dataset_id: str, split: Split) -> Predictions | None:
    """Return what ``training.evaluate`` left beside a model, when it is about this dataset version; else None."""
    folder = model_uri.rsplit("/", 1)[0]
    try:
        evaluation = storage.read_json(storage.join(folder, f"evaluation-{split}.json"))
    except ObjectNotFound:
        return None
    if (evaluation["model_uri"], evaluation["dataset_id"]) != (model_uri, dataset_id):
        return None
    with storage.local_copy(evaluation["predictions_uri"]) as path:
        scores = np.asarray(pq.read_table(path, columns=["score"])["score"])
    return Predictions(read_samples(data_dir, dataset_id, split), scores)


def score_samples(scorer: Scorer, samples: Samples, data_dir: str) -> npt.NDArray[np.float32]:
    """Return the score of every frame, float32 [N]."""
    scores = np.zeros(len(samples.labels), np.float32)
    started = time.monotonic()
    for first, images in iterate_images(samples, data_dir, batch_size=BATCH_SIZE):
        scores[first : first + len(images)] = scorer.score(images)
    seconds = time.monotonic() - started
    logger.info("scored %d frames in %.1f s (%.0f a second)", len(scores), seconds, len(scores) / max(seconds, 1e-9))
    return scores


def write_predictions(predictions: Predictions, uri: str) -> None:
    """Store the table: recording_id, channel, genre, pts_seconds, label, score, one row a frame."""
    samples = predictions.samples
    table = pa.table(
        {
            "recording_id": samples.recording_ids,
            "channel": samples.channels,
            "genre": samples.genres,
            "pts_seconds": samples.pts_seconds,
            "label": samples.labels,
            "score": predictions.scores,
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    storage.write_bytes(uri, buffer.getvalue())
