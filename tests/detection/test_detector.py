"""From runs of spots to breaks: confidence, boundaries that move to cues, breaks that touch."""

import numpy as np
import pytest
from ml_training.detection.boundaries import CloseLook, snap
from ml_training.detection.calibration import UNCHANGED, calibrate
from ml_training.detection.decode import Run
from ml_training.detection.detector import (
    load_detector,
    snapped,
    spots_of_breaks,
    without_overlaps,
)
from ml_training.detection.features import Cues
from ml_training.detection.frame_models import find_model
from ml_training.detection.records import Break
from ml_training.detection.targets import targets_of
from ml_training.utils.errors import ModelError
from pydantic import ValidationError

NO_CUES = Cues(np.arange(100.0), np.zeros(100, np.float32), np.zeros(100, bool), np.zeros(0, np.int8))


def test_a_break_ends_after_it_starts_and_holds_its_spots():
    with pytest.raises(ValidationError, match="end after its start"):
        Break(start_seconds=5, end_seconds=5, confidence=1)
    with pytest.raises(ValidationError, match="within the break"):
        Break(start_seconds=5, end_seconds=9, confidence=1, spots=(4.0,))


def test_spots_that_follow_each_other_are_one_break():
    runs = [Run(0, 10, True), Run(10, 50, False), Run(50, 60, True), Run(60, 80, True), Run(80, 90, False)]
    assert [[(run.start, run.end) for run in spots] for spots in spots_of_breaks(runs)] == [
        [(0, 10)],
        [(50, 60), (60, 80)],
    ]


def test_a_boundary_moves_to_a_gap_in_the_sound(made_up_lesson):
    cues = made_up_lesson(5).features.cues
    gap = float(np.flatnonzero(cues.level == -80)[0] + 3) / 50
    assert snap([round(gap) + 1.0], cues) == [pytest.approx(gap, abs=0.03)]


def test_a_boundary_without_a_cue_stays():
    assert snap([50.0], NO_CUES) == [50.0]


def test_cues_that_coincide_weigh_more_than_a_nearer_one():
    pieces = np.array([51.5])
    times = np.arange(47.0, 53.0, 0.04)
    change = np.zeros(len(times), np.float32)
    change[[np.argmin(np.abs(times - 51.48)), np.argmin(np.abs(times - 50.2))]] = 0.8
    look = CloseLook(times, change, np.zeros(len(times), np.float32))
    cues = Cues(NO_CUES.frame_seconds, NO_CUES.shot_change, NO_CUES.black, NO_CUES.level, pieces)
    assert snap([50.0], NO_CUES, [look]) == [pytest.approx(50.2, abs=0.05)]
    assert snap([50.0], cues, [look]) == [pytest.approx(51.5, abs=0.05)]


def test_black_counts_in_its_middle():
    times = np.arange(47.0, 53.0, 0.04)
    black = ((times > 49.4) & (times < 49.8)).astype(np.float32)
    look = CloseLook(times, np.zeros(len(times), np.float32), black)
    assert snap([50.0], NO_CUES, [look]) == [pytest.approx(49.6, abs=0.05)]


def test_the_ends_of_the_recording_do_not_move(made_up_lesson):
    features = made_up_lesson(5).features
    assert snapped([0.0, float(features.seconds)], features, {}) == [0.0, features.duration_seconds]


def test_breaks_that_touch_become_one():
    first = Break(start_seconds=10, end_seconds=40, confidence=0.9, spots=(10, 25))
    second = Break(start_seconds=39, end_seconds=59, confidence=0.6, spots=(39,))
    (whole,) = without_overlaps([first, second])
    assert (whole.start_seconds, whole.end_seconds, whole.spots) == (10, 59, (10, 25, 39))
    assert whole.confidence == pytest.approx(0.78)


def test_a_promo_within_a_break_belongs_to_it_and_one_beside_it_weighs_nothing():
    spans = [
        (0, 20, "content"),
        (20, 25, "promo"),
        (25, 40, "ad"),
        (40, 50, "promo"),
        (50, 60.5, "ad"),
        (60.5, 80, "content"),
    ]
    targets = targets_of(spans, 80)
    assert targets.ads[25:60].all()
    assert not targets.ads[:25].any()
    assert not targets.ad_weights[20:25].any()
    assert targets.ad_weights[40:50].all()
    assert np.flatnonzero(targets.edges).tolist() == [25, 40, 50, 60]
    assert targets.edge_weights[24] == 0
    assert targets.edge_weights[30] == 1


def test_calibration_finds_how_much_scores_mean():
    rng = np.random.default_rng(1)
    truth = rng.standard_normal(20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-truth))).astype(int)
    found = calibrate(3 * truth + 1, labels)
    assert found.scale == pytest.approx(1 / 3, abs=0.02)
    assert found.offset == pytest.approx(-1 / 3, abs=0.05)
    assert calibrate(truth, np.ones(20_000)) == UNCHANGED


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(ModelError, match="expected a detector's folder"):
        find_model(str(tmp_path / "Nowhere"))
    with pytest.raises(ModelError, match="there is no model"):
        find_model(str(tmp_path / "model.tflite"))
    with pytest.raises(ModelError, match="is no detector"):
        load_detector(str(tmp_path))
