"""Where a job stands, as people and Airflow read it.

    status = advance(job, config, now)
    status.state, status.progress, status.usd       # 'training', {'epoch': 3, ...}, 0.08

| state | means |
| --- | --- |
| `launching` | a machine is asked for, or will be |
| `booting` | it is there and has not said anything |
| `training` | it gives signs of life |
| `ending` | something is over, and a machine may still be there |
| `done`, `failed`, `cancelled`, `exhausted` | over: no machine of the job is left |
"""

from typing import Any, Literal

from pydantic import Field

from ml_training.cloud.jobs import Market
from ml_training.utils.records import Record

State = Literal["launching", "booting", "training", "ending", "done", "failed", "cancelled", "exhausted"]
OVER: tuple[State, ...] = ("done", "failed", "cancelled", "exhausted")


class Status(Record):
    """Where a job stands. ``usd`` is what it cost so far, an estimate until the bill comes."""

    job_uri: str
    state: State
    message: str = ""
    attempt: int | None = None
    instance_id: str | None = None
    instance_type: str | None = None
    zone: str | None = None
    market: Market | None = None
    heartbeat_age_seconds: float | None = None
    progress: dict[str, Any] = Field(default_factory=dict)
    gpu: dict[str, float] | None = None
    usd: float = 0.0
    budget_usd: float = 0.0
    simulated: bool = False

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more happens by itself."""
        return self.state in OVER

    def line(self) -> str:
        """Say it in a line, for a log."""
        parts: list[str] = [self.state]
        if self.attempt:
            parts.append(f"attempt {self.attempt}")
        if self.instance_id:
            parts.append(f"{self.instance_id} {self.instance_type or ''} {self.market or ''} {self.zone or ''}".strip())
        if self.progress:
            parts.append(" ".join(f"{name} {value}" for name, value in self.progress.items()))
        if self.gpu:
            parts.append("GPU " + " ".join(f"{name} {value:g}" for name, value in self.gpu.items()))
        parts.append(f"{self.usd:.4f} of {self.budget_usd:.2f} USD" + (" (simulated)" if self.simulated else ""))
        return ", ".join(parts) + (f": {self.message}" if self.message else "")
