"""Everything that a run writes down: breaks to files, counts, unsure pictures and events to the store.

seen = Observations(home, config, clock)
seen.judged(active, judged, latency_ms=7.9, image=image)
seen.found(found, files)
seen.tell(active)                                 # a record of what was counted since the last one
"""

import logging
import time
from subprocess import TimeoutExpired
from typing import Any

from ml_training.edge.agent.breaks import Break, BreakFiles
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.device_model import Judged
from ml_training.edge.agent.home import Config, Home
from ml_training.edge.agent.loaded import Active
from ml_training.edge.agent.media import encode_jpeg
from ml_training.edge.agent.state import read_state
from ml_training.edge.agent.store import Store
from ml_training.edge.agent.telemetry import ExampleSampler, Telemetry, model_fields, with_comment
from ml_training.utils.errors import RecordingUnreadable
from ml_training.utils.hashing import unit_interval

logger = logging.getLogger(__name__)


class Observations:
    """Counts and stores; ``frames`` and ``breaks`` are those of the whole run."""

    def __init__(self, home: Home, config: Config, clock: Clock) -> None:
        self._home, self._config, self._clock = home, config, clock
        self.store = Store(home.store, limit_bytes=config.store_bytes)
        self._telemetry = Telemetry(config.device_id, clock)
        self._sampler = ExampleSampler(home.examples_file, config.device_id, per_day=config.hard_examples_per_day)
        self._told_at = time.monotonic()
        self.frames = self.breaks = 0

    def judged(self, active: Active, judged: Judged, *, latency_ms: float, image: Any) -> None:
        """Count a frame; keep its picture (uint8 [H, W, 3], or None) if it is unsure and in the sample."""
        active.frames += 1
        active.latencies_ms.append(latency_ms)
        self.frames += 1
        is_ad = judged.score >= active.model.facts.threshold
        self._telemetry.judged(judged.score, is_ad=is_ad, latency_ms=latency_ms)
        if image is not None and self._sampler.wants(judged.score, self._clock.now()):
            self._keep(active, judged, image)

    def shadowed(self, score: float, decided: float, *, agrees: bool) -> None:
        """Count what the shadow thought of a frame."""
        self._telemetry.shadowed(score, decided, agrees=agrees)

    def samples_minute(self, block: int, share: float) -> bool:
        """Tell whether the shadow looks at this minute of an input."""
        return unit_interval(f"{self._config.device_id}:{block}:{self._clock.text()[:16]}", "shadow") < share

    def found(self, found: Break, files: BreakFiles) -> None:
        """Write and count an ad break."""
        files.add(found)
        self.breaks += 1
        self._telemetry.found_break(found.end - found.start)

    def tell_if_due(self, active: Active) -> None:
        """Store a record when it is time."""
        if time.monotonic() - self._told_at >= self._config.telemetry_minutes * 60:
            self.tell(active)

    def tell(self, active: Active) -> None:
        """Store what was counted, and begin to count anew."""
        self._told_at = time.monotonic()
        state = read_state(self._home)
        told = self._telemetry.take(
            active.installed, active.shadow_installed, last_check=state.last_check, refused=len(state.refused),
            dropped=self.store.dropped(), stored=self.store.counts(), rollout_revision=state.revision,
        )  # fmt: skip
        self.store.add_record(told, day=self._day())

    def _keep(self, active: Active, judged: Judged, image: Any) -> None:
        """Store a picture; one that cannot be encoded is not worth the rest of the input."""
        facts = {
            "device_id": self._config.device_id,
            "created_at": self._clock.text(),
            "score": round(judged.score, 4),
            "pts_seconds": judged.pts_seconds,
            "model": model_fields(active.installed),
        }
        try:
            picture = encode_jpeg(image)
        except (RecordingUnreadable, OSError, TimeoutExpired) as error:
            logger.warning("an unsure frame is not kept: %s", error)
            return
        self.store.add_example(with_comment(picture, facts), day=self._day())

    def _day(self) -> str:
        return self._clock.text()[:10]
