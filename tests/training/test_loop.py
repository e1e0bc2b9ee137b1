"""The loop learns, goes on after a kill as if nothing had happened, and says when it cannot."""

import numpy as np
import pytest
import tf_keras as keras
from ml_training.training.checkpoints import CheckpointStore, TrainingState
from ml_training.training.loop import LabeledArrays, LoopOptions, class_weights, fit, predict
from ml_training.utils.errors import ModelError

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(120, 6)).astype(np.float16)
LABELS = (INPUTS[:, 0] + INPUTS[:, 1] > 0.5).astype(np.int8)
TRAINING, VALIDATION = LabeledArrays(INPUTS[:80], LABELS[:80]), LabeledArrays(INPUTS[80:], LABELS[80:])


def small_model():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [layers.Input((6,)), layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(1, "sigmoid")]
    )


def train(uri, *, epochs=6, stop_after=None, learning_rate=0.02):
    class Killed(BaseException):
        pass

    def on_epoch(epoch, _values):
        if epoch == stop_after:
            raise Killed

    model = small_model()
    options = LoopOptions(epochs=epochs, batch_size=16, learning_rate=learning_rate, label_smoothing=0.02)
    try:
        fit(model, TRAINING, validation=VALIDATION, options=options, store=CheckpointStore(uri), on_epoch=on_epoch)
    except Killed:
        return None
    return model


def test_it_learns(tmp_path):
    model = train(str(tmp_path / "a.npz"), epochs=25)
    right = (predict(model, VALIDATION.inputs) > 0.5) == (VALIDATION.labels == 1)
    assert right.mean() > 0.85


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_a_killed_training_ends_with_the_same_weights(tmp_path, stop_after):
    whole = train(str(tmp_path / "whole.npz"))
    uri = str(tmp_path / "killed.npz")
    assert train(uri, stop_after=stop_after) is None
    resumed = train(uri)
    for first, second in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(first, second)


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path):
    model = small_model()
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    options = LoopOptions(epochs=1, batch_size=16, learning_rate=0.1)
    with pytest.raises(ModelError, match="lower the learning rate"):
        fit(model, TRAINING, validation=VALIDATION, options=options, store=CheckpointStore(str(tmp_path / "x.npz")))


def test_class_weights_balance_and_average_to_one():
    weights = class_weights(np.array([1, 0, 0, 0]))
    assert weights.mean() == pytest.approx(1)
    assert weights[0] == pytest.approx(weights[1:].sum())


def test_a_checkpoint_holds_what_it_was_given(tmp_path):
    store = CheckpointStore(str(tmp_path / "state.npz"))
    assert store.load() is None
    state = TrainingState(3, 0.5, [np.arange(3.0)], [np.array(7), np.eye(2)], [np.zeros(1)])
    store.save(state)
    found = store.load()
    assert (found.epochs_done, found.best_score) == (3, 0.5)
    assert [array.tolist() for array in found.optimizer] == [7, [[1.0, 0.0], [0.0, 1.0]]]
