"""What TensorFlow learned is what NumPy computes; a detector learned on made-up recordings finds their breaks."""

from dataclasses import replace

import numpy as np
import pytest
from ml_training.detection import learning
from ml_training.detection.detector import Detector, load_detector
from ml_training.detection.durations import customary
from ml_training.detection.edges import learn_edges
from ml_training.detection.features import COLUMNS, WIDTH, group_columns, group_flag, matrix
from ml_training.detection.plain import PlainSequence
from ml_training.detection.sequence import Member, SequenceModel, standardise
from ml_training.detection.sequence_training import Schedule, disturbed, learn, member_of, network, statistics
from ml_training.utils.errors import ModelError

QUICK = Schedule(epochs=60, stretch_seconds=240, batch_size=5)


@pytest.fixture(scope="module")
def lessons(made_up_lesson):
    return [made_up_lesson(seed) for seed in range(10)] + [made_up_lesson(90, has_ads=False)]


@pytest.fixture(scope="module")
def learned(lessons):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "FOLDS", 2)
        patch.setattr(learning, "GRID", {"ads": (0.25, 1.0), "edges": (0.0, 1.0)})
        return learning.learn_detector(lessons, schedule=QUICK)


def test_numpy_computes_what_the_network_does():
    model = network(0.1)
    rows = np.random.default_rng(1).standard_normal((150, WIDTH)).astype(np.float32)
    expected = model(rows[None], training=False).numpy()[0, :, 0]
    assert member_of(model).run(rows) == pytest.approx(expected, abs=1e-4)


def test_the_same_seed_learns_the_same_weights(lessons):
    examples = [learning.example_of(lesson, 1) for lesson in lessons[:2]]
    one, other = (learn(examples, *statistics(examples), schedule=Schedule(epochs=1), seed=3) for _ in range(2))
    assert np.array_equal(one.taps[2][0], other.taps[2][0])


def test_breaks_of_channels_that_were_left_out_are_found(learned):
    scores = learned.scores["archive"]
    assert scores["break_f1"] >= 0.9
    assert scores["frame_f1"] >= 0.9
    assert scores["median_boundary_error_seconds"] <= 0.5


def test_a_recording_without_ads_comes_back_empty(learned, made_up_lesson):
    assert learned.detector.detect(made_up_lesson(91, has_ads=False).features) == []


def test_groups_may_be_missing(learned, made_up_lesson, without_groups):
    lesson = without_groups(made_up_lesson(95), "archive", "picture", "within")
    (found,) = learned.detector.detect(lesson.features)
    assert abs(found.start_seconds - lesson.spans[1][0]) < 3
    assert found.spots[0] == found.start_seconds


def test_what_is_known_of_creatives_holds_over_the_rest(learned, made_up_lesson):
    lesson = made_up_lesson(96)
    known = np.full(lesson.features.seconds, -4.0, np.float32)
    assert learned.detector.detect(replace(lesson.features, known=known)) == []


def test_a_detector_is_stored_and_read_again(learned, tmp_path, made_up_lesson, stored):
    folder = stored(learned.detector, tmp_path / "detector")
    again, card = load_detector(folder)
    features = made_up_lesson(97).features
    assert again.detect(features) == learned.detector.detect(features)
    assert card.durations == learned.detector.durations
    data = learned.detector.sequence.to_bytes()
    assert SequenceModel.from_bytes(data).to_bytes() == data


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(ModelError, match="expected a sequence model"):
        SequenceModel.from_bytes(b"nonsense")


def test_a_group_that_is_taken_away_leaves_no_trace(made_up_lesson):
    rows = matrix(made_up_lesson(1).features)
    gone = [disturbed(rows, np.random.default_rng(seed)) for seed in range(40)]
    for name in COLUMNS:
        without = [changed for changed in gone if not changed[:, group_flag(name)].any()]
        assert 3 < len(without) < 35, name
        assert not any(changed[:, group_columns(name)].any() for changed in without)


def test_missing_values_stay_zero_when_standardised():
    rows = np.zeros((3, WIDTH), np.float32)
    assert not standardise(rows, np.ones(WIDTH, np.float32), np.ones(WIDTH, np.float32)).any()


def test_edges_are_learned_with_sound_and_without(made_up_lesson):
    lessons = [made_up_lesson(seed) for seed in range(6)]
    parts = [learning.targets_of(lesson.spans, lesson.features.seconds) for lesson in lessons]
    rows = [matrix(lesson.features) for lesson in lessons]
    model = learn_edges([(r, p.edges, p.edge_weights) for r, p in zip(rows, parts, strict=True)])
    odds = model.log_odds(rows[0])
    assert np.median(odds[parts[0].edges > 0]) > np.quantile(odds[parts[0].edges == 0], 0.95)
    silent = model.log_odds(matrix(lessons[0].features, without=("sound", "separators")))
    assert silent.std() < odds.std()


def test_folds_keep_channels_whole():
    channels = ["a", "a", "b", "c", "c", "c", "d"]
    parts = learning.folds(channels, 3)
    assert sorted(number for part in parts for number in part) == list(range(7))
    for channel in "abcd":
        assert sum(any(channels[number] == channel for number in part) for part in parts) == 1


def test_without_a_detector_rules_find_what_repeats(made_up_lesson):
    lesson = made_up_lesson(98, strength=3.0)
    lesson.features.groups["archive"][:, 3] = lesson.features.groups["archive"][:, 0] * np.log1p(20)
    found = Detector(PlainSequence(), customary()).detect(lesson.features)
    assert len(found) == 1
    assert abs(found[0].end_seconds - lesson.spans[-1][0]) < 5


def test_members_are_read_by_name():
    member = member_of(network(0.1))
    again = Member.from_arrays(member.arrays("m"), "m")
    assert np.array_equal(again.leave[0], member.leave[0])
