"""What each type of machine costs now, in each zone, for one config: the table that the launcher's choice follows.

    python -m ml_training.cloud.prices --config base_model
    python -m ml_training.cloud.prices --config base_small --listed     # listed prices only: EC2 is not asked

Spot prices are those of this moment, on-demand prices those that the cloud's config lists. The price of a million
images is that of learning from as many with the config's network, at the speed that ``cloud.workload`` estimates.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from ml_training.cloud.costs import estimate
from ml_training.cloud.ec2 import Ec2, SpotPrice
from ml_training.cloud.jobs import Market
from ml_training.cloud.workload import frames_of_hours, images_per_second
from ml_training.config.cloud import Candidate, CloudConfig, load_cloud_config
from ml_training.config.loading import load_config
from ml_training.config.schema import TrainingConfig
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.records import Record

HEADINGS = ("type", "zone", "market", "USD/h", "on demand", "discount", "speed", "images/s", "USD/million", "training")


class Row(Record):
    """One pool on one market. ``training_usd`` is the estimate of a whole training on ``hours`` of recordings."""

    instance_type: str
    zone: str
    market: Market
    usd_per_hour: float
    on_demand_usd_per_hour: float
    discount: float
    relative_speed: float
    images_per_second: float
    usd_per_million_images: float
    training_usd: float
    used: bool  # the launcher may choose it: the zone has a subnet, and spot is cheaper by smallest_discount


def table(
    config: CloudConfig, training: TrainingConfig, prices: Sequence[SpotPrice], *, hours: float, machines: int = 1
) -> list[Row]:
    """Return a row for each candidate on demand, and one for each zone that sells it as spot; cheapest images first."""
    rows = []
    for candidate in config.candidates:
        on_demand = candidate.on_demand_usd_per_hour
        rows.append(_row(config, training, candidate, "any", on_demand, hours, machines))
        for price in prices:
            if price.instance_type == candidate.instance_type:
                rows.append(_row(config, training, candidate, price.zone, price.usd_per_hour, hours, machines))
    return sorted(rows, key=lambda row: (row.usd_per_million_images, row.instance_type, row.zone))


def _row(
    config: CloudConfig,
    training: TrainingConfig,
    candidate: Candidate,
    zone: str,
    usd_per_hour: float,
    hours: float,
    machines: int,
) -> Row:
    speed = images_per_second(training.model, candidate.relative_speed)
    discount = 1 - usd_per_hour / candidate.on_demand_usd_per_hour
    is_spot = zone != "any"
    return Row(
        instance_type=candidate.instance_type,
        zone=zone,
        market="spot" if is_spot else "on-demand",
        usd_per_hour=usd_per_hour,
        on_demand_usd_per_hour=candidate.on_demand_usd_per_hour,
        discount=round(discount, 3),
        relative_speed=candidate.relative_speed,
        images_per_second=round(speed, 1),
        usd_per_million_images=round(usd_per_hour / speed / 3600 * 1e6, 4),
        training_usd=estimate(
            training, frames_of_hours(training, hours), candidate, usd_per_hour, machines=machines
        ).usd,
        used=not is_spot or ((not config.subnets or zone in config.subnets) and discount >= config.smallest_discount),
    )


def as_text(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    cells = [
        (
            row.instance_type,
            row.zone,
            row.market if row.used else f"({row.market})",
            f"{row.usd_per_hour:.4f}",
            f"{row.on_demand_usd_per_hour:.4f}",
            f"{row.discount:.0%}",
            f"{row.relative_speed:g}",
            f"{row.images_per_second:.0f}",
            f"{row.usd_per_million_images:.3f}",
            f"{row.training_usd:.2f}",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (HEADINGS, *cells)) for column in range(len(HEADINGS))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    head = "  ".join(f"{cell:<{width}}" for cell, width in zip(HEADINGS, widths, strict=True))
    return "\n".join([head.rstrip(), *lines])


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.cloud.prices", __doc__)
    parser.add_argument("--config", default="base_model", help="the training's config; its network sets the speed")
    parser.add_argument("--hours", type=float, default=200.0, help="of recordings, for the cost of a whole training")
    parser.add_argument("--machines", type=int, default=1, help="that share a training")
    parser.add_argument("--cloud-config", help="a name in configs/cloud, or a path; default: ADBREAK_CLOUD_CONFIG")
    parser.add_argument("--listed", action="store_true", help="only the prices that the cloud's config lists")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> Any:
    config, training = load_cloud_config(args.cloud_config), load_config(args.config)
    types = [candidate.instance_type for candidate in config.candidates]
    prices = [] if args.listed else Ec2(config).spot_prices(types)
    rows = table(config, training, prices, hours=args.hours, machines=args.machines)
    note = (
        f"{args.config} in {config.region}; speed and cost of a training on {args.hours:g} hours of recordings are "
        "estimates"
        + (f", for {args.machines} machines that share it" if args.machines > 1 else "")
        + (" (simulated prices)" if config.simulated and prices else "")
    )
    if args.json:
        return {"note": note, "simulated": config.simulated, "rows": [row.model_dump(mode="json") for row in rows]}
    return f"{note}\n{as_text(rows)}"


if __name__ == "__main__":
    raise SystemExit(main())
