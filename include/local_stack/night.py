"""One night on this machine: recordings, services, ingestion, validation, retraining, promotion, delivery, summary.

    outcome = run_night(place, Options(once=True))
    outcome.exit_code

A model that its gates refuse is a result like any other. A failed task raises TaskFailed.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local_stack.dag_runs import finish_run, known_runs, make_way, new_run, results
from local_stack.delivery import check_on_device
from local_stack.errors import InputError, StackError, TaskFailed
from local_stack.history import History
from local_stack.plans import NightPlan, plan_of_night
from local_stack.progress import Board
from local_stack.recordings import (
    Found,
    Labels,
    check_labels,
    find_recordings,
    fingerprint,
    upload_recordings,
)
from local_stack.services import BUCKET, Services
from local_stack.stack import Stack
from local_stack.supervisor import Supervisor, log_tail
from local_stack.workplace import Workplace, read_json, write_json

GENERATOR = "ml_training.data.synthetic"
NICE = 10  # the services come first: generating takes longer than their start anyway
BASE_MODEL = "base-general"
DEVICE_RUNS = (BASE_MODEL,)  # what the simulated Pi is assigned
REST_WENT_ON = "other recordings were imported"


@dataclass(frozen=True)
class Options:
    """What the caller asked for."""

    once: bool = False
    recordings: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True)
class Job:
    """A night to do, checked: its kind, where its recordings come from, and what it trains with."""

    kind: str  # first, later: generated nights; own: the caller's recordings
    history: History
    found: Found | None = None
    labels: Labels | None = None
    fingerprint: str = ""
    night: int = 0
    plan: NightPlan | None = None
    nothing_new: bool = False

    @property
    def pace(self) -> str:
        """Nights of one pace take about the same time."""
        return "tiny" if self.plan and self.plan.conf else self.kind


def check_options(place: Workplace, options: Options) -> Job:
    """Look at everything that the caller gave. Raises InputError before anything starts."""
    history = History(place)
    if options.recordings is None:
        if options.labels is not None:
            raise InputError("LABELS was given without RECORDINGS: labels belong to recordings of yours")
        night = history.next_generated_night()
        return Job("first" if night == 1 else "later", history, night=night, plan=plan_of_night(night))
    found = find_recordings(options.recordings)
    labels = check_labels(options.labels, found) if options.labels else None
    mark = fingerprint(place, found, labels)
    conf = plan_of_night(1) if place_is_tiny() else None
    return Job("own", history, found, labels, fingerprint=mark, plan=conf, nothing_new=history.is_done(mark))


def place_is_tiny() -> bool:
    """Tell whether the training is to be as small as in tests."""
    return bool(plan_of_night(1).conf)


def generate(supervisor: Supervisor, services: Services, board: Board, job: Job) -> None:
    """Make the recordings of a generated night; finds what an interrupted night has made already."""
    if job.plan is None or job.kind == "own":
        return
    board.begin("recordings")
    plan, place = job.plan, services.place
    stamp = night_folder(place, job) / "made.json"
    if read_json(stamp) == asdict(plan):
        return
    command = [
        *(str(place.python("ml")), "-m", GENERATOR, "generate"),
        *("--output-dir", str(night_folder(place, job)), "--night", str(job.night), "--seed", str(plan.seed)),
        *("--recordings", str(plan.recordings), "--minutes", str(plan.minutes), "--channels", str(plan.channels)),
    ]
    process = supervisor.spawn("generator", command, services.command_environment, niceness=NICE)
    while process.poll() is None:
        made = len(list((night_folder(place, job) / "recordings").rglob("*.json")))
        board.detail("recordings", f"{made} of {plan.recordings} generated")
        supervisor.sleep(0.5)
    if process.returncode:
        raise StackError(f"the generator of recordings failed.\n{log_tail(place.log('generator'))}")
    write_json(stamp, asdict(plan))


def night_folder(place: Workplace, job: Job) -> Path:
    """Return where a generated night lies."""
    return place.state / "recordings" / f"night-{job.night:04}"


def run_night(stack: Stack, board: Board, job: Job) -> dict[str, Any]:
    """Take the recordings through all DAGs and return what each of them found."""
    found, labels = _contents(stack, board, job)
    for note in [*found.notes, *(labels.notes if labels else [])]:
        board.note(note)
    _store(stack, board, found)
    if labels:
        _import_labels(stack, board, labels, generated=job.kind != "own")
    board.end("recordings", f"{len(found.recordings)} in the bucket")
    facts: dict[str, Any] = {"ingestion": _ingest(stack, board)}
    facts["validation"] = _validate(stack, board, facts["ingestion"], labelled=labels is not None)
    if labels is None:
        facts["prediction"] = _predict(stack, board, found)
        return facts
    conf = job.plan.conf if job.plan else {}
    offered = known_runs(stack, "promote_model")
    board.begin("retraining")
    facts["retraining"] = _run(stack, board, "nightly_retraining", conf)
    board.end("retraining")
    facts["promotion"] = _promote(stack, board, facts["retraining"], offered)
    facts["delivery"] = {"check": [_deliver(stack, board)]}
    return facts


def remember(board: Board, job: Job) -> None:
    """Note a night that ended well, so that the next one adds to it."""
    kind = "own" if job.kind == "own" else "generated"
    job.history.add(kind=kind, night=job.night, fingerprint=job.fingerprint)
    job.history.remember(job.pace, board.durations())


def _contents(stack: Stack, board: Board, job: Job) -> tuple[Found, Labels | None]:
    if job.found is not None:
        board.begin("recordings")
        return job.found, job.labels
    folder = night_folder(stack.place, job)
    found = find_recordings(folder / "recordings")
    return found, check_labels(folder / "labels.json", found)


def _store(stack: Stack, board: Board, found: Found) -> None:
    def say(done: int, total: int) -> None:
        board.detail("recordings", f"{done} of {total} in the bucket")
        stack.supervisor.check()
        stack.supervisor.sleep(0)

    upload_recordings(stack.place, stack.bucket, found, say)


def _import_labels(stack: Stack, board: Board, labels: Labels, *, generated: bool) -> None:
    path = stack.place.state / "work" / "labels.json"
    write_json(path, labels.by_recording)
    source = "generator" if generated else "file"
    try:
        _command(stack, "ml_training.data.labels", ["import", "--labels", str(path), "--source", source])
    except StackError as error:
        if REST_WENT_ON not in str(error):
            raise
        board.note(str(error))


def _ingest(stack: Stack, board: Board) -> dict[str, Any]:
    board.begin("ingestion")
    validations = known_runs(stack, "validate_dataset")
    facts = _run(stack, board, "ingest_recordings", {})
    counts = _last(facts, "ingest_report").get("recordings", {})
    board.end("ingestion", ", ".join(f"{count} {status}" for status, count in counts.items()))
    return {**facts, "validations_before": sorted(validations)}


def _validate(stack: Stack, board: Board, ingestion: dict[str, Any], *, labelled: bool) -> dict[str, Any]:
    """Wait for the run that new frames set off; without new frames start one, for labels may be new."""
    board.begin("validation")
    run_id = None
    if ingestion.get("frames"):
        run_id = new_run(stack, "validate_dataset", set(ingestion["validations_before"]))
    run_id = run_id or stack.api.trigger("validate_dataset", {})
    try:
        finish_run(stack, board, "validate_dataset", run_id)
    except TaskFailed:
        failed = {task["task_id"] for task in stack.api.tasks("validate_dataset", run_id) if task["state"] == "failed"}
        if labelled or failed != {"validate_labels"}:
            raise
        board.note("labels were not validated: there are none")
    facts = results(stack, "validate_dataset", run_id)
    board.end("validation")
    return facts


def _promote(stack: Stack, board: Board, retraining: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Wait for the promotion of a challenger, where one was accepted."""
    if not any(verdict and verdict.get("accepted") for verdict in retraining.get("gates", [])):
        board.leave_out("promotion", "nothing was accepted")
        return {}
    board.begin("promotion")
    run_id = new_run(stack, "promote_model", known)
    if run_id is None:
        raise StackError("a challenger was accepted, but no run of promote_model started within a minute")
    finish_run(stack, board, "promote_model", run_id)
    board.end("promotion")
    return results(stack, "promote_model", run_id)


