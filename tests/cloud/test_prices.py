"""The table of prices: from EC2's own history of spot prices, for the network of a config."""

import json
from datetime import UTC, datetime

import pytest
from ml_training.cloud import prices
from ml_training.cloud.ec2 import SpotPrice
from ml_training.config.cloud import load_cloud_config
from ml_training.config.loading import load_config

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SPOT = [SpotPrice("g6.xlarge", "us-east-2a", 0.27, NOW), SpotPrice("g4dn.xlarge", "us-east-2b", 0.5, NOW)]


def test_cheapest_images_first_and_what_is_not_used_says_so():
    rows = prices.table(load_cloud_config(), load_config("base_model"), SPOT, hours=200)
    assert (rows[0].instance_type, rows[0].zone, rows[0].used) == ("g6.xlarge", "us-east-2a", True)
    assert len(rows) == 5
    dear = next(row for row in rows if row.zone == "us-east-2b")
    assert (dear.market, dear.discount, dear.used) == ("spot", 0.049, False), "hardly cheaper than on demand"
    assert "(spot)" in prices.as_text(rows)


def test_a_million_images_cost_the_hours_that_they_take():
    row = prices.table(load_cloud_config(), load_config("base_model"), SPOT, hours=200)[0]
    hours = 1e6 / row.images_per_second / 3600
    assert row.usd_per_million_images == pytest.approx(hours * 0.27, rel=1e-3)


def test_a_smaller_network_is_cheaper():
    large, small = (
        prices.table(load_cloud_config(), load_config(name), SPOT, hours=200)[0]
        for name in ("base_model", "base_small")
    )
    assert small.images_per_second > 3 * large.images_per_second
    assert small.usd_per_million_images < large.usd_per_million_images / 3


def test_a_zone_without_a_subnet_is_shown_and_not_used():
    config = load_cloud_config().model_copy(update={"subnets": {"us-east-2c": "subnet-1"}})
    rows = prices.table(config, load_config("base_model"), SPOT, hours=200)
    assert not [row for row in rows if row.market == "spot" and row.used]


def test_the_command_asks_ec2(s3_server, capsys):
    assert prices.main(["--config", "base_model", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    types = {row["instance_type"] for row in result["rows"] if row["market"] == "on-demand"}
    assert types == {"g6.xlarge", "g5.xlarge", "g4dn.xlarge"}
    assert all(row["training_usd"] < 2 for row in result["rows"] if row["market"] == "on-demand")


def test_the_command_needs_no_ec2_for_listed_prices(capsys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    assert prices.main(["--config", "base_model", "--listed"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("type ")
    assert len(out.splitlines()) == 5
    assert prices.main(["--config", "bas_model", "--listed"]) == 2
