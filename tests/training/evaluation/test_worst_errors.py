"""The worst errors come first, from different moments, with the right picture and the right time."""

import numpy as np
from ml_training.training.predictions import Predictions
from ml_training.training.split_frames import read_split_frames
from ml_training.training.worst_errors import captions, clock, load_pictures, worst_errors, wrong_frames


def wrong_everywhere(built) -> Predictions:
    """The more wrong, the later in the recording."""
    frames = read_split_frames(built.folder, built.dataset_id, "test")
    ads, late = frames.labels == 1, frames.pts_seconds / 250
    return Predictions(frames, np.where(ads, 0.45 - late, 0.55 + late).astype(np.float32))


def test_the_most_wrong_come_first(built):
    predictions = wrong_everywhere(built)
    frames = predictions.frames
    false, missed = (wrong_frames(predictions, 0.5, missed=missed) for missed in (False, True))
    assert (np.diff(predictions.all_scores[false]) <= 0).all()
    assert (np.diff(predictions.all_scores[missed]) >= 0).all()
    assert (frames.labels[false] == 0).all()
    assert (frames.labels[missed] == 1).all()
    assert len(false) + len(missed) == frames.scored.sum()


def test_moments_are_ten_seconds_apart(built):
    predictions = wrong_everywhere(built)
    chosen = worst_errors(predictions, 0.5, missed=False, count=100)
    for name in set(predictions.frames.recording_ids[chosen]):
        own = predictions.frames.recording_ids[chosen] == name
        assert np.diff(np.sort(predictions.frames.pts_seconds[chosen][own])).min() >= 10
    assert len(chosen) == 10  # of each of two recordings: 99, 89, 29, 19 and 9
    assert worst_errors(predictions, 0.5, missed=False, count=3).tolist() == chosen[:3].tolist()


def test_pictures_and_captions_are_of_the_same_frame(built):
    predictions = wrong_everywhere(built)
    chosen = np.array([int(place) for place in worst_errors(predictions, 0.5, missed=True, count=4)])[::-1]
    for picture, caption, place in zip(
        load_pictures(predictions, chosen, built.folder), captions(predictions, chosen), chosen, strict=True
    ):
        seconds = predictions.frames.pts_seconds[place]
        assert caption.startswith(f"{predictions.frames.recording_ids[place]} {clock(seconds)}\nis ad, scored 0.")
        colour = 2 if 64 <= seconds < 67 else 0
        assert picture.mean(axis=(0, 1)).argmax() == colour


def test_a_clock_has_hours():
    assert clock(3725.9) == "1:02:05"
