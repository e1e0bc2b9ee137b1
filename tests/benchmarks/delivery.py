"""Signed delivery and the agent of a device: attacks, faults, and a fleet.

    make bench NAME=delivery                  # PARTS="attacks faults fleet" chooses; SCALE=full does more

`attacks`: what somebody between bucket and device, or with a stolen key, can do; each on a real agent process, over
HTTP, which must refuse it with a clear error and go on running its model. `faults`: kills at random points, a week
without a network, a wrong clock. `fleet`: 1,000 simulated devices against the local S3 server.
"""

import importlib
import os
import sys

from figures import Figure, report

PARTS = ("attacks", "faults", "fleet")


def main() -> int:
    """Measure the chosen parts; the last line has every figure beside its bar."""
    chosen = (os.environ.get("PARTS") or " ".join(PARTS)).replace(",", " ").split()
    if unknown := [part for part in chosen if part not in PARTS]:
        sys.exit(f"error: PARTS: expected some of {', '.join(PARTS)}, received {unknown[0]!r}")
    figures: list[Figure] = []
    for part in chosen:
        print(f"== {part}", flush=True)
        figures += importlib.import_module(f"delivery_{part}").measure()
    return report(figures)


if __name__ == "__main__":
    raise SystemExit(main())
