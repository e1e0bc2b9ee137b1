"""Validates what is stored, publishes the data docs, sets aside what is bad, and fails when training must wait.

result = validate("frames", Scope("s3://adbreak"))
result["quarantined"], result["warnings"], result["data_docs_uri"]
"""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ml_training.data.validation.checkpoint import Finding, run_checkpoint
from ml_training.data.validation.publishing import docs_uri, publish
from ml_training.data.validation.rules import Rules
from ml_training.data.validation.scope import Scope, Tables
from ml_training.data.validation.set_aside import set_recordings_aside, set_telemetry_aside
from ml_training.data.validation.suites import audio, dataset, frames, labels, recordings, telemetry
from ml_training.utils.errors import ValidationFailed

SHOWN = 20

logger = logging.getLogger(__name__)


class Suite(NamedTuple):
    """What a suite is made of. ``checked`` names the table whose rows are what was checked."""

    tables: Callable[[Scope], Tables]
    rules: Callable[[], Rules]
    checked: str
    missing: str = "it has no frames (is it in quarantine?)"  # why something named is passed over


SUITES = {
    "recordings": Suite(recordings.tables, recordings.rules, "recordings"),
    "frames": Suite(frames.tables, frames.rules, "recordings"),
    "audio": Suite(audio.tables, audio.rules, "recordings"),
    "labels": Suite(labels.tables, labels.rules, "recordings", "it has no labels yet"),
    "dataset": Suite(dataset.tables, dataset.rules, "recordings"),
    "telemetry": Suite(telemetry.tables, telemetry.rules, "files"),
}


def validate(name: str, scope: Scope) -> dict[str, Any]:
    """Run the suite ``name``.

    Returns ``success``, ``failed`` and ``warnings`` (each with what it is about, ``expectation`` and ``detail``),
    ``quarantined`` recordings or files, ``checked`` and ``data_docs_uri``. Recordings that are named and have nothing
    to check are passed over. Raises ValidationFailed, after publishing, when a rule of severity stop is broken.
    """
    suite = SUITES[name]
    tables = suite.tables(scope)
    if not tables:
        return _nothing_there(name, suite, scope)
    run_name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}-{name}"
    with tempfile.TemporaryDirectory() as folder:
        findings = run_checkpoint(name, suite.rules(), tables, folder=Path(folder), run_name=run_name)
        quarantined = _set_aside(name, scope.data_dir, findings)
        result = {
            **_result(name, scope, run_name, findings),
            "checked": len(tables[suite.checked]),
            "rows": sum(len(table) for table in tables.values()),
            "quarantined": quarantined,
        }
        publish(scope.data_dir, Path(folder), result)
    for finding in findings:
        level = logging.WARNING if finding.severity == "warn" else logging.ERROR
        logger.log(level, "%s %s: %s %s", finding.severity, finding.expectation, finding.detail, finding.names[:SHOWN])
    if not result["success"]:
        raise ValidationFailed(_message(name, findings, result["data_docs_uri"]), **result)
    return result


def _nothing_there(name: str, suite: Suite, scope: Scope) -> dict[str, Any]:
    """What is named may be in quarantine, or not labelled by anybody yet: nothing to check is no failure."""
    detail = f"{suite.missing}: nothing was checked"
    warnings = [
        {"recording_id": recording_id, "expectation": "there", "severity": "warn", "detail": detail}
        for recording_id in scope.recordings or ()
    ]
    result = _result(name, scope, None, [])
    return {**result, "warnings": warnings, "checked": 0, "rows": 0, "quarantined": []}


def _set_aside(name: str, data_dir: str, findings: Sequence[Finding]) -> list[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        for subject in finding.names if finding.severity == "quarantine" else ():
            reasons[subject].append(f"{finding.expectation}: {finding.detail}")
    said = {subject: "; ".join(details) for subject, details in reasons.items()}
    return set_telemetry_aside(data_dir, said) if name == "telemetry" else set_recordings_aside(data_dir, said)


def _result(name: str, scope: Scope, run_name: str | None, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "success": not any(finding.severity == "stop" for finding in findings),
        "suite": name,
        "run": run_name,
        "dataset_id": scope.dataset_id,
        "reference": scope.reference,
        "failed": [entry for finding in findings if finding.severity != "warn" for entry in _entries(finding)],
        "warnings": [entry for finding in findings if finding.severity == "warn" for entry in _entries(finding)],
        "data_docs_uri": docs_uri(scope.data_dir),
    }


def _entries(finding: Finding) -> list[dict[str, Any]]:
    concerned: list[str | None] = [*finding.names] or [None]
    said = {"expectation": finding.expectation, "severity": finding.severity, "detail": finding.detail}
    return [{"recording_id": None, finding.subject: name, **said} for name in concerned]


def _message(name: str, findings: Sequence[Finding], uri: str) -> str:
    stops = [finding for finding in findings if finding.severity == "stop"]
    lines = [f"  {f.expectation}{' in ' + ', '.join(f.names[:SHOWN]) if f.names else ''}: {f.detail}" for f in stops]
    return "\n".join([f"the suite {name} found {len(stops)} broken rule(s):", *lines, f"  see {uri}"])
