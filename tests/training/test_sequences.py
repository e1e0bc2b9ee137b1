"""Heads on embeddings: windows and clips are cut as they were, copies change alike, sound stays with its pictures."""

import numpy as np
import pytest
import tf_keras as keras
from colour_dataset import DATASET
from ml_training.config.loading import parse_config
from ml_training.data.audio.sound import load_sound
from ml_training.data.pipeline.examples import CLIPS, WINDOWS
from ml_training.data.pipeline.selection import read_examples
from ml_training.inference.mfcc import mfcc
from ml_training.inference.sound import scale_mfcc
from ml_training.training.clip_sound import ClipSound, compute_sound
from ml_training.training.fitting import TrainingData, fit_model
from ml_training.training.samples import read_samples
from ml_training.training.sequences import frames_of, in_copies
from ml_training.utils.errors import ConfigError


@pytest.fixture(scope="module")
def trunk_uri(tmp_path_factory):
    """A folder with a trunk that goes by the name of a network, but is small."""
    layers = keras.layers
    image = layers.Input((32, 32, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 5, strides=4)(image))
    folder = tmp_path_factory.mktemp("trunk")
    keras.Model(image, layers.Dense(16, "relu", name="dense")(x), name="mobilenet_v2").save(folder / "trunk.keras")
    return str(folder)


def config_of(architecture, trunk_uri):
    model = {"architecture": architecture, "trunk": "mobilenet_v2", "trunk_model": trunk_uri, "input_size": 32}
    model |= {"pretrained": None, "sequence_units": 8}
    training = {"augmented_copies": 1, "head": {"epochs": 3, "batch_size": 16}, "checkpoint_steps": 2}
    return parse_config({"model_type": "base", "variant": "x", "model": model, "training": training}, source="a test")


def test_frames_of_windows_are_looked_at_once(training_root):
    examples = read_examples(training_root, DATASET, "train", view=WINDOWS)
    frames, places = frames_of(examples, training_root)
    assert len(frames.rows) == 2 * 34
    assert np.array_equal(frames.pts_seconds[places], examples.pts_seconds[:, None] + np.array([-4, -3, -2, -1, 0]))
    assert np.array_equal(frames.rows[places], examples.rows)
    assert (frames.recording_ids[places] == examples.recording_ids[:, None]).all()
    assert frames.shard_uris[0] == "frames/one/x1/frames-00000.parquet"


def test_a_window_of_a_copy_lies_in_one_stretch():
    places = np.array([[0, 1], [1, 2], [2, 3]])
    found = in_copies(places, np.array([0, 0, 1, 1]), copies=3)
    assert found.places.tolist() == [[0, 1], [1, 2], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert found.numbers.tolist() == [0, 1, 2, 0, 2, 0, 2]
    assert found.copies.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_a_clip_hears_the_ten_seconds_around_its_frame(training_root, tmp_path):
    examples = read_examples(training_root, DATASET, "train", view=CLIPS)
    tables = compute_sound(examples, bands=32, copies=2, seed=1, folder=tmp_path)
    numbers = np.arange(len(examples))
    clips = ClipSound(tables, examples, numbers, np.zeros_like(numbers))
    chosen = np.array([0, len(examples) - 1])
    for clip, number in zip(clips[chosen], chosen, strict=True):
        extraction = examples.extractions[examples.recording_numbers[number]]
        at = float(examples.pts_seconds[number])
        alone = scale_mfcc(mfcc(load_sound(training_root, extraction, at - 5, at + 5), 32))
        assert clip.shape == (998, 32)
        assert np.allclose(clip, alone, atol=2e-3)
    changed = ClipSound(tables, examples, numbers, np.ones_like(numbers))[chosen]
    assert 0.01 < np.abs(changed.astype(float) - clips[chosen]).mean() < 2


@pytest.mark.parametrize(("architecture", "least"), [("temporal", 0.0), ("multimodal", 0.9)])
def test_a_head_learns_and_is_found_again(architecture, least, trunk_uri, training_root, place):
    config = config_of(architecture, trunk_uri)
    data = TrainingData(
        training_root, DATASET, read_samples(training_root, DATASET, "train"),
        read_samples(training_root, DATASET, "validation"),
    )  # fmt: skip
    fitted = fit_model(config, data, place)
    assert set(fitted.parts) == {"trunk", "head"}
    ads = fitted.validation_labels == 1
    assert fitted.validation_scores[ads].mean() - fitted.validation_scores[~ads].mean() > least - 0.5
    if architecture == "temporal":
        again = fit_model(config, data, place)
        assert np.array_equal(again.validation_scores, fitted.validation_scores)


def test_a_head_without_a_trunk_is_refused(place, training_root):
    with pytest.raises(ConfigError, match="trunk_model is missing"):
        fit_model(config_of("temporal", None), None, place)
