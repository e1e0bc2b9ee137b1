"""What a device tells of itself: counts and histograms of a quarter of an hour, events, corrections, unsure frames.

    telemetry = Telemetry(config.device_id, clock)
    telemetry.judged(score, is_ad=True, latency_ms=7.9)
    store.add_record(telemetry.take(facts), day=...)  # and begin anew
    sampler = ExampleSampler(home.examples_file, config.device_id, per_day=100)
    if sampler.wants(score, now): store.add_example(with_comment(encode_jpeg(image), {...}), day=...)

No picture leaves a device but the sampled unsure ones. Every record has ``version``, ``kind`` and ``created_at``.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.facts import peak_memory_bytes, temperature_celsius
from ml_training.edge.agent.home import write_atomically
from ml_training.edge.agent.state import Installed
from ml_training.utils.hashing import unit_interval

VERSION = 1
BINS = 20
UNSURE = (0.4, 0.6)
LATENCIES_KEPT = 2000
SHARE_SLOTS = 1440  # minutes of a day, among which a day's examples are spread


def record(kind: str, device_id: str, clock: Clock, **content: Any) -> dict[str, Any]:
    """Return a record of a kind: ``telemetry``, ``event`` or ``correction``."""
    return {"version": VERSION, "kind": kind, "device_id": device_id, "created_at": clock.text(), **content}


def model_fields(installed: Installed | None) -> dict[str, Any] | None:
    """Return how records name a model."""
    if installed is None:
        return None
    return {
        "name": installed.name,
        "semver": installed.semver,
        "version": installed.version,
        "alias": installed.alias,
        "manifest_sha256": installed.files["manifest.json"],
    }


class Telemetry:
    """Counts until ``take``."""

    def __init__(self, device_id: str, clock: Clock) -> None:
        self._device_id, self._clock = device_id, clock
        self._reset()

    def judged(self, score: float, *, is_ad: bool, latency_ms: float) -> None:
        """Count a frame of the model that decides."""
        self._histogram[_bin(score)] += 1
        self._frames += 1
        self._ads += int(is_ad)
        if len(self._latencies) < LATENCIES_KEPT:
            self._latencies.append(latency_ms)

    def shadowed(self, score: float, decided: float, *, agrees: bool) -> None:
        """Count a frame that the shadow judged too; ``decided`` is the score of the model that decides."""
        self._shadow_histogram[_bin(score)] += 1
        self._shadow_agreed += int(agrees)
        self._shadow_difference += abs(score - decided)

    def found_break(self, seconds: float) -> None:
        """Count an ad break of a length."""
        self._breaks += 1
        self._break_seconds += seconds

    def take(self, model: Installed | None, shadow: Installed | None, **facts: Any) -> dict[str, Any]:
        """Return the record of what was counted, and begin anew."""
        latency = None
        if self._latencies:
            values = np.percentile(self._latencies, (50, 95, 100))
            latency = {name: round(float(value), 3) for name, value in zip(("p50", "p95", "max"), values, strict=True)}
        result = record(
            "telemetry",
            self._device_id,
            self._clock,
            since=self._since,
            model=model_fields(model),
            frames=self._frames,
            ad_frames=self._ads,
            score_histogram=self._histogram.tolist(),
            latency_ms=latency,
            breaks=self._breaks,
            break_seconds=round(self._break_seconds, 1),
            shadow=self._shadow_fields(shadow),
            temperature_celsius=temperature_celsius(),
            memory_bytes=peak_memory_bytes(),
            **facts,
        )
        self._reset()
        return result

    def _shadow_fields(self, shadow: Installed | None) -> dict[str, Any] | None:
        frames = int(self._shadow_histogram.sum())
        if shadow is None or not frames:
            return None
        return {
            "model": model_fields(shadow),
            "frames": frames,
            "agreed": self._shadow_agreed,
            "mean_difference": round(self._shadow_difference / frames, 5),
            "score_histogram": self._shadow_histogram.tolist(),
        }

    def _reset(self) -> None:
        self._since = self._clock.text()
        self._histogram = np.zeros(BINS, int)
        self._shadow_histogram = np.zeros(BINS, int)
        self._frames = self._ads = self._breaks = self._shadow_agreed = 0
        self._break_seconds = self._shadow_difference = 0.0
        self._latencies: list[float] = []


class ExampleSampler:
    """Chooses unsure frames: at most one a minute, in minutes that a hash of the device and the day picks.

    How many were chosen today is in ``file``: a service that starts again does not begin anew.
    """

    def __init__(self, file: Path, device_id: str, *, per_day: int) -> None:
        self._file, self._device_id, self._per_day = file, device_id, per_day
        self._minute = ""
        self._taken = self._read()

    def wants(self, score: float, now: datetime) -> bool:
        """Tell whether to keep this frame; asked for every frame, in order."""
        if not UNSURE[0] <= score <= UNSURE[1]:
            return False
        day, minute = now.date().isoformat(), now.isoformat(timespec="minutes")
        taken = self._taken.get(day, 0)
        share = 4 * self._per_day / SHARE_SLOTS  # few minutes of a day have an unsure frame at all
        if taken >= self._per_day or minute == self._minute or unit_interval(minute, self._device_id) >= share:
            return False
        self._minute, self._taken = minute, {day: taken + 1}
        write_atomically(self._file, (json.dumps(self._taken) + "\n").encode())
        return True

    def _read(self) -> dict[str, int]:
        try:
            return {str(day): int(taken) for day, taken in json.loads(self._file.read_text(encoding="utf-8")).items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}


def with_comment(jpeg: bytes, facts: dict[str, Any]) -> bytes:
    """Put facts as JSON into a JPEG's comment, so that picture and facts are one file. Any reader shows the picture."""
    text = json.dumps(facts, sort_keys=True).encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def read_comment(jpeg: bytes) -> dict[str, Any]:
    """Return what ``with_comment`` put in. Raises ValueError where there is none."""
    if jpeg[:4] != b"\xff\xd8\xff\xfe":
        raise ValueError("expected a JPEG that begins with a comment")
    return dict(json.loads(jpeg[6 : 4 + int.from_bytes(jpeg[4:6], "big")]))


def _bin(score: float) -> int:
    return min(BINS - 1, max(0, int(score * BINS)))
