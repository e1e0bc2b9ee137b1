"""The decoder finds the course that evidence and durations make most likely."""

import numpy as np
import pytest
from ml_training.detection.decode import decode
from ml_training.detection.durations import LONGEST_CONTENT, LONGEST_SPOT, customary, hazards, learn_durations

NOTHING = np.zeros


def ads_between(seconds: int, *spans: tuple[int, int], strength: float = 0.5) -> np.ndarray:
    evidence = np.full(seconds, -strength)
    for start, end in spans:
        evidence[start:end] = strength
    return evidence


def test_a_clear_break_is_found_to_the_second():
    course = decode(ads_between(600, (300, 360)), NOTHING(600), customary())
    ads = [run for run in course.runs if run.is_ad]
    assert (ads[0].start, ads[-1].end) == (300, 360)
    assert course.runs[0].start == 0
    assert course.runs[-1].end == 600
    assert all(one.end == other.start for one, other in zip(course.runs, course.runs[1:], strict=False))


def test_a_recording_of_programme_has_no_ads():
    course = decode(ads_between(1200), NOTHING(1200), customary())
    assert [run.is_ad for run in course.runs] == [False]
    assert course.ad_share.max() < 0.05


def test_a_moment_of_doubt_makes_no_break_and_no_end_of_one():
    short = decode(ads_between(600, (300, 304)), NOTHING(600), customary())
    assert not any(run.is_ad for run in short.runs)
    holes = ads_between(600, (300, 390))
    holes[340:344] = -0.5
    ads = [run for run in decode(holes, NOTHING(600), customary()).runs if run.is_ad]
    assert (ads[0].start, ads[-1].end) == (300, 390)
    assert sum(run.end - run.start for run in ads) == 90


def test_durations_put_a_boundary_that_evidence_leaves_open():
    evidence = ads_between(600, (300, 330), strength=0.8)
    evidence[328:335] = 0  # says nothing of where the spot ends
    ads = [run for run in decode(evidence, NOTHING(600), customary()).runs if run.is_ad]
    assert ads[-1].end == 330


def test_an_edge_tells_two_spots_apart_and_moves_a_boundary():
    edges = np.full(600, -1.0)
    edges[[303, 318, 333]] = 4.0
    ads = [run for run in decode(ads_between(600, (301, 333)), edges, customary()).runs if run.is_ad]
    assert [(run.start, run.end) for run in ads] == [(303, 318), (318, 333)]


def test_a_recording_may_begin_and_end_in_a_break():
    course = decode(ads_between(300, (0, 25), (280, 300)), NOTHING(300), customary())
    assert course.runs[0].is_ad
    assert course.runs[-1].is_ad


def test_chances_agree_with_counting_every_course(monkeypatch):
    """On a few seconds all courses can be counted: the chance of an ad is their weighted share."""
    from ml_training.detection import decode as module

    model = learn_durations([[(0.0, 4.0, "content"), (4.0, 6.0, "ad"), (6.0, 9.0, "content")]])
    evidence, edges = np.array([0.3, -0.2, 1.0, 0.4, -1.0, 0.1]), np.array([0.0, 0.5, 1.0, -0.4, 0.7, 0.2])
    chances = module._chances(model)
    weights, shares = [], []
    for code in range(3**6):
        marks = [code // 3**place % 3 for place in range(6)]  # 0 programme, 1 a spot, 2 a spot that begins anew
        if any(mark == 2 and (place == 0 or marks[place - 1] == 0) for place, mark in enumerate(marks)):
            continue
        weights.append(course_weight(marks, evidence, edges, chances))
        shares.append([mark > 0 for mark in marks])
    weights = np.exp(np.array(weights))
    assert decode(evidence, edges, model).ad_share == pytest.approx(
        (weights[:, None] * np.array(shares)).sum(axis=0) / weights.sum(), abs=1e-5
    )


def course_weight(marks, evidence, edges, chances):
    """The logarithm of the weight of one course, its first stretch of every age."""
    ages = []
    kinds = [int(mark > 0) for mark in marks]
    total = -np.inf
    for first_age in range((LONGEST_CONTENT, LONGEST_SPOT)[kinds[0]]):
        age, weight = first_age, chances.first[kinds[0]][first_age] + (evidence[0] if kinds[0] else 0)
        for place in range(1, len(marks)):
            before, kind = kinds[place - 1], kinds[place]
            if kind == before and marks[place] != 2:
                weight += chances.stay[kind][age]
                age = min(age + 1, len(chances.stay[kind]) - 1)
            else:
                weight += chances.end[before][age] + edges[place]
                weight += (chances.to_spot if kind else chances.to_content) if before else 0
                age = 0
            weight += evidence[place] if kind else 0
        total = np.logaddexp(total, weight)
        ages.append(age)
    return total


def test_two_arrays_of_the_same_length_are_asked_for():
    with pytest.raises(ValueError, match="two arrays"):
        decode(np.zeros(5), np.zeros(4), customary())


def test_durations_are_learned_and_keep_the_custom():
    spans = [(0.0, 300.0, "content"), *((300.0 + 12 * n, 312.0 + 12 * n, "ad") for n in range(5))]
    model = learn_durations([[*spans, (360.0, 700.0, "content")]] * 4)
    shares = np.array(model.spots)
    assert shares[11] > shares[29] > shares[36] > 0
    assert shares.sum() == pytest.approx(1, abs=0.01)
    assert model.another_spot > customary().another_spot
    assert (model.learned_spots, model.learned_stretches) == (20, 8)
    assert hazards(model).content.min() > 0
    assert hazards(model).spots.max() < 1
