"""The test's own doors of a simulated EC2, for those who are in another process (``local_stack.ec2.remote``).

POST /_faults {"kind": "lose_answer", "action": "CreateFleet"}       DELETE /_faults       GET /_faults
POST /_market/shortages {"instance_type": "g6.xlarge"}               DELETE /_market/shortages
POST /_market/prices {"instance_type": "g6.xlarge", "usd_per_hour": 2}        DELETE /_market/prices
POST /_market/quota {"code": "VcpuLimitExceeded"}
GET  /_machines                       POST /_machines/timing {"boot_seconds": 3, "visibility_seconds": 5}
POST /_gates {"who": "machines", "seconds": 60}
POST /_machines/i-0123/notice {"seconds": 2}         also: rebalance, kill {"who": "trainer"}, freeze; GET processes
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from local_stack.ec2.api import Control
from local_stack.ec2.backend import Backend
from local_stack.ec2.faults import Fault, Faults
from local_stack.ec2.gate import Gate
from local_stack.ec2.machines import Machines
from local_stack.ec2.market import Market


def controls(
    backend: Backend, faults: Faults, market: Market, machines: Machines, gates: Mapping[str, Gate]
) -> dict[str, Control]:
    """Return the doors by name."""

    def control_faults(method: str, rest: str, content: dict[str, Any]) -> Any:
        if method == "POST":
            faults.add(Fault(**content))
        elif method == "DELETE":
            faults.clear()
        return faults.facts()

    def control_machines(method: str, rest: str, content: dict[str, Any]) -> Any:
        if not rest:
            return machines.facts()
        if rest == "timing":
            backend.visibility_seconds = float(content.pop("visibility_seconds", backend.visibility_seconds))
            machines.timing = replace(machines.timing, **content)
            return {**asdict(machines.timing), "visibility_seconds": backend.visibility_seconds}
        instance_id, _, what = rest.partition("/")
        return _with_machine(machines, instance_id, what, content)

    def control_gates(method: str, rest: str, content: dict[str, Any]) -> Any:
        if method == "POST":
            gates[content["who"]].cut(float(content["seconds"]), silent=bool(content.get("silent", False)))
        return {who: gate.is_cut for who, gate in gates.items()}

    return {
        "gates": control_gates,
        "faults": control_faults,
        "market": partial(_control_market, market),
        "machines": control_machines,
    }


def _control_market(market: Market, method: str, rest: str, content: dict[str, Any]) -> Any:
    if rest == "shortages" and method == "POST":
        market.no_capacity(**content)
    elif rest == "shortages" and method == "DELETE":
        market.plenty()
    elif rest == "quota":
        market.quota = content["code"]
    elif rest == "prices" and method == "DELETE":
        market.usual_prices()
    elif rest == "prices":
        market.set_price(content["instance_type"], content.get("zone"), float(content["usd_per_hour"]))
    else:
        raise LookupError(f"expected shortages, quota or prices, received {rest!r}")
    return {}


def _with_machine(machines: Machines, instance_id: str, what: str, content: dict[str, Any]) -> Any:
    if what == "notice":
        machines.notice(instance_id, content.get("seconds"))
    elif what == "rebalance":
        machines.recommend_rebalance(instance_id)
    elif what == "kill":
        return machines.kill(instance_id, str(content["who"]))
    elif what == "freeze":
        return machines.freeze(instance_id, str(content.get("who", "all")))
    elif what != "processes":
        raise LookupError(f"expected notice, rebalance, kill, freeze or processes, received {what!r}")
    return machines.processes(instance_id)
