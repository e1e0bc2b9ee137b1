"""Validates what is stored, publishes the data docs, sets bad recordings aside, and fails when training must wait.

result = validate("frames", "s3://adbreak")
result["quarantined"], result["warnings"], result["data_docs_uri"]
"""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.data import quarantine
from ml_training.data.frames import read_current, read_extraction
from ml_training.data.labels import labelled_recordings
from ml_training.data.validation.checkpoint import DOCS_FOLDER, RESULTS_FOLDER, Finding, run_checkpoint
from ml_training.data.validation.data_docs import make_self_contained
from ml_training.data.validation.tables import (
    Tables,
    dataset_tables,
    extracted_recordings,
    frames_tables,
    labels_tables,
)
from ml_training.utils.errors import DataError, ObjectNotFound, ValidationFailed

RUNS_LINKED = 20  # so many of the newest results are linked from the index of the data docs
SHOWN = 20

logger = logging.getLogger(__name__)


def validate(
    suite: str, data_dir: str, *, recordings: Sequence[str] | None = None, dataset_id: str | None = None
) -> dict[str, Any]:
    """Run a suite over all recordings (or those named), or over a dataset version (default: the newest).

    Returns ``success``, ``failed`` and ``warnings`` (recording_id, expectation, detail), ``quarantined`` recordings,
    ``checked`` and ``data_docs_uri``. Named recordings that have no frames (those in quarantine) or no labels
    are passed over. Raises ValidationFailed, after publishing, when a rule of severity stop is broken.
    """
    if suite == "labels" and recordings and not set(recordings) & set(labelled_recordings(data_dir)):
        return _nothing_labelled(data_dir, recordings)
    tables = _tables(suite, data_dir, recordings, dataset_id)
    run_name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}-{suite}"
    with tempfile.TemporaryDirectory() as folder:
        _fetch_results(data_dir, Path(folder))
        findings = run_checkpoint(suite, tables, folder=Path(folder), run_name=run_name)
        _publish(data_dir, Path(folder), run_name)
    quarantined = _set_aside(data_dir, findings) if suite == "frames" else []
    result = _result(suite, data_dir, run_name, tables, findings) | {"quarantined": quarantined}
    storage.write_json(storage.join(data_dir, "validation", run_name, "result.json"), result)
    for finding in findings:
        level = logging.WARNING if finding.severity == "warn" else logging.ERROR
        logger.log(level, "%s %s: %s %s", finding.severity, finding.expectation, finding.detail, finding.recordings)
    if not result["success"]:
        raise ValidationFailed(_message(suite, findings, result["data_docs_uri"]), **result)
    return result


def _nothing_labelled(data_dir: str, recordings: Sequence[str]) -> dict[str, Any]:
    """Recordings may be ingested long before anybody labels them: nothing to check is no failure."""
    detail = "it has no labels yet: nothing was checked"
    told = [
        {"recording_id": name, "expectation": "labelled", "severity": "warn", "detail": detail} for name in recordings
    ]
    return {
        "success": True,
        "suite": "labels",
        "run": None,
        "checked": 0,
        "rows": 0,
        "failed": [],
        "warnings": told,
        "quarantined": [],
        "data_docs_uri": storage.join(data_dir, "validation", "data_docs", "index.html"),
    }


def _tables(suite: str, data_dir: str, recordings: Sequence[str] | None, dataset_id: str | None) -> Tables:
    if suite == "frames":
        there = extracted_recordings(data_dir)
        return frames_tables(data_dir, [name for name in recordings if name in there] if recordings else there)
    if suite == "labels":
        return labels_tables(data_dir, recordings)
    return dataset_tables(data_dir, dataset_id or newest_dataset(data_dir))


def newest_dataset(data_dir: str) -> str:
    """Return the id of the dataset version that was built last. Raises DataError when there is none."""
    listed = storage.list_objects(storage.join(data_dir, "datasets") + "/")
    cards = [item for item in listed if item.uri.endswith("/card.json")]
    if not cards:
        raise DataError(f"there is no dataset in {data_dir} to validate: build one first")
    return max(cards, key=lambda item: item.modified).uri.split("/")[-2]


