"""The records that cross a border between packages, processes or machines, each with one JSON form.

    Segment(start_seconds=49.1, end_seconds=89.3, label="ad")
    GateVerdict.model_validate_json(text).verdict      # 'pass', 'fail' or 'not_measured'

Times are media times: seconds of presentation time, zero at the first decodable video frame.
"""

from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

LABELS = ("ad", "content", "promo", "ident", "sponsor", "teleshopping")
SCORED_LABELS = ("ad", "content")
Label = Literal["ad", "content", "promo", "ident", "sponsor", "teleshopping"]
Verdict = Literal["pass", "fail", "not_measured"]
Split = Literal["train", "validation", "test"]


class Record(BaseModel):
    """A frozen record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Segment(Record):
    """A stretch of a recording with one label; ``end_seconds`` is excluded."""

    start_seconds: float = Field(ge=0)
    end_seconds: float
    label: Label
    creative: str | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.end_seconds > self.start_seconds:
            raise ValueError(f"a segment must end after its start, received {self.start_seconds}..{self.end_seconds}")
        return self


class LabelEvent(Record):
    """Somebody (or something) said that a stretch of a recording is an ad, or is not. Never changed, only added to."""

    version: Literal[1] = 1
    event_id: str
    recording_id: str
    start_seconds: float = Field(ge=0)
    end_seconds: float
    label: Label
    creative: str | None = None
    source: Literal["person", "creative", "model", "edl", "file", "generator"]
    author: str
    created_at: datetime


class Sidecar(Record):
    """What is known of a recording besides its bytes: ``<recording_id>.json`` next to it. Every field may be absent."""

    channel: str | None = None
    show: str | None = None
    genre: str | None = None
    sport: str | None = None
    start_time: datetime | None = None


class TelemetryWindow(Record):
    """What a device saw in a stretch of time: one line of ``telemetry/<device>/<YYYY-MM-DD>/*.jsonl``, never changed.

    What was not measured is null: a window without frames has no share and no latency, some boards no thermometer.
    """

    version: Literal[1] = 1
    device: str = Field(min_length=1)
    started_at: AwareDatetime
    window_seconds: float = Field(gt=0)
    model_name: str
    model_version: str
    frames: int = Field(ge=0)
    ad_share: float | None
    score_histogram: list[int] = Field(min_length=10, max_length=10)  # frames with a score of 0..0.1, 0.1..0.2, ...
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    temperature_celsius: float | None
    free_store_bytes: int
    corrections: int = Field(0, ge=0)  # times that a viewer said the device was wrong


class Interval(Record):
    """A point estimate with its 95 % interval and the number of recordings behind it."""

    value: float
    low: float | None = None
    high: float | None = None
    recordings: int = 0


class GateVerdict(Record):
    """What one gate says of one model file. ``not_measured`` is never ``pass``."""

    gate: str
    verdict: Verdict
    simulated: bool = False
    blocking: bool = True
    value: float | None = None
    bound: float | None = None
    unit: str = ""
    reason: str


class HardExample(Record):
    """A picture that a device was unsure of: a line of ``hard_examples/<device>/<date>/examples.jsonl``.

    ``file`` is the picture's name beside the list; ``label`` is absent until somebody, or a better model, gave one.
    """

    file: str = Field(min_length=1)
    device: str
    captured_at: datetime
    score: float = Field(ge=0, le=1)  # what the device's model said
    label: Label | None = None
    label_source: str | None = None
