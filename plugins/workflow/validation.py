"""The small steps of ``validate_dataset`` between its commands."""

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from notifiers.alert import alert
from workflow.shared import FRAMES, VALIDATED_FRAMES

SUITES = ("recordings", "frames", "audio", "labels")  # in this order: what one sets aside, the next does not look at
MOST_NAMED = 1000  # more ids do not fit into the environment of a command: then all are checked


def trigger_rule(suite: str) -> str:
    """Return when a suite runs: after the first one always, so that everything that is wrong is told in one run."""
    return "all_success" if suite == SUITES[0] else "all_done"


def recordings_to_validate(params: dict[str, Any], triggering_asset_events: Any) -> list[str]:
    """Return the ids that the form names, else those that the run was triggered for; none means all."""
    events = triggering_asset_events.get(FRAMES, [])
    named = params["recordings"] or {name for event in events for name in event.extra.get("recordings", [])}
    return sorted(named) if len(named) <= MOST_NAMED else []


def set_aside(*, ti: Any) -> dict[str, str]:
    """Raise an alert for each recording that was set aside, and return them with the reasons."""
    aside: dict[str, str] = {}
    for result in ti.xcom_pull(task_ids=[f"validate_{suite}" for suite in SUITES]):
        for name in result["quarantined"] if result else ():
            aside[name] = "; ".join(entry["detail"] for entry in result["failed"] if entry["recording_id"] == name)
    for name, reason in sorted(aside.items()):
        alert("recording_quarantined", f"{name} is in quarantine: {reason}", {"recording_id": name}, severity="warning")
    return aside


def validated_frames(recordings: list[str], aside: dict[str, str], *, outlet_events: Any) -> list[str]:
    """Announce which recordings (none named: all) may be trained on."""
    kept = [name for name in recordings if name not in aside]
    if recordings and not kept:
        raise AirflowSkipException("every recording is in quarantine: nothing new may be trained on")
    outlet_events[VALIDATED_FRAMES].extra = {"recordings": kept}
    return kept
