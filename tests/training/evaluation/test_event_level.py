"""Scores become breaks by a rule that a person can follow, and are judged against exact labels."""

import numpy as np
import pytest
from ml_training.data.dataset_listing import read_listing
from ml_training.statistics.breaks import match_breaks
from ml_training.training.event_level import (
    RecordingBreaks,
    as_rows,
    break_figures,
    judge_breaks,
    plain_breaks,
    recall_by_creatives,
)
from ml_training.training.predictions import Predictions
from ml_training.training.split_frames import read_split_frames

SECONDS = np.arange(200.0)


def scores_of(*spans: tuple[int, int]) -> np.ndarray:
    scores = np.full(len(SECONDS), 0.1, np.float32)
    for start, end in spans:
        scores[start:end] = 0.9
    return scores


@pytest.mark.parametrize("threshold", [0.15, 0.5, 0.85])
def test_edges_lie_where_scores_change_whatever_the_threshold(threshold):
    assert plain_breaks(SECONDS, scores_of((50, 100)), threshold) == [(50, 100)]


def test_short_gaps_are_bridged_and_flashes_are_none():
    assert plain_breaks(SECONDS, scores_of((50, 80), (84, 120)), 0.5) == [(50, 120)]
    assert plain_breaks(SECONDS, scores_of((20, 24), (150, 155)), 0.5) == []
    assert plain_breaks(SECONDS, scores_of((50, 80), (110, 140)), 0.5) == [(50, 80), (110, 140)]


def test_a_break_may_reach_both_ends():
    assert plain_breaks(SECONDS, scores_of((0, 200)), 0.5) == [(0, 200)]
    assert plain_breaks(SECONDS, scores_of(), 0.5) == []


def test_times_count_and_not_numbers_of_frames():
    half = np.arange(0, 200, 0.5)
    scores = np.where((half >= 50) & (half < 100), 0.9, 0.1)
    assert plain_breaks(half, scores, 0.5, 0.5) == [(50, 100)]


def test_right_scores_are_judged_right(built):
    frames = read_split_frames(built.folder, built.dataset_id, "test")
    ads = np.isin(frames.label_names, ["ad", "promo"]).astype(np.float32)
    judged = judge_breaks(Predictions(frames, ads), 0.5, read_listing(built.folder, built.dataset_id))
    assert [recording.true for recording in judged] == [[(30, 80)]] * len(judged)
    figures = break_figures(judged)
    assert figures["f1"]["value"] == 1
    assert figures["median_boundary_error_seconds"]["value"] <= 0.5
    assert figures["false_minutes_per_hour"]["value"] == 0
    assert set(figures["by_slice"]) >= {"genre=news"}
    assert as_rows(judged)[0]["true"] == [[30, 80]]


def test_wrong_scores_are_judged_wrong(built):
    frames = read_split_frames(built.folder, built.dataset_id, "test")
    late = ((frames.pts_seconds >= 84) & (frames.pts_seconds < 100)).astype(np.float32)
    judged = judge_breaks(Predictions(frames, late), 0.5, read_listing(built.folder, built.dataset_id))
    figures = break_figures(judged)
    assert (figures["precision"]["value"], figures["recall"]["value"]) == (0, 0)
    assert figures["false_minutes_per_hour"]["value"] == pytest.approx(16 / 60 * 36, rel=0.02)
    assert figures["median_boundary_error_seconds"] is None
    assert {row["missed"][0][0] for row in as_rows(judged)} == {30}


def test_breaks_of_seen_and_of_unseen_ads_are_told_apart():
    true, found = [(0, 30), (100, 130), (200, 230)], [(0, 30), (300, 330)]
    texts = {"recording_id": "a", "channel": "one", "genre": "news", "show": ""}
    recording = RecordingBreaks(
        **texts,
        duration_seconds=400,
        true=true,
        found=found,
        unscored=[],
        matches=match_breaks(true, found),
        seen_shares=[1.0, 0.4, 0.0],
    )
    recall = recall_by_creatives([recording])
    assert (recall["seen"].value, recall["unseen"].value) == (1, 0)
    assert "seen" not in recall_by_creatives([recording._replace(seen_shares=[0, 0, 0])])
