"""Ranking: the cheapest step first, spot only where it is cheaper, on-demand when spot keeps failing."""

from datetime import UTC, datetime

import pytest
from ml_training.cloud.ec2 import SpotPrice
from ml_training.cloud.offers import rank, rounds
from ml_training.config.cloud import load_cloud_config
from ml_training.utils.errors import CloudMisconfigured

NOW = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
CONFIG = load_cloud_config("ec2_spot").model_copy(update={"subnets": {"a": "subnet-a", "b": "subnet-b"}})
PRICES = {
    ("g4dn.xlarge", "a"): 0.19,  # a step: 0.19
    ("g5.xlarge", "a"): 0.385,  # 0.117
    ("g5.xlarge", "b"): 0.45,  # 0.136
    ("g6.xlarge", "a"): 0.27,  # 0.135
    ("g6.xlarge", "b"): 0.80,  # no discount
    ("g6.xlarge", "c"): 0.01,  # a zone without a subnet
}


def spot(prices=None):
    return [SpotPrice(kind, zone, usd, NOW) for (kind, zone), usd in (PRICES if prices is None else prices).items()]


def pools(round_):
    return [(offer.instance_type, offer.zone) for offer in round_.offers]


def test_a_step_has_a_price():
    ranked = rank(CONFIG, spot())
    assert [one.pool for one in ranked[:3]] == [("g5.xlarge", "a"), ("g6.xlarge", "a"), ("g5.xlarge", "b")]
    assert ranked[0].step_usd == pytest.approx(0.385 / 3.3)
    assert ranked[0].discount == pytest.approx(1 - 0.385 / 1.006)
    assert len(ranked) == 6 + 5, "three types in two zones on demand, five of them as spot"


def test_pools_of_about_the_same_price_go_into_one_request():
    first, second = rounds(CONFIG, rank(CONFIG, spot()))
    assert (first.market, pools(first)) == (
        "spot",
        [("g5.xlarge", "a"), ("g6.xlarge", "a"), ("g5.xlarge", "b")],
    )
    assert pools(second) == [("g4dn.xlarge", "a")], "the pool without a discount is left out"
    assert first.offers[2].subnet == "subnet-b"


def test_spot_without_a_discount_is_no_spot():
    dear = {("g5.xlarge", "a"): 0.95, ("g6.xlarge", "b"): 0.805}
    first = rounds(CONFIG, rank(CONFIG, spot(dear)))[0]
    assert (first.market, pools(first)) == ("on-demand", [("g5.xlarge", "a"), ("g5.xlarge", "b")])


def test_spot_on_a_slow_machine_is_no_bargain_beside_a_fast_one():
    slow = {("g4dn.xlarge", "a"): 0.40}
    assert rounds(CONFIG, rank(CONFIG, spot(slow)))[0].market == "on-demand"


def test_after_many_setbacks_nobody_takes_the_machine_away():
    ranked = rank(CONFIG, spot())
    assert rounds(CONFIG, ranked, setbacks=2)[0].market == "spot"
    assert rounds(CONFIG, ranked, setbacks=3)[0].market == "on-demand"


def test_a_pool_that_was_taken_away_is_avoided_while_others_remain():
    first = rounds(CONFIG, rank(CONFIG, spot()), avoid={("g5.xlarge", "a")})[0]
    assert ("g5.xlarge", "a") not in pools(first)
    only = {("g5.xlarge", "a"): 0.3}
    assert pools(rounds(CONFIG, rank(CONFIG, spot(only)), avoid=set(only))[0]) == [("g5.xlarge", "a")]


def test_without_a_price_there_is_on_demand():
    assert rounds(CONFIG, rank(CONFIG, []))[0].market == "on-demand"


def test_a_machine_has_the_gpus_that_are_asked_for():
    with pytest.raises(CloudMisconfigured, match=r"no candidate .* has 8 GPUs"):
        rank(CONFIG, spot(), gpus=8)
