"""The loop learns, goes on after a kill at any step as if nothing had happened, and says when it cannot."""

import os
import signal
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import tf_keras as keras
from ml_training.cloud.jobs import Attempt, Job
from ml_training.training.checkpoints import CheckpointStore, Timer, TrainingState
from ml_training.training.feeds import ArrayFeed, targets_of
from ml_training.training.learner import Learner
from ml_training.training.loop import (
    LabeledArrays,
    LoopOptions,
    Stage,
    class_weights,
    fit,
    learner_options,
    predict,
    run_stage,
)
from ml_training.utils.errors import DatasetUnusable, ModelError, Superseded
from ml_training.utils.termination import Terminated, listen_for_termination

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(120, 6)).astype(np.float16)
LABELS = (INPUTS[:, 0] + INPUTS[:, 1] > 0.5).astype(np.int8)
TRAINING, VALIDATION = LabeledArrays(INPUTS[:80], LABELS[:80]), LabeledArrays(INPUTS[80:], LABELS[80:])
OPTIONS = LoopOptions(epochs=6, batch_size=16, learning_rate=0.02, label_smoothing=0.02, ema_decay=0.9)


class Killed(BaseException):
    """Stands for kill -9: nothing is written any more."""


class KilledFeed:
    """A feed that ends the training at a step."""

    def __init__(self, feed, after):
        self.feed, self.after = feed, after
        self.examples, self.steps = feed.examples, feed.steps

    def iterate(self, epoch, step, epochs):
        for number, fed in enumerate(self.feed.iterate(epoch, step, epochs)):
            if number == self.after:
                raise Killed
            yield fed


def small_model(outputs=1):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    last = layers.Dense(outputs, "sigmoid" if outputs == 1 else "softmax")
    return keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            last,
        ]
    )


def judge(model):
    return float(-np.mean((predict(model, VALIDATION.inputs) - VALIDATION.labels) ** 2))


def train(uri, *, options=OPTIONS, after=None):
    """Train, perhaps until a step at which it is killed; return the model, or None when it was."""
    model = small_model()
    feed = ArrayFeed(TRAINING, options)
    learner = Learner(model, learner_options(options, feed.steps))
    stage = Stage(learner, KilledFeed(feed, after) if after is not None else feed, judge, options, CheckpointStore(uri))
    try:
        run_stage(stage)
    except Killed:
        return None
    return model


def assert_same(first, second):
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_it_learns(tmp_path):
    model = train(str(tmp_path / "a.npz"), options=OPTIONS._replace(epochs=15))
    right = (predict(model, VALIDATION.inputs) > 0.5) == (VALIDATION.labels == 1)
    assert right.mean() > 0.8


def test_a_training_killed_at_any_steps_ends_with_the_same_weights(tmp_path):
    options = OPTIONS._replace(checkpoint_steps=2)
    whole = train(str(tmp_path / "whole.npz"), options=options)
    uri = str(tmp_path / "killed.npz")
    for after in (3, 7, 9):  # of 30 steps in all; each life loses at most one step
        assert train(uri, options=options, after=after) is None
    state = CheckpointStore(uri).load()
    assert state is not None
    assert state.epoch * 5 + state.step >= 3 + 7 + 9 - 3
    assert state.step % 5, "the kill should hit the middle of an epoch"
    assert_same(whole, train(uri, options=options))


def test_a_finished_stage_is_not_run_again(tmp_path):
    uri = str(tmp_path / "a.npz")
    assert_same(train(uri), train(uri, after=0))


def test_the_moving_average_is_what_is_kept(tmp_path):
    slow = train(str(tmp_path / "slow.npz"), options=OPTIONS._replace(ema_decay=0.999, epochs=1))
    plain = train(str(tmp_path / "plain.npz"), options=OPTIONS._replace(ema_decay=None, epochs=1))
    start = small_model()
    moved = [
        sum(float(np.abs(a - b).sum()) for a, b in zip(m.get_weights(), start.get_weights(), strict=True))
        for m in (slow, plain)
    ]
    assert 0 < moved[0] < moved[1]


def test_a_stage_that_gets_no_better_stops_early(tmp_path):
    epochs = []
    model = small_model()
    options = LoopOptions(epochs=50, batch_size=16, learning_rate=0.02, early_stopping_epochs=3)
    feed = ArrayFeed(TRAINING, options)
    stage = Stage(
        Learner(model, learner_options(options, feed.steps)), feed, lambda _: 0.5, options,
        CheckpointStore(str(tmp_path / "a.npz")),
    )  # fmt: skip
    run_stage(stage, lambda epoch, values: epochs.append(epoch))
    assert epochs == [1, 2, 3, 4]  # the first is the best; three without a better one


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path):
    model = small_model()
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    options = LoopOptions(epochs=1, batch_size=16, learning_rate=0.1)
    with pytest.raises(ModelError, match="lower the learning rate"):
        fit(model, TRAINING, validation=VALIDATION, options=options, store=CheckpointStore(str(tmp_path / "x.npz")))
    assert not (tmp_path / "x.npz").exists()


