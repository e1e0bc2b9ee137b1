"""Batches hold what the examples name, in an order that survives kills, other numbers of workers and tf.data."""

import threading

import numpy as np
import pytest
from ml_training.data.audio.mfcc import mfcc
from ml_training.data.audio.sound import SAMPLE_RATE
from ml_training.data.augmentation.pictures import apply_change, draw_change
from ml_training.data.pipeline.batches import Options, Pipeline, State
from ml_training.data.pipeline.examples import CLIPS, WINDOWS
from ml_training.data.pipeline.selection import read_examples
from ml_training.utils.errors import DataError, DatasetUnusable, UsageError

DATASET = "pipelinedataset0"
PLAIN = Options(batch_size=8, augment=False, shuffle=False, drop_remainder=False)


def same(first, second):
    assert first.next_state == second.next_state
    for name in ("images", "labels", "weights", "numbers", "sound", "mfcc"):
        a, b = getattr(first, name), getattr(second, name)
        assert (a is None) == (b is None)
        assert a is None or np.array_equal(a, b), name


def test_frames_are_those_that_the_manifest_names(training_frames, what):
    identify, _ = what
    pipeline = Pipeline(training_frames, PLAIN)
    seen = 0
    for batch in pipeline.iterate(epochs=1):
        assert batch.images.dtype == np.uint8
        assert batch.images.shape[1:] == (224, 224, 3)
        for image, number, label in zip(batch.images, batch.numbers, batch.labels, strict=True):
            recording, second = identify(image)
            assert recording == training_frames.recording_ids[number]
            assert second == int(training_frames.pts_seconds[number])
            assert label == training_frames.labels[number]
            seen += 1
    assert seen == len(training_frames)


def test_windows_hold_five_seconds_of_one_recording(pipeline_root, what):
    identify, _ = what
    windows = read_examples(str(pipeline_root), DATASET, "train", view=WINDOWS)
    for batch in Pipeline(windows, Options(batch_size=6, augment=False)).iterate(epochs=1):
        assert batch.images.shape == (6, 5, 224, 224, 3)
        for window, number in zip(batch.images, batch.numbers, strict=True):
            found = [identify(image) for image in window]
            last = int(windows.pts_seconds[number])
            assert found == [(windows.recording_ids[number], s) for s in range(last - 4, last + 1)]


def test_clips_hold_ten_seconds_with_the_sound_of_the_same_seconds(pipeline_root, what):
    identify, sound_of = what
    clips = read_examples(str(pipeline_root), DATASET, "train", view=CLIPS)
    clips.pts_seconds[:] = np.round(clips.pts_seconds)  # whole seconds: the sound of the fixture changes there
    for batch in Pipeline(clips, Options(batch_size=4, augment=False)).iterate(epochs=1):
        assert batch.images.shape == (4, 10, 224, 224, 3)
        assert batch.sound.shape == (4, 10 * SAMPLE_RATE)
        for pictures, sound, number in zip(batch.images, batch.sound, batch.numbers, strict=True):
            middle, recording = int(clips.pts_seconds[number]), clips.recording_ids[number]
            assert identify(pictures[5]) == (recording, middle)
            assert np.array_equal(sound, sound_of(recording, range(middle - 5, middle + 5)))


@pytest.mark.parametrize("bands", [32, 40])
def test_clips_bring_the_mfcc_of_the_sound_that_they_bring(pipeline_root, bands):
    clips = read_examples(str(pipeline_root), DATASET, "train", view=CLIPS)
    batch = Pipeline(clips, Options(batch_size=2, mfcc_bands=bands)).batch(State(0, 0))
    assert batch.mfcc.shape == (2, 998, bands)
    assert batch.mfcc.dtype == np.float32
    assert np.array_equal(batch.mfcc[1], mfcc(batch.sound[1], bands))
    assert set(batch.inputs()) == {"images", "sound", "mfcc"}


def test_frames_of_a_window_and_sound_are_changed_alike_and_anew_each_epoch(pipeline_root):
    clips = read_examples(str(pipeline_root), DATASET, "train", view=CLIPS)
    options = Options(batch_size=len(clips), shuffle=False)
    first, again = (Pipeline(clips, options).batch(State(0, 0)) for _ in range(2))
    other = Pipeline(clips, options).batch(State(1, 0))
    plain = Pipeline(clips, Options(batch_size=len(clips), shuffle=False, augment=False)).batch(State(0, 0))
    same(first, again)
    assert not np.array_equal(first.images, other.images)
    assert not np.array_equal(first.sound, other.sound)
    assert not np.array_equal(first.sound, plain.sound)
    for position in range(3):
        change = draw_change(np.random.default_rng([options.seed, 0, position]))
        for changed, image in zip(first.images[position], plain.images[position], strict=True):
            assert np.array_equal(changed, apply_change(image, change))


