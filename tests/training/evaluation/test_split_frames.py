"""Recordings are read whole, and each frame is told apart: counted, seen before, not judged."""

import numpy as np
import pytest
from ml_training.training.samples import read_samples
from ml_training.training.slices import near_seen, slice_masks
from ml_training.training.split_frames import SplitFrames, open_stretch, read_split_frames
from ml_training.utils.errors import DatasetUnusable


def frames_of(labels: list[int], seen: list[int], recording: str = "a", channel: str = "one") -> SplitFrames:
    count = len(labels)
    texts = [np.array([text] * count, object) for text in (recording, channel, "news", "")]
    return SplitFrames(
        *texts,
        np.arange(count, dtype=float),
        np.array(labels, np.int8),
        np.array(["x"] * count, object),
        np.isin(np.arange(count), seen),
        np.array(["frames/a"] * count, object),
        np.arange(count, dtype=np.int32),
    )


def test_what_counts_is_what_training_reads(built):
    frames = read_split_frames(built.folder, built.dataset_id, "test")
    for ours, theirs in zip(frames.samples(), read_samples(built.folder, built.dataset_id, "test"), strict=True):
        assert np.array_equal(ours, theirs)
    assert len(frames.labels) > frames.scored.sum()
    assert not (frames.scored & frames.seen).any()
    assert frames.spacing_seconds() == pytest.approx(1, abs=0.01)


def test_recordings_are_whole_and_in_order(built):
    frames = read_split_frames(built.folder, built.dataset_id, "test")
    for name, part in frames.recordings():
        assert set(frames.recording_ids[part]) == {name}
        assert (np.diff(frames.pts_seconds[part]) > 0).all()
        assert part.stop - part.start == 100
    assert part.stop == len(frames.labels)


def test_a_stretch_has_pictures_and_sound(built):
    frames = read_split_frames(built.folder, built.dataset_id, "test")
    _, part = next(frames.recordings())
    stretch = open_stretch(frames.take(part), built.folder)
    assert len(stretch) == 100
    pictures = stretch.images(29, 31)
    assert pictures.shape == (2, 224, 224, 3)
    assert pictures[0].mean(axis=(0, 1)).argmax() == 2  # content is blue
    assert pictures[1].mean(axis=(0, 1)).argmax() == 0  # and the ad red
    assert stretch.sound is not None
    loud, quiet = (np.abs(stretch.sound(start, start + 5.0)).mean() for start in (32.0, 18.0))
    assert loud > 2 * quiet
    assert stretch.sound(-1.0, 1.0).shape == (32_000,)


def test_a_version_that_is_not_there_is_told(built):
    with pytest.raises(DatasetUnusable, match="there is no dataset nothing"):
        read_split_frames(built.folder, "nothing", "test")


def test_surroundings_reach_five_seconds_and_stay_in_the_recording():
    one = frames_of([0] * 20, [10])
    assert np.flatnonzero(near_seen(one)).tolist() == list(range(5, 16))
    both = SplitFrames(*(np.concatenate(pair) for pair in zip(one, frames_of([0] * 20, [0], "b"), strict=True)))
    assert np.flatnonzero(near_seen(both)).tolist() == [*range(5, 16), *range(20, 26)]


def test_slices_hold_what_they_say():
    frames = frames_of([1, 1, 0, 0, -1, 1, 0, 0, 0, 0, 0, 1], [1])
    masks = {name: np.flatnonzero(mask).tolist() for name, mask in slice_masks(frames)}
    assert masks["channel=one"] == [0, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert masks["creatives=seen"] == [1, 2, 3, 6, 7, 8, 9, 10]
    assert masks["surroundings=unseen"] == [7, 8, 9, 10, 11]
    assert "show=" not in masks