def _fetch_results(data_dir: str, folder: Path) -> None:
    """Bring the newest earlier results and their pages, so that the index of the data docs links them too."""
    root = storage.join(data_dir, "validation", "results") + "/"
    listed = sorted(storage.list_objects(root), key=lambda item: item.modified)[-RUNS_LINKED:]
    for item in listed:
        below = item.uri.split("/validation/results/", 1)[1]
        page = Path("validations", below).with_suffix(".html")
        try:
            storage.download(
                storage.join(data_dir, "validation", "data_docs", page.as_posix()), folder / DOCS_FOLDER / page
            )
        except ObjectNotFound:
            continue
        storage.download(item.uri, folder / RESULTS_FOLDER / below)


def _publish(data_dir: str, folder: Path, run_name: str) -> None:
    make_self_contained(folder / DOCS_FOLDER, folder / RESULTS_FOLDER)
    for source, target in ((RESULTS_FOLDER, "results"), (DOCS_FOLDER, "data_docs")):
        for path in sorted((folder / source).rglob("*")):
            below = path.relative_to(folder / source).as_posix()
            old = "validations/" in f"{source.as_posix()}/{below}" and run_name not in below and target == "data_docs"
            if path.is_file() and not path.name.startswith(".") and not old:
                storage.upload(path, storage.join(data_dir, "validation", target, below))


def _set_aside(data_dir: str, findings: Sequence[Finding]) -> list[str]:
    """Move the pointers of the recordings that break a rule of severity quarantine; the frames stay where they are."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        for recording_id in finding.recordings if finding.severity == "quarantine" else ():
            reasons[recording_id].append(f"{finding.expectation}: {finding.detail}")
    for recording_id, said in reasons.items():
        _set_recording_aside(data_dir, recording_id, "; ".join(said))
    return sorted(reasons)


def _set_recording_aside(data_dir: str, recording_id: str, reason: str) -> None:
    current = read_current(data_dir, recording_id)
    if current is None:
        return
    facts = read_extraction(data_dir, recording_id)
    retry = f"python -m ml_training.data.collectors extract --video-source {facts['source_uri']} --retry --output-dir "
    entry = quarantine.Entry(
        recording_id=recording_id,
        stage="validation",
        reason=reason,
        source_uri=facts["source_uri"],
        extraction_id=current["extraction_id"],
        retry=retry + storage.join(data_dir, "frames"),
    )
    storage.write_json(storage.join(data_dir, "quarantine", recording_id, "current.json"), current)
    quarantine.put(storage.join(data_dir, "quarantine"), entry)
    storage.delete(storage.join(data_dir, "frames", recording_id, "current.json"))
    logger.error("quarantined %s: %s", recording_id, reason)


def _result(suite: str, data_dir: str, run_name: str, tables: Tables, findings: Sequence[Finding]) -> dict[str, Any]:
    hard = [finding for finding in findings if finding.severity != "warn"]
    return {
        "success": not any(finding.severity == "stop" for finding in findings),
        "suite": suite,
        "run": run_name,
        "checked": len(tables["recordings"]),
        "rows": sum(len(table) for table in tables.values()),
        "failed": [entry for finding in hard for entry in _entries(finding)],
        "warnings": [entry for finding in findings if finding.severity == "warn" for entry in _entries(finding)],
        "data_docs_uri": storage.join(data_dir, "validation", "data_docs", "index.html"),
    }


def _entries(finding: Finding) -> list[dict[str, Any]]:
    concerned: list[str | None] = [*finding.recordings] or [None]
    return [
        {
            "recording_id": recording_id,
            "expectation": finding.expectation,
            "severity": finding.severity,
            "detail": finding.detail,
        }
        for recording_id in concerned
    ]


def _message(suite: str, findings: Sequence[Finding], data_docs_uri: str) -> str:
    stops = [finding for finding in findings if finding.severity == "stop"]
    lines = [
        f"  {f.expectation}{' in ' + ', '.join(f.recordings[:SHOWN]) if f.recordings else ''}: {f.detail}"
        for f in stops
    ]
    return "\n".join([f"the suite {suite} found {len(stops)} broken rule(s):", *lines, f"  see {data_docs_uri}"])
