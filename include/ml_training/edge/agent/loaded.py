"""The models that are in memory, and how the one that decides does.

active = Active(state.current, open_device_model(folder))
active.latency_p95()
"""

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ml_training.edge.agent.device_model import DeviceModel
from ml_training.edge.agent.state import Installed

LATENCIES_KEPT = 500


@dataclass
class Active:
    """The model that decides, and perhaps one in its shadow."""

    installed: Installed
    model: DeviceModel
    shadow: DeviceModel | None = None
    shadow_installed: Installed | None = None
    shadow_share: float = 0.0
    proven: bool = False
    since: float = field(default_factory=time.monotonic)
    frames: int = 0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    @property
    def hears(self) -> bool:
        """Whether one of them listens."""
        return any(model.facts.sound_seconds is not None for model in (self.model, self.shadow) if model is not None)

    def latency_p95(self) -> float:
        """Return what 95 of 100 of the newest frames took at most, in ms; 0 before the first."""
        return float(np.percentile(self.latencies_ms, 95)) if self.latencies_ms else 0.0
