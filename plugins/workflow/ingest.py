"""The small steps of ``ingest_recordings`` between its commands."""

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from notifiers.alert import alert
from operators.command_environment import data_root
from workflow.shared import FRAMES, fail_if_a_task_failed, results_by_index


def scan_plan(params: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of the scan: where to look for recordings, and with which extraction in mind."""
    root = data_root()
    source = params["source"] or f"{root}/recordings"
    return {"command": "scan", "source": source, "data_dir": root, "fps": params["frames_per_second"]}


def extraction_plan(scanned: dict[str, Any], scan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the spec of one extraction for each new or changed recording."""
    return [
        {
            "command": "extract",
            "video_source": recording["uri"],
            "output_dir": f"{scan['data_dir']}/frames",
            "quarantine_dir": f"{scan['data_dir']}/quarantine",
            "fps": scan["fps"],
        }
        for recording in scanned["recordings"]
    ]


def frames(plan: list[dict[str, Any]], *, ti: Any, outlet_events: Any) -> list[str]:
    """Announce the recordings that have new frames; skip when there are none."""
    new = [result["recording_id"] for result in extraction_results(ti, plan) if result["status"] == "extracted"]
    if not new:
        raise AirflowSkipException("no recording has new frames")
    outlet_events[FRAMES].extra = {"recordings": new}
    return new


def ingest_report(plan: list[dict[str, Any]], *, ti: Any) -> dict[str, Any]:
    """Count recordings by status and raise an alert for each in quarantine; fail when an extraction broke."""
    results = extraction_results(ti, plan)
    for result in results:
        if result["status"] == "quarantined":
            alert(
                "recording_quarantined",
                f"{result['recording_id']} is in quarantine: {result['reason']}",
                result,
                severity="warning",
            )
    fail_if_a_task_failed(ti)
    statuses = [result["status"] for result in results]
    seconds = sum(result.get("duration_seconds") or 0 for result in results)
    return {"recordings": {status: statuses.count(status) for status in sorted(set(statuses))}, "hours": seconds / 3600}


def extraction_results(ti: Any, plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the extractions said, one result a recording; those that broke said nothing."""
    outputs = results_by_index(ti, "extract_frames", len(plan or []))
    return [result for output in outputs if output for result in output["recordings"]]