@pytest.mark.parametrize("start", [State(0, 0), State(0, 3), State(1, 7), State(2, 0)])
def test_a_pipeline_goes_on_where_it_stopped(training_frames, start):
    options = Options(batch_size=8, ad_share=0.5, seed=5)
    whole = list(Pipeline(training_frames, options).iterate(epochs=3))
    steps = Pipeline(training_frames, options).steps_per_epoch
    assert len(whole) == 3 * steps
    resumed = list(Pipeline(training_frames, options).iterate(start, epochs=3))
    at = start.epoch * steps + start.step
    assert len(resumed) == len(whole) - at
    for first, second in zip(whole[at:], resumed, strict=True):
        same(first, second)
    assert whole[at - 1].next_state == start or not at


def test_the_number_of_threads_changes_nothing(training_frames):
    one, four = (
        list(Pipeline(training_frames, Options(batch_size=16, workers=workers)).iterate(epochs=2)) for workers in (1, 4)
    )
    for first, second in zip(one, four, strict=True):
        same(first, second)


@pytest.mark.parametrize("count", [2, 3])
def test_shards_together_see_what_one_machine_sees(training_frames, count):
    whole = list(Pipeline(training_frames, Options(batch_size=4 * count)).iterate(epochs=1))
    parts = [
        list(Pipeline(training_frames, Options(batch_size=4, num_shards=count, index=i)).iterate(epochs=1))
        for i in range(count)
    ]
    assert {len(part) for part in parts} == {len(whole)}
    for step, batch in enumerate(whole):
        for index, part in enumerate(parts):
            assert np.array_equal(part[step].numbers, batch.numbers[index::count])
            assert np.array_equal(part[step].images, batch.images[index::count])


def test_weights_come_with_the_batch_or_by_drawing(training_frames):
    drawn = Pipeline(training_frames, Options(batch_size=20, ad_share=0.5, augment=False))
    assert np.mean([b.labels.mean() for b in drawn.iterate(epochs=1)]) == pytest.approx(0.5, abs=0.05)
    by_loss = Pipeline(
        training_frames,
        Options(batch_size=10, ad_share=0.5, weighting="loss", augment=False, drop_remainder=False),
    )
    batches = list(by_loss.iterate(epochs=1))
    weights, labels = (np.concatenate([getattr(b, name) for b in batches]) for name in ("weights", "labels"))
    assert len(weights) == len(training_frames)
    assert weights.mean() == pytest.approx(1)
    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum(), rel=1e-5)


def test_an_iterator_that_is_left_takes_its_threads_along(training_frames):
    iterator = Pipeline(training_frames, Options(batch_size=8)).iterate()
    next(iterator)
    assert any(thread.name.startswith("pipeline") for thread in threading.enumerate())
    iterator.close()
    assert not any(thread.name.startswith("pipeline") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (Options(batch_size=0), UsageError, "at least 1"),
        (Options(num_shards=2, index=2), UsageError, "index below num_shards"),
        (Options(seed=-1), UsageError, "seed"),
        (Options(mfcc_bands=40), UsageError, "view with sound"),
        (Options(shuffle=False, ad_share=0.5), UsageError, "weighting='loss'"),
        (Options(batch_size=1000), DatasetUnusable, "smaller batch_size"),
    ],
)
def test_options_that_cannot_be_are_refused(training_frames, options, error, says):
    with pytest.raises(error, match=says):
        Pipeline(training_frames, options)


def test_a_step_past_the_epoch_is_refused(training_frames):
    pipeline = Pipeline(training_frames, Options(batch_size=8))
    with pytest.raises(UsageError, match="steps 0 to"):
        pipeline.batch(State(0, pipeline.steps_per_epoch))


def test_a_row_that_is_not_there_is_said(training_frames):
    broken = training_frames.take(np.arange(len(training_frames)))
    broken.rows[3] = 99
    with pytest.raises(DataError, match="rows 0 to 15, received 99"):
        list(Pipeline(broken, PLAIN).iterate(epochs=1))
