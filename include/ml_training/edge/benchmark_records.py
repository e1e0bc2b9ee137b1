"""What a benchmark is asked for, what a device answers, and what is stored.

    settings = RunnerSettings(threads=(1, 2, 3, 4), sustained_seconds=600)
    report = DeviceReport.model_validate(json_of_the_runner)

The stored form is `BenchmarkResult`, version 2, one JSON object.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from ml_training.edge.on_device.timing import BOARD_SECONDS
from ml_training.utils.records import Record

HISTORY = "benchmarks/history"  # below the data folder: every measurement, by device, for the trend over versions


class RunnerSettings(Record):
    """How much to measure.

    ``seconds`` holds for all thread counts together; without ``sustained_seconds`` the device decides: ten minutes on a
    board, ten seconds elsewhere.
    """

    threads: tuple[int, ...] = (1, 2, 3, 4)
    runs: int = 200
    warmup: int = 20
    seconds: float = 10.0
    sustained_seconds: float | None = None
    test_frames: int = 96

    def expected_seconds(self) -> float:
        """Return how long the timed work takes on a board."""
        return self.seconds + (BOARD_SECONDS if self.sustained_seconds is None else self.sustained_seconds)


class ModelFiles(Record):
    """What travels to the device, read once: file name -> content; ``test.npz`` only with a test set."""

    uri: str
    sha256: str  # of the first part's file
    model_name: str
    contents: dict[str, bytes]
    hashes: dict[str, str]  # of the contents
    runtime: str
    dataset_id: str | None


class PartialLatency(Record):
    """Latency in milliseconds."""

    p50: float
    p90: float
    p95: float
    p99: float


class ThreadLatency(PartialLatency):
    """Latency at one thread count, from a frame in memory to a score in memory; with two parts, of each too."""

    runs: int
    throughput_per_second: float
    parts: dict[str, PartialLatency] = Field(default_factory=dict)


class Document(Record):
    """A part of the runner's answer, of which a newer runner may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SustainedWork(Document):
    """Frame after frame; ``trace`` has (seconds, degrees Celsius, MHz)."""

    seconds: float
    frames: int
    frames_per_second: float
    first_tenth_per_second: float
    last_tenth_per_second: float
    trace: list[tuple[float, float | None, float | None]] = Field(default_factory=list)


class GoldenParity(Document):
    """One part against its golden outputs, in units of the output."""

    exact: bool
    max_difference: float
    inputs: int


class Accuracy(Document):
    """On the frames that travelled along; the difference is to the scores of this side, in probability."""

    frames: int
    ads: int
    precision: float
    recall: float
    f1: float
    max_score_difference: float


class DeviceReport(Document):
    """What `device_runner.py` says; fields that only some devices know may be absent."""

    board: str
    machine: str
    cpu_count: int
    python_version: str
    runtime_version: str
    load_ms: float
    first_inference_ms: float
    threads: dict[str, ThreadLatency]
    sustained: SustainedWork | None = None
    peak_memory_bytes: int
    golden: dict[str, GoldenParity] = Field(default_factory=dict)
    golden_exact: bool
    golden_max_difference: float
    golden_inputs: int
    accuracy: Accuracy | None = None
    profile: dict[str, dict[str, Any]] = Field(default_factory=dict)
    measurements: int = 1
    throttled: bool | None = None
    throttled_reasons: list[str] = Field(default_factory=list)
    throttled_flags: str | None = None
    governor: str | None = None
    clock_mhz: dict[str, float] = Field(default_factory=dict)
    clock_limit_mhz: float | None = None
    temperature_celsius: dict[str, float | None] = Field(default_factory=dict)
    accelerators: list[dict[str, str]] = Field(default_factory=list)


class BenchmarkResult(DeviceReport):
    """The stored result; ``latency_ms`` is that of the first asked thread count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[2] = 2
    device: str
    model_name: str
    model_uri: str
    model_sha256: str
    content: str  # names all that was measured: files, golden inputs, runner, settings
    settings: RunnerSettings
    gate_board: str
    described_board: str | None
    simulated: bool
    latency_ms: dict[str, float]
    parts: dict[str, PartialLatency]
    throughput_per_second: float
    measured_at: datetime
