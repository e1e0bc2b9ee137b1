"""Networks with a small input get small pictures, decoded roughly where they are changed at random anyway."""

import os
import sys
import threading

import cv2
import numpy as np
import pytest
from ml_training.data.frames import load_images
from ml_training.data.pipeline import reading
from ml_training.data.pipeline.batches import NICENESS, Options, Pipeline, State
from ml_training.data.pipeline.reading import ShardStore
from ml_training.data.pipeline.tensors import as_dataset
from ml_training.utils.errors import UsageError


def test_batches_have_the_size_of_the_network(training_frames):
    pipeline = Pipeline(training_frames, Options(batch_size=4, picture_size=96, workers=1))
    first = pipeline.batch(State())
    assert first.images.shape == (4, 96, 96, 3)
    assert np.array_equal(first.images, pipeline.batch(State()).images)
    assert as_dataset(pipeline).element_spec[0]["images"].shape == (4, 96, 96, 3)


def test_a_picture_that_is_not_changed_is_the_stored_one_made_smaller(training_frames):
    pipeline = Pipeline(training_frames, Options(batch_size=1, picture_size=96, augment=False, shuffle=False))
    number = int(pipeline.batch(State()).numbers[0])
    file, row = training_frames.files[training_frames.file_numbers[number, 0]], int(training_frames.rows[number, 0])
    whole = load_images(file, [row])[0]
    smaller = cv2.resize(whole, (96, 96), interpolation=cv2.INTER_AREA)
    assert np.array_equal(pipeline.batch(State()).images[0], smaller)
    rough = ShardStore(pictures=1, sounds=1).picture(file, row, size=96, rough=True)
    assert rough.shape == (96, 96, 3)
    assert np.abs(rough.astype(int) - smaller).mean() < 3


def test_small_pictures_are_decoded_once_as_long_as_there_is_room(training_frames, monkeypatch):
    monkeypatch.setattr(reading, "SMALL_BYTES", 2 * 96 * 96 * 3)
    store, file = ShardStore(pictures=1, sounds=1), training_frames.files[training_frames.file_numbers[0, 0]]
    first = [store.picture(file, row, size=96, rough=True) for row in range(3)]
    again = [store.picture(file, row, size=96, rough=True) for row in range(3)]
    assert [one is other for one, other in zip(first, again, strict=True)] == [True, True, False]
    assert np.array_equal(first[2], again[2])


def test_a_kept_picture_is_not_changed_by_those_made_of_it(training_frames):
    pipeline = Pipeline(training_frames, Options(batch_size=4, picture_size=96))
    assert np.array_equal(pipeline.batch(State()).images, pipeline.batch(State()).images)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")
def test_making_batches_gives_way_to_the_step_that_learns(training_frames, monkeypatch):
    priorities = []
    make = Pipeline.batch

    def batch(self, state):
        priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return make(self, state)

    monkeypatch.setattr(Pipeline, "batch", batch)
    next(Pipeline(training_frames, Options(batch_size=4, picture_size=96)).iterate())
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert min(priorities) == min(19, own + NICENESS)


def test_a_size_that_no_frame_has_is_refused(training_frames):
    with pytest.raises(UsageError, match="picture_size 32 to 224"):
        Pipeline(training_frames, Options(picture_size=512))
