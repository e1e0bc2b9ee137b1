"""The small steps of ``validate_dataset`` between its commands."""

from typing import Any

from workflow.shared import FRAMES, VALIDATED_FRAMES


def recordings_to_validate(params: dict[str, Any], triggering_asset_events: Any) -> list[str]:
    """Return the ids that the form names, else those that the run was triggered for; none means all."""
    if params["recordings"]:
        return list(params["recordings"])
    events = triggering_asset_events.get(FRAMES, [])
    return sorted({name for event in events for name in event.extra.get("recordings", [])})


def validated_frames(recordings: list[str], *, outlet_events: Any) -> list[str]:
    """Announce that these recordings (none named: all) may be trained on."""
    outlet_events[VALIDATED_FRAMES].extra = {"recordings": recordings}
    return recordings