def _deliver(stack: Stack, board: Board) -> dict[str, Any]:
    """Let the simulated Pi look for updates; that it refuses one is a result."""
    board.begin("delivery")
    url = f"{stack.services.url('s3')}/{BUCKET}/delivery"
    root = stack.bucket.read_bytes("delivery/metadata/1.root.json") or b""
    port = stack.services.ports["device"]
    found = check_on_device(stack.place, port=port, delivery_url=url, root=root, models=list(DEVICE_RUNS))
    board.end("delivery", found["outcome"])
    return found


def _predict(stack: Stack, board: Board, found: Found) -> dict[str, Any]:
    """Let the champion look at recordings without labels; where there is none, the newest candidate."""
    board.leave_out("promotion", "nothing was trained")
    board.leave_out("retraining", "no labels, so nothing to train on; give LABELS=file.json to train")
    listed = _command(stack, "ml_training.registry.client", ["list", "--name", BASE_MODEL])["models"]
    by_alias = {alias: model for model in listed for alias in model["aliases"]}
    alias = next((name for name in ("champion", "candidate") if name in by_alias), None)
    if alias is None:
        return {"reason": "there is no model yet that could look at them; run a night first"}
    output = f"s3://{BUCKET}/predictions/{by_alias[alias]['semver']}"
    names = [recording.recording_id for recording in found.recordings]
    arguments = ["--model", by_alias[alias]["model_uri"], "--output", output, "--recordings", *names]
    seen = _command(stack, "ml_training.training.predict", arguments)
    return {**seen, "model": f"{BASE_MODEL}-v{by_alias[alias]['semver']} ({alias})"}


def _run(stack: Stack, board: Board, dag_id: str, conf: dict[str, Any]) -> dict[str, Any]:
    make_way(stack, dag_id, "")
    run_id = stack.api.trigger(dag_id, conf)
    finish_run(stack, board, dag_id, run_id)
    return results(stack, dag_id, run_id)


def _command(stack: Stack, module: str, arguments: list[str]) -> dict[str, Any]:
    """Run a command of ``ml_training`` and return its result. Raises StackError with what it said."""
    name = f"command-{module.rpartition('.')[2]}"
    log = stack.place.log(name)
    log.unlink(missing_ok=True)
    command = [str(stack.place.python("ml")), "-m", module, "--json", *arguments]
    try:
        stack.supervisor.run_to_end(name, command, stack.services.command_environment)
    except StackError as error:
        said = log.read_text().rpartition("\nerror: ")[2] if "\nerror: " in log.read_text() else str(error)
        raise type(error)(f"{module} failed: {said.strip()}") from error
    return dict(json.loads(log.read_text().splitlines()[-1]))


def _last(facts: dict[str, Any], task_id: str) -> dict[str, Any]:
    values = facts.get(task_id) or [{}]
    return values[-1] or {}


def started_at(environment: dict[str, str]) -> float | None:
    """Return the seconds since `make` began to set up, None when the caller did not say."""
    text = environment.get("ADBREAK_RUN_STARTED", "")
    return time.time() - float(text) if text.isdigit() else None
