"""Tells people that something needs them: a failed task, a model that its gates refuse.

    raise_alert("model_refused", "base-general: recall 0.84 is not above 0.90", {"run_id": "..."}, severity="warning")
    python -m ml_training.monitoring.alerts list

An alert goes to the log and, as one JSON line, to the file that ADBREAK_ALERTS_FILE names. Light enough for an Airflow
callback; it never fails what calls it.
"""

import argparse
import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ConfigError, UsageError

Severity = Literal["error", "warning"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning")

logger = logging.getLogger(__name__)


def raise_alert(
    kind: str,
    summary: str,
    facts: Mapping[str, Any] | None = None,
    *,
    severity: Severity = "error",
    alerts_file: Path | None = None,
) -> dict[str, Any]:
    """Log an alert and append it to the alerts file; return it.

    ``kind`` groups alerts of one cause (``task_failed``, ``model_refused``), ``summary`` is a sentence for people and
    ``facts`` what a program may want; what JSON cannot hold becomes text. ``alerts_file`` defaults to the setting.
    """
    alert = {
        "created_at": datetime.now(UTC).isoformat(),
        "severity": severity,
        "kind": kind,
        "summary": summary,
        "facts": dict(facts or {}),
    }
    line = json.dumps(alert, sort_keys=True, default=str)
    logger.log(logging.ERROR if severity == "error" else logging.WARNING, "alert %s: %s %s", kind, summary, line)
    path = alerts_file or read_settings().alerts_file
    if path is not None:
        try:
            _append(path, line)
        except OSError:
            logger.exception("alert %s is only in this log: %s cannot be written", kind, path)
    return dict(json.loads(line))


def _append(path: Path, line: str) -> None:
    # One write in append mode: lines of processes that alert at the same moment do not mix.
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (line + "\n").encode())
    finally:
        os.close(descriptor)


def read_alerts(path: Path) -> list[dict[str, Any]]:
    """Return the alerts of a file, oldest first; a line cut short by a full disk is left out and said in the log."""
    if not path.exists():
        return []
    alerts = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        try:
            alerts.append(json.loads(line))
        except ValueError:
            logger.warning("%s line %d is no alert", path, number)
    return alerts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.monitoring.alerts", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("raise", help="raise an alert")
    new.add_argument("--kind", required=True)
    new.add_argument("--summary", required=True)
    new.add_argument("--facts", default="{}", help="a JSON object")
    new.add_argument("--severity", choices=SEVERITIES, default="error")
    new.set_defaults(run=_raise)
    listing = commands.add_parser("list", help="print the alerts, oldest first")
    listing.add_argument("--kind", help="only of this kind")
    listing.set_defaults(run=_list)
    return run_command(parser, argv)


def _raise(args: argparse.Namespace) -> dict[str, Any]:
    try:
        facts = json.loads(args.facts)
    except ValueError as error:
        raise UsageError(f"--facts must be a JSON object: {error}") from error
    if not isinstance(facts, dict):
        raise UsageError(f"--facts must be a JSON object, received {type(facts).__name__}")
    return raise_alert(args.kind, args.summary, facts, severity=args.severity)


def _list(args: argparse.Namespace) -> Any:
    path = read_settings().alerts_file
    if path is None:
        raise ConfigError("ADBREAK_ALERTS_FILE is not set: alerts are only in the logs")
    alerts = [alert for alert in read_alerts(path) if args.kind in (None, alert["kind"])]
    if args.json:
        return {"alerts": alerts}
    lines = [f"{a['created_at'][:19]}  {a['severity']:<7}  {a['kind']}: {a['summary']}" for a in alerts]
    return "\n".join(lines) or "no alerts"


if __name__ == "__main__":
    raise SystemExit(main())
