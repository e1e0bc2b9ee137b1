"""The small steps of ``ingest_recordings`` between its commands: what to look at, who extracts what, what is announced.

A run by the clock sweeps: it takes what is new or changed since the last one, whatever its date. A run of a backfill
takes the recordings of its day, one by hand those that the form names; both compare with what is stored.
"""

from collections.abc import Iterable
from math import ceil
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from notifiers.alert import alert
from operators.command_environment import data_root
from workflow.shared import FRAMES, failed_tasks, results_by_index

AT_ONCE = 4  # extractions of one run in parallel
BATCH_BYTES = 10**9  # a recording as large gets a task of its own; smaller ones share one
BATCH_RECORDINGS = 50
BACKFILL_SUITES = ["recordings", "frames", "audio"]  # what can be said of one day's recordings alone
MOST_ALONE = MOST_TOGETHER = 500  # batches; Airflow maps over 1,024 at most

Plan = list[dict[str, Any]]
Recording = dict[str, Any]


def run_type(dag_run: Any) -> str:
    """Return what set a run off: ``scheduled``, ``manual``, ``backfill`` or ``asset_triggered``."""
    return str(getattr(dag_run.run_type, "value", dag_run.run_type))


def scan_plan(params: dict[str, Any], dag_run: Any) -> dict[str, Any]:
    """Return the spec of the scan: where to look, for which dates and channels, and with which extraction in mind."""
    root = data_root()
    scan = {
        "command": "scan",
        "source": params["source"] or f"{root}/recordings/",
        "data_dir": root,
        "fps": params["frames_per_second"],
        "mode": params["mode"],
        "note_look": True,
    }
    kind = run_type(dag_run)
    if kind == "scheduled":
        return {**scan, "new_only": True}
    dates = {"from_date": params["from_date"], "to_date": params["to_date"]}
    if kind == "backfill":
        dates = dict.fromkeys(dates, dag_run.data_interval_start.strftime("%Y-%m-%d"))
    return {**scan, **dates, "channels": params["channels"]}


def extraction_plan(scanned: dict[str, Any], scan: dict[str, Any]) -> Plan:
    """Return the extractions, one entry a batch of recordings, as arguments of its operator."""
    made = batches(scanned["recordings"])
    return [extraction(batch, scan, workers=workers_of(batch, len(made))) for batch in made]


def extraction(batch: list[Recording], scan: dict[str, Any], *, workers: int | None) -> dict[str, Any]:
    """Return the extraction of one batch as arguments of its operator."""
    spec = {
        "command": "extract",
        "video_source": [recording["uri"] for recording in batch],
        "output_dir": f"{scan['data_dir']}/frames",
        "quarantine_dir": f"{scan['data_dir']}/quarantine",
        "fps": scan["fps"],
        "mode": scan["mode"],
        "workers": workers,
    }
    return {"spec": spec, "map_label": label_of(batch)}


def workers_of(batch: list[Recording], tasks: int) -> int | None:
    """Return the processes of one task: one where the tasks fill the cores, else one a core (None)."""
    long = batch[0]["bytes"] >= BATCH_BYTES
    return 1 if tasks >= AT_ONCE and not long else None


def batches(recordings: Iterable[Recording]) -> list[list[Recording]]:
    """Put recordings into batches by channel and date, so that the start of a process does not outweigh its work.

    A long recording is alone. The others share batches of about the same size: as many as ``BATCH_BYTES`` and
    ``BATCH_RECORDINGS`` ask for, but ``AT_ONCE`` where that is more and there are as many recordings.
    """
    ordered = sorted(recordings, key=lambda one: (one["channel"], one["date"] or "", one["recording_id"]))
    long = [one for one in ordered if one["bytes"] >= BATCH_BYTES][:MOST_ALONE]
    known = {one["recording_id"] for one in long}
    small = [one for one in ordered if one["recording_id"] not in known]
    total = sum(one["bytes"] for one in small) or 1
    needed = max(total / BATCH_BYTES, len(small) / BATCH_RECORDINGS, min(AT_ONCE, len(small)))
    count = min(ceil(needed), MOST_TOGETHER)
    shared: list[list[Recording]] = [[] for _ in range(count)]
    before = 0
    for one in small:
        middle = before + one["bytes"] / 2
        shared[min(int(middle / total * count), count - 1)].append(one)
        before += one["bytes"]
    return [[one] for one in long] + [batch for batch in shared if batch]


def label_of(batch: list[Recording]) -> str:
    """Return what the UI shows of a batch: the recording's id, or channels, dates and how many."""
    if len(batch) == 1:
        return str(batch[0]["recording_id"])
    ends = [f"{one['channel']} {one['date'] or 'without a date'}" for one in (batch[0], batch[-1])]
    return f"{' to '.join(dict.fromkeys(ends))}: {len(batch)} recordings"


def unfinished(plan: Plan, *, ti: Any) -> Plan:
    """Return an extraction for each recording of the batches that broke: alone, it stops no other one."""
    return [
        {"spec": {**entry["spec"], "video_source": [uri]}, "map_label": recording_id(uri)}
        for entry, output in zip(plan or [], results_by_index(ti, "extract_frames", len(plan or [])), strict=True)
        if not output
        for uri in entry["spec"]["video_source"]
    ]


