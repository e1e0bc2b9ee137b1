"""What machines cost in the simulation, and where there are any.

market = Market({"g6.xlarge": 0.805}, ["us-east-2a", "us-east-2b"])
market.spot_price("g6.xlarge", "us-east-2b")          # 0.306: invented, as everything here
market.set_price("g6.xlarge", "us-east-2b", 0.9)
market.no_capacity(instance_type="g6.xlarge")         # nowhere; market="spot" for spot only
"""

import threading
import time
from dataclasses import dataclass, field

SPOT_SHARES = (0.35, 0.38, 0.42)  # of the on-demand price, zone after zone: invented; real ones move all day
DEFAULT_ON_DEMAND_USD = 1.0


@dataclass
class Shortage:
    """No machines of a type, in a zone, on a market; None stands for all of them."""

    instance_type: str | None = None
    zone: str | None = None
    market: str | None = None
    until: float | None = None

    def covers(self, instance_type: str, zone: str, market: str) -> bool:
        """Tell whether it holds for this machine, now."""
        asked = ((self.instance_type, instance_type), (self.zone, zone), (self.market, market))
        return (self.until is None or time.monotonic() < self.until) and all(
            wanted in (None, came) for wanted, came in asked
        )


@dataclass
class Market:
    """Prices and capacity; ``on_demand`` in USD an hour by instance type."""

    on_demand: dict[str, float]
    zones: list[str]
    quota: str | None = None  # the error code of an account that may not have (more) machines
    _spot: dict[tuple[str, str], float] = field(default_factory=dict)
    _shortages: list[Shortage] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spot_price(self, instance_type: str, zone: str) -> float:
        """Return the spot price in USD an hour."""
        with self._lock:
            if (instance_type, zone) in self._spot:
                return self._spot[instance_type, zone]
        at = self.zones.index(zone) if zone in self.zones else 0
        return round(self.on_demand_price(instance_type) * SPOT_SHARES[at % len(SPOT_SHARES)], 4)

    def on_demand_price(self, instance_type: str) -> float:
        """Return the listed price in USD an hour."""
        return self.on_demand.get(instance_type, DEFAULT_ON_DEMAND_USD)

    def set_price(self, instance_type: str, zone: str | None, usd_per_hour: float) -> None:
        """Change the spot price of a type in a zone, or in all."""
        with self._lock:
            for name in [zone] if zone else self.zones:
                self._spot[instance_type, name] = usd_per_hour

    def usual_prices(self) -> None:
        """Forget the prices that were set."""
        with self._lock:
            self._spot.clear()

    def no_capacity(
        self,
        *,
        instance_type: str | None = None,
        zone: str | None = None,
        market: str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Have no such machines from now on, or for a while."""
        until = None if seconds is None else time.monotonic() + seconds
        with self._lock:
            self._shortages.append(Shortage(instance_type, zone, market, until))

    def plenty(self) -> None:
        """Have machines of every type everywhere, and no quota."""
        with self._lock:
            self._shortages.clear()
        self.quota = None

    def refusal(self, instance_type: str, zone: str, market: str) -> tuple[str, str] | None:
        """Return code and message of why there is no such machine, None when there is one."""
        if self.quota:
            return self.quota, "You have requested more capacity than your current limit allows."
        with self._lock:
            short = any(shortage.covers(instance_type, zone, market) for shortage in self._shortages)
        if not short:
            return None
        if market == "spot":
            return "UnfulfillableCapacity", "Unable to fulfill capacity due to your request configuration."
        return "InsufficientInstanceCapacity", (
            f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested "
            f"({zone})."
        )
