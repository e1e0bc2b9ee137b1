"""Raises an alert from an Airflow task.

    default_args = {"on_failure_callback": [AlertNotifier("task_failed")]}
    alert("model_refused", "base-general is REFUSED: recall 0.81, bound 0.9", {"config": "base_model"})

Alerts go to the log and, locally, to the file that the variable ``adbreak_alerts_file`` names
(``ml_training.monitoring.alerts``).
"""

from pathlib import Path
from typing import Any, Literal

from airflow.sdk import BaseNotifier, Context, Variable


def alert(kind: str, summary: str, facts: dict[str, Any], *, severity: Literal["error", "warning"] = "error") -> None:
    """Raise one alert; ``facts`` is what a program may want of it."""
    from ml_training.monitoring.alerts import raise_alert

    file = Variable.get("adbreak_alerts_file", default=None)
    raise_alert(kind, summary, facts, severity=severity, alerts_file=Path(file) if file else None)


class AlertNotifier(BaseNotifier):
    """Say which task of which run failed, why, and where its log is. For failure callbacks."""

    def __init__(self, kind: str = "task_failed") -> None:
        super().__init__()
        self.kind = kind

    def notify(self, context: Context) -> None:
        """Raise the alert."""
        task_instance = context["ti"]
        reason = str(context.get("exception") or "").strip()
        name = f"{task_instance.dag_id}.{task_instance.task_id}"
        label = f"[{task_instance.map_index}]" if (task_instance.map_index or -1) >= 0 else ""
        facts = {
            "dag_id": task_instance.dag_id,
            "task_id": task_instance.task_id,
            "run_id": task_instance.run_id,
            "map_index": task_instance.map_index,
            "try_number": task_instance.try_number,
            "reason": reason,
            "log_url": getattr(task_instance, "log_url", None),
        }
        alert(self.kind, f"{name}{label} failed: {reason.splitlines()[-1] if reason else 'no reason given'}", facts)
