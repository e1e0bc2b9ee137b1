"""An epoch's order depends on seed and epoch alone, keeps its length, and weighs as it is told."""

import numpy as np
import pytest
from ml_training.data.pipeline.order import ANYWHERE, Shuffling, epoch_order, example_weights
from ml_training.utils.errors import DatasetUnusable, UsageError

GROUPS = np.repeat(np.arange(20), 50)
SHUFFLING = Shuffling(seed=3, groups_at_once=4)


def test_without_weights_each_example_comes_once():
    order = epoch_order(GROUPS, None, SHUFFLING, epoch=0)
    assert sorted(order) == list(range(1000))
    assert np.array_equal(order, epoch_order(GROUPS, None, SHUFFLING, epoch=0))


def test_epochs_and_seeds_differ():
    orders = [epoch_order(GROUPS, None, Shuffling(seed, 4), epoch=e) for seed in (1, 2) for e in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4


def test_only_some_shards_are_in_use_at_a_time_and_they_are_mixed():
    order = epoch_order(GROUPS, None, SHUFFLING, epoch=1)
    blocks = [set(GROUPS[order[start : start + 200]]) for start in range(0, 1000, 200)]
    assert all(len(block) == 4 for block in blocks)
    assert set.union(*blocks) == set(range(20))
    assert len(set(GROUPS[order[:20]])) == 4


def test_pictures_of_their_own_are_spread_over_the_epoch():
    groups = np.concatenate([GROUPS, np.full(500, ANYWHERE)])
    order = epoch_order(groups, None, SHUFFLING, epoch=0)
    places = np.flatnonzero(order >= 1000)
    assert len(places) == 500
    assert np.histogram(places, 5, (0, 1500))[0].min() > 60
    assert sorted(epoch_order(np.full(7, ANYWHERE), None, SHUFFLING, epoch=0)) == list(range(7))


@pytest.mark.parametrize("seed", range(5))
def test_weights_say_how_often_an_example_is_drawn(seed):
    weights = np.random.default_rng(seed).uniform(0, 2, 1000)
    weights /= weights.mean()
    counts = np.zeros(1000)
    for epoch in range(40):
        order = epoch_order(GROUPS, weights, Shuffling(seed, 4), epoch=epoch)
        assert len(order) == 1000
        once = np.bincount(order, minlength=1000)
        assert np.all(once >= np.floor(weights))
        assert np.all(once <= np.ceil(weights))
        counts += once
    assert np.abs(counts / 40 - weights).max() < 0.35


def test_ads_take_their_share_and_hard_examples_theirs():
    labels = np.array([1] * 100 + [0] * 900)
    hardness = np.zeros(1000)
    hardness[:50] = 1.0
    weights = example_weights(labels, hardness, ad_share=0.5, hardness_factor=3.0)
    assert weights.mean() == pytest.approx(1)
    assert weights[:100].sum() == pytest.approx(500)
    assert weights[0] == pytest.approx(4 * weights[60])
    order = epoch_order(GROUPS, weights, SHUFFLING, epoch=0)
    assert labels[order].mean() == pytest.approx(0.5, abs=0.01)
    assert (order < 50).mean() == pytest.approx(0.4, abs=0.01)


def test_nothing_to_weigh_is_none():
    assert example_weights(np.array([0, 1]), np.zeros(2), ad_share=None, hardness_factor=0) is None


@pytest.mark.parametrize(("share", "factor"), [(0, 0), (1, 0), (1.5, 0), (None, -1)])
def test_shares_out_of_range_are_refused(share, factor):
    with pytest.raises(UsageError, match="ad_share"):
        example_weights(np.array([0, 1]), np.zeros(2), ad_share=share, hardness_factor=factor)


def test_a_share_of_a_missing_class_is_refused():
    with pytest.raises(DatasetUnusable, match="label 1 is missing"):
        example_weights(np.zeros(5, int), np.zeros(5), ad_share=0.5, hardness_factor=0)