def frames(plan: Plan, alone: Plan, *, ti: Any, dag_run: Any, outlet_events: Any) -> list[str]:
    """Announce the recordings that have new frames; skip when there are none, and in a backfill.

    An announcement sets off a run of ``validate_dataset``; a backfill of a month would set off thirty. Its frames are
    checked in its own run.
    """
    if run_type(dag_run) == "backfill":
        raise AirflowSkipException("a backfill announces nothing: what it brings in is checked in this run")
    new = extracted(ti, plan, alone)
    if not new:
        raise AirflowSkipException("no recording has new frames")
    outlet_events[FRAMES].extra = {"recordings": new}
    return new


def backfilled(plan: Plan, alone: Plan, *, ti: Any, dag_run: Any) -> list[str]:
    """Return the recordings of a backfill that have new frames; skip in every other run and when there are none."""
    if run_type(dag_run) != "backfill":
        raise AirflowSkipException("not a backfill: validate_dataset checks what is announced")
    new = extracted(ti, plan, alone)
    if not new:
        raise AirflowSkipException("no recording of this day has new frames")
    return new


def look_plan(scanned: dict[str, Any], scan: dict[str, Any], plan: Plan, alone: Plan, *, ti: Any) -> dict[str, Any]:
    """Return what the sweep may remember: all that the scan offered but for what has no frames yet."""
    if not scanned["look"]:
        raise AirflowSkipException("nothing was looked at that is not remembered")
    return {
        "command": "remember",
        "look": scanned["look"],
        "data_dir": scan["data_dir"],
        "fps": scan["fps"],
        "mode": scan["mode"],
        "without": [uri for uri, outcome in outcomes(ti, plan, alone) if outcome is None],
    }


def ingest_report(scanned: dict[str, Any], plan: Plan, alone: Plan, *, ti: Any) -> dict[str, Any]:
    """Count recordings by status; raise an alert for each one set aside or refused; fail when something broke."""
    ended = outcomes(ti, plan, alone)
    results = [outcome for _, outcome in ended if outcome]
    _raise_alerts(scanned, results, results_by_index(ti, "validate_backfill", len(BACKFILL_SUITES)))
    broken = failed_tasks(ti)
    lost = [recording_id(uri) for uri, outcome in ended if outcome is None]
    if not lost:  # what a batch left behind was extracted alone
        broken = [name for name in broken if not name.startswith("extract_frames")]
    if broken:
        names = f" without frames: {', '.join(lost[:20])}{' ...' * (len(lost) > 20)};" if lost else ""
        raise AirflowFailException(f"failed: {', '.join(broken)};{names} the rest went on")
    statuses = ["extracted" if result["status"] == "known" else result["status"] for result in results]
    seconds = sum(result.get("duration_seconds") or 0 for result in results)
    return {"recordings": {status: statuses.count(status) for status in sorted(set(statuses))}, "hours": seconds / 3600}


def _raise_alerts(
    scanned: dict[str, Any], results: Iterable[dict[str, Any]], validations: Iterable[dict[str, Any] | None]
) -> None:
    for result in results:
        if result["status"] == "quarantined":
            summary = f"{result['recording_id']} is in quarantine: {result['reason']}"
            alert("recording_quarantined", summary, result, severity="warning")
    for validated in validations:
        for name in (validated or {}).get("quarantined", []):
            reasons = [entry["detail"] for entry in validated["failed"] if entry["recording_id"] == name]
            summary = f"{name} is in quarantine: {'; '.join(reasons)}"
            alert("recording_quarantined", summary, {"recording_id": name}, severity="warning")
    for refused in (scanned or {}).get("refused", []):
        alert("recording_refused", f"{refused['uri']} is left out: {refused['reason']}", refused, severity="warning")


def extracted(ti: Any, plan: Plan, alone: Plan) -> list[str]:
    """Return the ids of the recordings with new frames.

    The scan offered them as new, so one that its extraction calls known is new as well: an earlier attempt made it.
    """
    found = (outcome for _, outcome in outcomes(ti, plan, alone))
    return sorted(outcome["recording_id"] for outcome in found if outcome and outcome["status"] != "quarantined")


def outcomes(ti: Any, plan: Plan, alone: Plan) -> list[tuple[str, dict[str, Any] | None]]:
    """Return each planned recording's address with what became of it; None where its extraction broke."""
    outputs = [
        *results_by_index(ti, "extract_frames", len(plan or [])),
        *results_by_index(ti, "extract_alone", len(alone or [])),
    ]
    known = {result["recording_id"]: result for output in outputs if output for result in output["recordings"]}
    return [(uri, known.get(recording_id(uri))) for entry in plan or [] for uri in entry["spec"]["video_source"]]


def recording_id(uri: str) -> str:
    """Return the id of a recording: its file's name without the ending."""
    return uri.rsplit("/", 1)[-1].rpartition(".")[0]