def test_more_than_two_classes(tmp_path):
    labels = np.where(INPUTS[:, 2] > 0.5, 2, LABELS).astype(np.int8)
    model = small_model(outputs=3)
    score = fit(
        model,
        LabeledArrays(INPUTS[:80], labels[:80]),
        validation=LabeledArrays(INPUTS[80:], labels[80:]),
        options=LoopOptions(epochs=20, batch_size=16, learning_rate=0.02, label_smoothing=0.02),
        store=CheckpointStore(str(tmp_path / "x.npz")),
        ad_class=1,
    )
    assert score > 0.7
    assert np.allclose(targets_of(np.array([2, 0]), 3, 0.3), [[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])


def test_class_weights_balance_and_average_to_one():
    weights = class_weights(np.array([1, 0, 0, 0]))
    assert weights.mean() == pytest.approx(1)
    assert weights[0] == pytest.approx(weights[1:].sum())
    rare = class_weights(np.array([0] * 500 + [1] * 499 + [2]))
    assert rare[-1] / rare[0] == pytest.approx(10 / (1000 / 1500))
    with pytest.raises(DatasetUnusable, match="examples of two classes are needed, received 1"):
        class_weights(np.array([1, 1]))


def test_a_checkpoint_holds_what_it_was_given(tmp_path):
    store = CheckpointStore(str(tmp_path / "state.npz"))
    assert store.load() is None
    state = TrainingState(
        epoch=3, step=17, loss_sum=1.5, seen=272.0, best_epoch=2, best_score=0.5, finished=False,
        weights=[np.arange(3.0)], optimizer=[np.array(7), np.eye(2)], average=[], dropout=[np.array([1, 2])],
        best_weights=[np.zeros(1)],
    )  # fmt: skip
    store.save(state)
    found = store.load()
    assert found[:7] == state[:7]
    assert [array.tolist() for array in found.optimizer] == [7, [[1.0, 0.0], [0.0, 1.0]]]
    assert found.dropout[0].tolist() == [1, 2]
    (tmp_path / "state.npz").write_bytes(b"PK half a file")
    with pytest.raises(ModelError, match="is no checkpoint"):
        store.load()


def test_checkpoints_are_due_by_steps_or_seconds():
    by_steps = Timer(seconds=1e9, steps=3)
    assert [by_steps.step() for _ in range(3)] == [False, False, True]
    assert Timer(seconds=0.0, steps=None).step()
    assert not Timer(seconds=1e9, steps=None).step()


@pytest.fixture
def listening():
    """Let SIGTERM arrive as it does in a command."""
    before = signal.getsignal(signal.SIGTERM)
    listen_for_termination()
    yield
    signal.signal(signal.SIGTERM, before)


class TerminatedFeed(KilledFeed):
    """A feed that sends SIGTERM while the batch of a step is made."""

    def iterate(self, epoch, step, epochs):
        for number, fed in enumerate(self.feed.iterate(epoch, step, epochs)):
            if number == self.after:
                os.kill(os.getpid(), signal.SIGTERM)
            yield fed


def train_terminated(uri, *, after=None, judged=None):
    """Train without a checkpoint of its own accord, until a step or the end of an epoch at which SIGTERM comes."""
    model, epochs = small_model(), []

    def judge_or_end(judged_model):
        epochs.append(1)
        if len(epochs) == judged:
            os.kill(os.getpid(), signal.SIGTERM)
        return judge(judged_model)

    feed = ArrayFeed(TRAINING, OPTIONS)
    learner = Learner(model, learner_options(OPTIONS, feed.steps))
    with pytest.raises(Terminated):
        run_stage(Stage(learner, TerminatedFeed(feed, after), judge_or_end, OPTIONS, CheckpointStore(uri)))


def test_on_sigterm_the_step_under_way_is_kept(tmp_path, listening):
    whole = train(str(tmp_path / "whole.npz"))
    uri = str(tmp_path / "terminated.npz")
    train_terminated(uri, after=6)
    state = CheckpointStore(uri).load()
    assert (state.epoch, state.step) == (1, 2), "five steps an epoch: seven are done, none is lost"
    train_terminated(uri, after=2)
    state = CheckpointStore(uri).load()
    assert (state.epoch, state.step) == (1, 5), "the epoch is learned, and not yet judged"
    assert_same(whole, train(uri))


def test_on_sigterm_a_judgement_is_cut_off_and_made_again(tmp_path, listening):
    whole = train(str(tmp_path / "whole.npz"))
    uri = str(tmp_path / "terminated.npz")
    train_terminated(uri, judged=2)
    state = CheckpointStore(uri).load()
    assert (state.epoch, state.step, state.best_epoch) == (1, 5, 1)
    train_terminated(uri, judged=1)
    assert CheckpointStore(uri).load().step == 5
    assert_same(whole, train(uri))
    assert CheckpointStore(uri).load().best_score == CheckpointStore(str(tmp_path / "whole.npz")).load().best_score


def test_a_machine_that_was_replaced_stores_nothing(tmp_path, monkeypatch):
    job = Job(str(tmp_path / "jobs" / "one"))
    now = datetime(2026, 1, 5, tzinfo=UTC)
    for number in (1, 2):
        job.claim(Attempt(number=number, client_token="t", created_at=now, deadline_at=now + timedelta(hours=1)))
    monkeypatch.setenv("ADBREAK_JOB", job.uri)
    monkeypatch.setenv("ADBREAK_ATTEMPT", "1")
    with pytest.raises(Superseded, match="replaced by a later one"):
        train(str(tmp_path / "a.npz"))
    assert not (tmp_path / "a.npz").exists()
    monkeypatch.setenv("ADBREAK_ATTEMPT", "2")
    train(str(tmp_path / "a.npz"))
