"""A whole network learns from the pipeline, goes on after a kill, learns from a teacher, and says what cannot work."""

import numpy as np
import pytest
import tf_keras as keras
from colour_dataset import DATASET
from ml_training.training.checkpoints import CheckpointStore
from ml_training.training.distillation import Teacher
from ml_training.training.end_to_end import fit_end_to_end, make_feed, validation_judge
from ml_training.training.fitting import TrainingData, loop_options
from ml_training.training.learner import Learner
from ml_training.training.loop import Stage, learner_options, run_stage
from ml_training.training.machines import in_precision, part_of_data
from ml_training.training.samples import read_samples
from ml_training.training.weights import starting_model
from ml_training.utils.errors import ConfigError, ModelError, TooLittleMemory


@pytest.fixture
def data(training_root):
    return TrainingData(
        training_root, DATASET, read_samples(training_root, DATASET, "train"),
        read_samples(training_root, DATASET, "validation"),
    )  # fmt: skip


def small_model():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    x = inputs = layers.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, strides=4, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(8, "relu", name="dense")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(1, "sigmoid", name="ad")(layers.Dropout(0.3)(x)))


class Killed(BaseException):
    """Stands for kill -9."""


def learn(config, data, uri, *, killed_at=None):
    """Let a small network learn from the pipeline; return it, or None when it was killed in that epoch."""
    model, feed = small_model(), make_feed(config, data)
    options = loop_options(config, config.training.end_to_end, "end_to_end")

    def judge(judged):
        if learner.loss()[1] and killed_at == judge.epoch:
            raise Killed
        judge.epoch += 1
        return validation_judge(data, 1)(judged)[0]

    judge.epoch = 0
    learner = Learner(model, learner_options(options, feed.steps))
    try:
        run_stage(Stage(learner, feed, judge, options, CheckpointStore(uri)))
    except Killed:
        return None
    return model


def test_a_killed_training_ends_with_the_same_weights(data, tiny_config, tmp_path):
    config = tiny_config(checkpoint_steps=3)
    uri = str(tmp_path / "killed.npz")
    assert learn(config, data, uri, killed_at=1) is None
    state = CheckpointStore(uri).load()
    assert (state.epoch, state.step) == (1, 15 - 8), "every third of 16 steps is kept"
    resumed, whole = learn(config, data, uri), learn(config, data, str(tmp_path / "whole.npz"))
    for one, other in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_a_student_comes_nearer_to_its_teacher(data, tiny_config):
    config = tiny_config()
    teacher = Teacher(small_model(), share=1.0, embedding_weight=1.0)
    student, feed = small_model(), make_feed(config, data, teacher=teacher)
    student.layers[-1].set_weights([-weights for weights in student.layers[-1].get_weights()])
    options = loop_options(config, config.training.end_to_end, "end_to_end")
    learner = Learner(student, learner_options(options, feed.steps), teacher=teacher)
    losses = []
    for fed in feed.iterate(0, 0, 3):
        learner.reset_loss()
        learner.step(fed.inputs, fed.targets, fed.weights)
        losses.append(learner.loss()[0] / learner.loss()[1])
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_a_teacher_of_another_kind_is_refused(tiny_config):
    wide = tiny_config(model={"dense_units": 24})
    teacher = Teacher(starting_model(wide), share=1.0, embedding_weight=1.0)
    with pytest.raises(ModelError, match=r"teacher's embedding has 24 numbers, the student's 16"):
        teacher.student(starting_model(tiny_config()))


def test_mixed_precision_computes_in_half_and_keeps_whole_weights(tiny_config):
    model = starting_model(tiny_config())
    half = in_precision(model, "mixed_bfloat16")
    assert half.get_layer("dense").compute_dtype == "bfloat16"
    assert half.layers[-1].compute_dtype == "float32"
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    assert np.allclose(half(images), model(images), atol=0.05)
    model.set_weights(half.get_weights())
    assert in_precision(model, None) is model


def test_a_batch_that_does_not_fit_stops_with_advice(data, place, tiny_config):
    with pytest.raises(TooLittleMemory, match="take a batch_size of at most"):
        fit_end_to_end(tiny_config(end_to_end={"batch_size": 10_000_000}), data, place)


def test_layers_that_are_all_frozen_stop_with_advice(data, place, tiny_config):
    with pytest.raises(ModelError, match="no layer is left to learn"):
        fit_end_to_end(tiny_config(freeze_layers=1000), data, place)


def test_machines_share_the_data():
    cluster = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    assert part_of_data({"TF_CONFIG": cluster}) == (2, 1, False)
    assert part_of_data({}) == (1, 0, True)
    with pytest.raises(ConfigError, match="I of 0 to 1"):
        part_of_data({"TF_CONFIG": cluster.replace('"index": 1', '"index": 2')})
    with pytest.raises(ConfigError, match="must be JSON"):
        part_of_data({"TF_CONFIG": "{"})
