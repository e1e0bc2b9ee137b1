"""The small steps of ``validate_dataset`` between its commands."""

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from notifiers.alert import alert
from workflow.shared import FRAMES, VALIDATED_FRAMES


def recordings_to_validate(params: dict[str, Any], triggering_asset_events: Any) -> list[str]:
    """Return the ids that the form names, else those that the run was triggered for; none means all."""
    if params["recordings"]:
        return list(params["recordings"])
    events = triggering_asset_events.get(FRAMES, [])
    return sorted({name for event in events for name in event.extra.get("recordings", [])})


def validated_frames(recordings: list[str], validated: dict[str, Any], *, outlet_events: Any) -> list[str]:
    """Announce which recordings (none named: all) may be trained on; raise an alert for each that was set aside."""
    for name in validated["quarantined"]:
        reasons = [entry["detail"] for entry in validated["failed"] if entry["recording_id"] == name]
        summary = f"{name} is in quarantine: {'; '.join(reasons)}"
        alert("recording_quarantined", summary, {"recording_id": name}, severity="warning")
    kept = [name for name in recordings if name not in validated["quarantined"]]
    if recordings and not kept:
        raise AirflowSkipException("every recording is in quarantine: nothing new may be trained on")
    outlet_events[VALIDATED_FRAMES].extra = {"recordings": kept}
    return kept
