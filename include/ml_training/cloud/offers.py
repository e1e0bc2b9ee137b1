"""Where a machine is best had now: types and zones, ranked by what one step of training costs.

    found = rank(config, Ec2(config).spot_prices(types))       # every pool, the cheapest step first
    rounds(config, found, setbacks=0)[0].offers                # what the first request names

A step's price is the hour's price by the relative speed. Spot counts only where it is cheaper by ``smallest_discount``
than the same machine on demand, and where its steps are no dearer than the best on-demand machine's. EC2 gets all pools
whose steps cost about the same in one request and takes the one that it is least likely to want back
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-allocation-strategy.html); the others come next.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ml_training.cloud.ec2 import SpotPrice
from ml_training.cloud.jobs import Market, Offer
from ml_training.config.cloud import Candidate, CloudConfig
from ml_training.utils.errors import CloudMisconfigured

ABOUT_THE_SAME = 1.25  # the dearest step of a round, by its cheapest one
Pool = tuple[str, str]  # instance type and zone


@dataclass(frozen=True)
class Ranked:
    """One pool on one market. ``step_usd`` is the price of an hour at relative speed 1: it compares, no more."""

    offer: Offer
    market: Market
    step_usd: float
    discount: float  # against the same machine on demand; 0 for on-demand itself

    @property
    def pool(self) -> Pool:
        """Return type and zone."""
        return self.offer.instance_type, self.offer.zone


@dataclass(frozen=True)
class Round:
    """What one request asks for."""

    market: Market
    offers: tuple[Offer, ...]


def rank(config: CloudConfig, prices: Sequence[SpotPrice], *, gpus: int = 0) -> list[Ranked]:
    """Return every pool that the config allows, on both markets, the cheapest step first.

    Raises CloudMisconfigured when no candidate has as many GPUs.
    """
    candidates = [candidate for candidate in config.candidates if candidate.gpus >= gpus]
    if not candidates:
        raise CloudMisconfigured(
            f"no candidate of the cloud's config has {gpus} GPUs: add a larger type, or ask for fewer",
            code="NoCandidate",
        )
    spot = {(price.instance_type, price.zone): price.usd_per_hour for price in prices}
    found = []
    for candidate in candidates:
        for zone, subnet in config.subnets.items():
            found.append(_ranked(candidate, zone, subnet, candidate.on_demand_usd_per_hour, "on-demand"))
            if usd := spot.get((candidate.instance_type, zone)):
                found.append(_ranked(candidate, zone, subnet, usd, "spot"))
    return sorted(found, key=lambda one: (one.step_usd, one.market != "spot", one.pool))


def rounds(
    config: CloudConfig, ranked: Sequence[Ranked], *, setbacks: int = 0, avoid: Collection[Pool] = ()
) -> list[Round]:
    """Return the requests to make, one after the other while there is no capacity.

    ``setbacks`` are interruptions, and requests for spot that nobody could serve: after
    ``on_demand_after_interruptions`` of them only on-demand machines are asked for. Pools to ``avoid`` are left out
    while others remain.
    """
    demand = [one for one in ranked if one.market == "on-demand"]
    cheapest = min(one.step_usd for one in demand)
    spot = [
        one
        for one in ranked
        if one.market == "spot" and one.discount >= config.smallest_discount and one.step_usd <= cheapest
    ]
    if setbacks >= config.on_demand_after_interruptions:
        spot = []
    wanted = spot or demand
    wanted = [one for one in wanted if one.pool not in avoid] or wanted
    limit = ABOUT_THE_SAME * min(one.step_usd for one in wanted)
    halves = [one for one in wanted if one.step_usd <= limit], [one for one in wanted if one.step_usd > limit]
    return [Round(half[0].market, tuple(one.offer for one in half)) for half in halves if half]


def _ranked(candidate: Candidate, zone: str, subnet: str, usd_per_hour: float, market: Market) -> Ranked:
    offer = Offer(instance_type=candidate.instance_type, zone=zone, subnet=subnet, usd_per_hour=round(usd_per_hour, 6))
    discount = 1 - usd_per_hour / candidate.on_demand_usd_per_hour
    return Ranked(offer, market, usd_per_hour / candidate.relative_speed, discount)
