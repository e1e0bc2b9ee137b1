"""tf.data gives the same batches in the same order."""

import numpy as np
import pytest
from ml_training.data.pipeline.batches import Options, Pipeline, State
from ml_training.data.pipeline.examples import CLIPS
from ml_training.data.pipeline.selection import read_examples
from ml_training.data.pipeline.tensors import as_dataset

DATASET = "pipelinedataset0"


@pytest.mark.parametrize("start", [State(0, 0), State(1, 2)])
def test_a_dataset_has_the_batches_of_the_iterator(training_frames, start):
    pipeline = Pipeline(training_frames, Options(batch_size=8, ad_share=0.5))
    dataset = as_dataset(pipeline, start=start, epochs=2)
    assert dataset.element_spec[0]["images"].shape.as_list() == [8, 224, 224, 3]
    expected = list(pipeline.iterate(start, epochs=2))
    for _ in range(2):  # each iteration starts anew
        found = list(dataset.as_numpy_iterator())
        assert len(found) == len(expected)
        for (inputs, labels, weights), batch in zip(found, expected, strict=True):
            assert np.array_equal(inputs["images"], batch.images)
            assert np.array_equal(labels, batch.labels)
            assert np.array_equal(weights, batch.weights)


def test_clips_bring_their_sound_and_a_last_batch_may_be_smaller(pipeline_root):
    clips = read_examples(str(pipeline_root), DATASET, "train", view=CLIPS)
    pipeline = Pipeline(clips, Options(batch_size=len(clips) - 1, drop_remainder=False))
    first, last = as_dataset(pipeline, epochs=1).as_numpy_iterator()
    assert first[0]["sound"].shape == (len(clips) - 1, 160_000)
    assert last[0]["images"].shape == (1, 10, 224, 224, 3)


def test_a_model_learns_from_it(training_frames):
    import tf_keras as keras

    pipeline = Pipeline(training_frames, Options(batch_size=8))
    dataset = as_dataset(pipeline, epochs=1).map(lambda inputs, labels, weights: (inputs["images"], labels, weights))
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.layers.Input((224, 224, 3)), *layers])
    model.compile("sgd", "binary_crossentropy")
    history = model.fit(dataset, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
