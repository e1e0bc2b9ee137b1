"""Raises an alert from an Airflow task.

    default_args = {"on_failure_callback": [AlertNotifier("task_failed")]}
    alert("model_refused", "base-general is REFUSED: recall 0.81, bound 0.9", {"config": "base_model"})

Alerts go to the log and, locally, to the file that the variable ``adbreak_alerts_file`` names
(``ml_training.monitoring.alerts``).
"""

import os
from typing import Any

from airflow.sdk import BaseNotifier, Context, Variable


def alert(kind: str, summary: str, facts: dict[str, Any]) -> None:
    """Raise one alert; ``facts`` must be JSON."""
    from ml_training.monitoring.alerts import raise_alert

    alerts_file = Variable.get("adbreak_alerts_file", default=None)
    if alerts_file:
        os.environ["ADBREAK_ALERTS_FILE"] = alerts_file
    raise_alert(kind, summary, facts)


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
