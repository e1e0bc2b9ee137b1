"""What a model said is stored and found again, and only where it is about the same frames."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ml_training.training import evaluate
from ml_training.training.model_facts import facts_of, folder_of
from ml_training.training.predictions import (
    Predictions,
    predict_split,
    read_predictions,
    score_recordings,
    stored_predictions,
    write_predictions,
)
from ml_training.training.split_frames import read_split_frames
from ml_training.utils.errors import ModelError


def test_every_frame_of_a_recording_has_a_score(built):
    predictions = predict_split(built.model_uri, built.folder, built.dataset_id, "test")
    assert len(predictions.all_scores) == len(predictions.frames.labels)
    red = np.isin(predictions.frames.label_names, ["ident"])
    assert (predictions.all_scores[red] > 0.5).all()  # frames that are not judged are scored all the same
    assert len(predictions.scores) == predictions.frames.scored.sum() == len(predictions.samples.labels)
    assert predictions.counts(0.5).counts.sum() == len(predictions.scores)


def test_what_is_stored_is_found_again(root):
    predictions = predict_split(root.model_uri, root.folder, root.dataset_id, "test")
    uri = f"{root.folder}/predictions.parquet"
    write_predictions(predictions, uri)
    again = read_predictions(uri, root.folder, root.dataset_id, "test")
    assert np.array_equal(again.all_scores, predictions.all_scores)
    assert read_predictions(uri, root.folder, root.dataset_id, "validation") is None
    assert read_predictions(f"{root.folder}/nothing.parquet", root.folder, root.dataset_id, "test") is None


def test_stored_predictions_are_those_of_this_model_and_version(root):
    assert stored_predictions(root.model_uri, root.folder, root.dataset_id, "test") is None
    evaluate.evaluate(evaluate.read_judged(root.model_uri), data_dir=root.folder)
    for uri in (root.model_uri, folder_of(root.model_uri)):
        assert stored_predictions(uri, root.folder, root.dataset_id, "test") is not None
    os.utime(root.model_uri, (4e9, 4e9))  # the file was replaced
    assert stored_predictions(root.model_uri, root.folder, root.dataset_id, "test") is None
    evaluate.evaluate(evaluate.read_judged(root.model_uri), data_dir=root.folder)
    evaluation = Path(folder_of(root.model_uri)) / "evaluation-test.json"
    evaluation.write_text(json.dumps({**json.loads(evaluation.read_text()), "dataset_id": "other"}))
    assert stored_predictions(root.model_uri, root.folder, root.dataset_id, "test") is None


def test_a_score_that_is_no_number_stops(built):
    class Broken:
        threshold, class_names = 0.5, ("content", "ad")

        def score(self, stretch):
            return np.full(len(stretch), np.nan, np.float32)

    frames = read_split_frames(built.folder, built.dataset_id, "test")
    with pytest.raises(ModelError, match="no numbers"):
        score_recordings(Broken(), frames, built.folder)


def test_the_whole_recording_is_scored_as_one(built):
    """A model that sees a recording's first frame knows all of its frames."""
    seen = []

    class Watching:
        threshold, class_names = 0.5, ("content", "ad")

        def score(self, stretch):
            seen.append((stretch.pts_seconds[0], len(stretch)))
            return np.zeros(len(stretch), np.float32)

    frames = read_split_frames(built.folder, built.dataset_id, "test")
    scores = score_recordings(Watching(), frames, built.folder)
    assert seen == [(0, 100)] * len(list(frames.recordings()))
    assert Predictions(frames, scores).counts(0.5).counts[:, :2].sum() == 0


def test_a_model_is_known_by_file_and_by_folder(root):
    for uri in (root.model_uri, folder_of(root.model_uri)):
        assert facts_of(uri)[:2] == (root.dataset_id, 0.4)
    with pytest.raises(ModelError, match=r"no manifest\.json beside it"):
        facts_of(f"{root.folder}/no/model.tflite")
    with pytest.raises(ModelError, match=r"no model\.json|no card\.json"):
        facts_of(f"{root.folder}/no/model.keras")
