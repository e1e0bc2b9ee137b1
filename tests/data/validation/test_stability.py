"""The population stability index, by numbers that can be checked by hand."""

import math

import numpy as np
import pytest
from ml_training.data.validation.profiles import Bins
from ml_training.data.validation.stability import by_chance, decile_groups, grouped, stability_index


def test_the_index_of_known_shares() -> None:
    expected = (0.1 - 0.3) * math.log(0.1 / 0.3) + (0.5 - 0.3) * math.log(0.5 / 0.3)
    assert stability_index([10, 40, 50], [30, 40, 30]) == pytest.approx(expected)
    assert stability_index([1, 4, 5], [10, 40, 50]) == 0
    assert math.isnan(stability_index([0, 0], [1, 1]))
    assert stability_index([0, 100], [100, 0]) > 10


def test_a_normal_feature_that_moves_by_a_standard_deviation_has_an_index_of_one() -> None:
    random = np.random.default_rng(1)
    bins = Bins(-6, 7, 400)
    now, before = (bins.counts(random.normal(shift, 1, 400_000))[:-1] for shift in (1, 0))
    assert stability_index(now, before) == pytest.approx(1, abs=0.1)
    groups = decile_groups(before)
    assert 0.7 < stability_index(grouped(now, groups), grouped(before, groups)) < 1.1


def test_chance_alone_gives_what_the_formula_says() -> None:
    random = np.random.default_rng(2)
    draws = [
        stability_index(random.multinomial(400, [0.1] * 10), random.multinomial(300, [0.1] * 10)) for _ in range(400)
    ]
    assert np.mean(draws) == pytest.approx(by_chance(bins=10, recordings=400, recordings_before=300), rel=0.1)


def test_groups_hold_a_tenth_each() -> None:
    counts = np.ones(100, int)
    assert grouped(counts, decile_groups(counts)).tolist() == [10] * 10
    assert grouped([0, 7, 0], decile_groups([0, 7, 0])).sum() == 7


def test_values_outside_and_missing_ones_are_counted() -> None:
    counts = Bins(0, 10, 5).counts(np.array([-3.0, 0.5, 9.9, 400.0, np.nan]))
    assert counts == [2, 0, 0, 0, 2, 1]
    assert Bins(0, 8, 8, logarithmic=True).counts(np.array([0.0, 1.0, 255.0])) == [1, 1, 0, 0, 0, 0, 0, 1, 0]
