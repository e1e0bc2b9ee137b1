"""How much a generated night holds, and with what it is trained.

    plan_of_night(1).recordings      # 20: a first night makes a world, later ones add to it

``ADBREAK_NIGHT=tiny`` makes a night that only shows that everything works together: for tests.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_stack.errors import InputError


@dataclass(frozen=True)
class NightPlan:
    """What the generator makes, and the conf of ``nightly_retraining``."""

    recordings: int
    minutes: float
    channels: int
    seed: int = 7
    conf: dict[str, Any] = field(default_factory=dict)


FIRST = NightPlan(recordings=20, minutes=3.5, channels=10)
LATER = NightPlan(recordings=4, minutes=3.5, channels=10)
TINY = NightPlan(
    recordings=6,
    minutes=0.5,
    channels=6,
    conf={
        "epochs": 1,
        "overrides": {
            "training.augmented_copies": 0,
            "training.upper.epochs": 0,
            "training.quantization.calibration_batches": 2,
            "training.quantization.maximum_samples": 32,
        },
    },
)


def plan_of_night(night: int, environment: Mapping[str, str] | None = None) -> NightPlan:
    """Return the plan of generated night ``night`` (1 is the first). Raises InputError for an unknown size."""
    source = os.environ if environment is None else environment
    size = source.get("ADBREAK_NIGHT") or "full"
    if size == "tiny":
        return TINY
    if size != "full":
        raise InputError(f"ADBREAK_NIGHT={size}: expected 'full' or 'tiny'")
    return FIRST if night == 1 else LATER
