"""The scorer on a real int8 file of a few kilobytes."""

from pathlib import Path

import numpy as np
import pytest
from ml_training.inference.scorer import load_scorer, scale
from ml_training.utils.errors import ModelError

TINY = Path(__file__).parents[1] / "data_files" / "tiny_int8.tflite"


def images_for(scorer, count):
    shape = tuple(int(side) for side in scorer.input["shape"][1:])
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)


def test_scores_are_probabilities_one_a_picture():
    scorer = load_scorer(TINY)
    scores = scorer.score(images_for(scorer, 5))
    assert scores.shape == (5,)
    assert scores.dtype == np.float32
    assert np.all((scores >= 0) & (scores <= 1))


def test_the_same_picture_has_the_same_score():
    scorer = load_scorer(TINY)
    images = images_for(scorer, 3)
    assert np.array_equal(scorer.score(images), scorer.score(images))
    assert scorer.score(images[1:2])[0] == scorer.score(images)[1]


def test_no_pictures_no_scores():
    scorer = load_scorer(TINY)
    assert scorer.score(images_for(scorer, 0)).shape == (0,)


def test_another_size_is_refused():
    with pytest.raises(ModelError, match="expected pictures of shape"):
        load_scorer(TINY).score(np.zeros((1, 10, 10, 3), np.uint8))


def test_scale_is_exact():
    assert scale(np.array([0, 127, 255], np.uint8)).tolist() == [-127 / 128, 0.0, 1.0]


@pytest.mark.parametrize("name", ["broken.tflite", "broken.keras", "model.onnx"])
def test_what_is_no_model_is_said(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"this is no model")
    with pytest.raises(ModelError, match=name):
        load_scorer(path)
