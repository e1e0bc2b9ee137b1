"""What gates judge by, read and checked: the report on the int8 file, the float evaluation, the benchmarks.

    evidence = read_evidence(report_uri, benchmark_uris=[...], evaluation_uri=..., champion_report_uri=None)

Each document may say more than is read here. All of them must be about the same file.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_training.cloud import storage
from ml_training.utils.errors import ModelError
from ml_training.utils.records import Interval, Record

DocumentType = TypeVar("DocumentType", bound="Document")


class Document(BaseModel):
    """A stored document of which only some fields matter here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Scores(Document):
    """Frame metrics with their intervals; fractions, not percent."""

    precision: Interval
    recall: Interval
    f1: Interval


class SliceLoss(Document):
    """How much F1 a slice loses against the champion, paired on the same frames."""

    f1_loss: Interval


class Comparison(Document):
    """The candidate against the champion; ``f1_gain`` is candidate minus champion."""

    name: str
    version: str
    f1_gain: Interval
    slices: dict[str, SliceLoss] = Field(default_factory=dict)


class Report(Document):
    """What `conversion.test_tflite` found; ``f1_loss`` is float minus int8, paired."""

    model_name: str
    model_uri: str
    sha256: str
    size_bytes: int
    dataset_id: str
    int8: Scores
    float: Scores
    f1_loss: Interval
    all_int8: bool
    float_operators: list[Any] = Field(default_factory=list)
    champion: Comparison | None = None


class Benchmark(Document):
    """What `edge.benchmark` measured on one device."""

    device: str
    board: str
    simulated: bool
    model_sha256: str
    latency_ms: dict[str, float]
    golden_exact: bool
    golden_max_difference: float


class Evaluation(Scores):
    """What `training.evaluate` found for the float model."""

    dataset_id: str
    split: str


class Evidence(Record):
    """Everything that is known of one file, about that file."""

    report: Report
    benchmarks: tuple[Benchmark, ...]


def read_evidence(
    report_uri: str,
    *,
    benchmark_uris: Sequence[str] = (),
    evaluation_uri: str | None = None,
    champion_report_uri: str | None = None,
) -> Evidence:
    """Read the documents.

    ``champion_report_uri`` is a report on the same file that holds the comparison with the champion, where the first
    one has none. Raises ModelError when a document has not the form that it should have, or is about another file or
    dataset.
    """
    report = _read(Report, report_uri)
    if champion_report_uri is not None:
        other = _read(Report, champion_report_uri)
        _check_same(report.sha256, other.sha256, champion_report_uri, "file")
        report = report.model_copy(update={"champion": other.champion})
    if evaluation_uri is not None:
        _check_evaluation(report, evaluation_uri)
    benchmarks = tuple(_read(Benchmark, uri) for uri in benchmark_uris)
    for benchmark, uri in zip(benchmarks, benchmark_uris, strict=True):
        _check_same(report.sha256, benchmark.model_sha256, uri, "file")
    return Evidence(report=report, benchmarks=benchmarks)


def _check_evaluation(report: Report, uri: str) -> None:
    evaluation = _read(Evaluation, uri)
    _check_same(report.dataset_id, evaluation.dataset_id, uri, "dataset")
    _check_same("test", evaluation.split, uri, "split")


def _read(kind: type[DocumentType], uri: str) -> DocumentType:
    try:
        return kind.model_validate(storage.read_json(uri))
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        raise ModelError(f"{uri} is not the {kind.__name__.lower()} that it should be: {mistakes}", uri=uri) from error


def _check_same(expected: str, received: str, uri: str, what: str) -> None:
    if expected != received:
        raise ModelError(f"{uri} is about another {what}: expected {expected}, received {received}", uri=uri)
