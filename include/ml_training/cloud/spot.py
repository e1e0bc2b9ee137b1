"""Runs a command on a machine of EC2 that may be taken away: asks for it, watches it, ends it.

    python -m ml_training.cloud.spot run --data-dir s3://adbreak --options '{"config": "base_model"}'
    python -m ml_training.cloud.spot launch --data-dir s3://adbreak --options '{"config": "base_model"}'
    python -m ml_training.cloud.spot watch --job s3://adbreak/training/jobs/3f9c2d1a7b60
    python -m ml_training.cloud.spot status --job s3://adbreak/training/jobs/3f9c2d1a7b60
    python -m ml_training.cloud.spot end --job s3://adbreak/training/jobs/3f9c2d1a7b60

``--module`` is the command that the machine runs, ``ml_training.training.train`` when it is left out, and ``--options``
are its options. The same again is the same job: a running one is adopted, a finished one is found, and one that failed
begins again. ``run`` launches and watches, and whatever ends it ends the machine too, unless ``--detach`` is given:
then the machine trains on. ``prepare`` writes the job down and asks for nothing; whoever watches it does.
"""

import argparse
import contextlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ml_training.cloud import costs, storage
from ml_training.cloud.attempts import read_history
from ml_training.cloud.ending import end
from ml_training.cloud.jobs import Again, Archive, Job, JobSpec
from ml_training.cloud.launcher import is_decided
from ml_training.cloud.members import machines_of
from ml_training.cloud.packaging import upload
from ml_training.cloud.successors import end_all, take_over
from ml_training.cloud.together import look
from ml_training.cloud.watching import result_of, watch
from ml_training.config.cloud import CloudConfig, load_cloud_config
from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import JobError, UsageError
from ml_training.utils.hashing import sha256_bytes

TRAIN = "ml_training.training.train"
COMPARED = ("module", "options", "machines")  # what makes a job the same; code and limits may have changed since

logger = logging.getLogger(__name__)


def prepare(
    config: CloudConfig,
    module: str,
    options: Mapping[str, Any],
    labels: Mapping[str, str],
    *,
    data_dir: str,
    job_uri: str | None = None,
    gpus: int | None = None,
    machines: int | None = None,
) -> Job:
    """Write a job down and return it; one that has failed, was cancelled or given up is to begin again, with this code.

    Without ``machines`` it has as many as the config says, where the command can share its work. Raises StorageError
    when the bucket cannot be written, JobError when another job has this address, UsageError for too many machines.
    """
    count = machines_of(config, module, options, machines)
    code, lock = upload(data_dir)
    spec = _spec(
        config, module=module, options=dict(options), labels=labels, gpus=gpus, machines=count, code=code, lock=lock
    )
    job = Job(job_uri or storage.join(data_dir, "training", "jobs", _job_id(spec)))
    _write_down(job, spec, config, data_dir)
    newest = read_history(job).newest
    if newest is not None and is_decided(job, config):
        limits = {"budget_usd": spec.budget_usd, "deadline_seconds": spec.deadline_seconds}
        job.begin_again(newest.number + 1, Again(code=code, lock=lock, **limits))
    return job


def _write_down(job: Job, spec: JobSpec, config: CloudConfig, data_dir: str) -> None:
    """Write the spec and what it should cost, where no job is; raise JobError where another one is."""
    if not storage.exists(job.at("spec.json")):
        with contextlib.suppress(JobError):  # somebody else writes it down at the same moment
            job.create(spec)
        expected = costs.estimate_job(spec.options, config, data_dir=data_dir, machines=spec.machines)
        if expected is not None:
            costs.keep_estimate(job, expected)
    there = job.spec()
    if any(getattr(there, name) != getattr(spec, name) for name in COMPARED):
        raise JobError(f"{job.uri} is another job already: its spec.json differs; choose another --job", uri=job.uri)


def _spec(
    config: CloudConfig,
    *,
    module: str,
    options: dict[str, Any],
    labels: Mapping[str, str],
    gpus: int | None,
    machines: int,
    code: Archive,
    lock: Archive,
) -> JobSpec:
    return JobSpec(
        module=module,
        options=options,
        code=code,
        lock=lock,
        image=config.trainer_image,
        environment={"AWS_DEFAULT_REGION": config.region, **config.environment},
        labels={name: value for name, value in {"owner": config.owner, **labels}.items() if value},
        gpus=min(one.gpus for one in config.candidates) if gpus is None else gpus,
        machines=machines,
        deadline_seconds=config.deadline_hours * 3600,
        budget_usd=config.budget_usd / machines,
        idle_seconds=config.idle_minutes * 60,
        unreachable_seconds=config.unreachable_minutes * 60,
        heartbeat_seconds=config.heartbeat_seconds,
        simulated=config.simulated,
    )


def _job_id(spec: JobSpec) -> str:
    """Return a name for what a job does: module, options, code and environment."""
    content: list[Any] = [spec.module, spec.options, spec.code.sha256, spec.lock.sha256]
    content += [spec.machines] if spec.machines > 1 else []
    return sha256_bytes(json.dumps(content, sort_keys=True).encode())[:12]


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.cloud.spot", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, text in (
        ("run", _run, "launch a job, watch it, and end its machine"),
        ("launch", _launch, "launch a job and leave it to its machine"),
        ("prepare", _prepare, "write a job down; whoever watches it asks for its machine"),
    ):
        _add_job_options(commands.add_parser(name, help=text), run)
    for name, run, text in (
        ("watch", _watch, "keep a job going, and say what happens, until it is over"),
        ("status", _status, "say where a job stands, and change nothing"),
        ("end", _end, "end every machine of a job"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--job", required=True, help="the job's address")
        command.add_argument("--cloud-config", help="name or path; default: ADBREAK_CLOUD_CONFIG")
        command.set_defaults(run=run)
    watching, ending = commands.choices["watch"], commands.choices["end"]
    watching.add_argument("--seconds", type=float, help="stop watching after so long; the machine goes on")
    watching.add_argument("--no-log", action="store_true", help="leave the machines' log out")
    ending.add_argument("--reason", default="it was ended by hand")
    return run_command(parser, argv)


def _add_job_options(command: argparse.ArgumentParser, run: Any) -> None:
    command.add_argument("--data-dir", help="the bucket; default: ADBREAK_DATA_DIR")
    command.add_argument("--module", default=TRAIN, help="the command that the machine runs")
    command.add_argument("--options", type=_mapping, default={}, help="its options, as JSON")
    command.add_argument("--labels", type=_mapping, default={}, help="dag, dag_run, task, owner, as JSON: tags")
    command.add_argument("--job", help="the job's address; default: named by what it does")
    command.add_argument("--take-over", action="store_true", help="end a job of other options at this address first")
    command.add_argument("--machines", type=int, help="that work on it together; default: the cloud's config's")
    command.add_argument("--gpus", type=int, help="that a machine must have; default: what all candidates have")
    command.add_argument("--cloud-config", help="name or path; default: ADBREAK_CLOUD_CONFIG")
    command.add_argument("--detach", action="store_true", help="with run: leave the job to its machine")
    command.set_defaults(run=run)


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"expected JSON, received {text!r}: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"expected a JSON object, received {text!r}")
    return value


def _job(args: argparse.Namespace) -> tuple[Job, CloudConfig]:
    return Job(args.job), load_cloud_config(args.cloud_config)


def _prepared(args: argparse.Namespace) -> tuple[Job, CloudConfig]:
    config = load_cloud_config(args.cloud_config)
    config.require_account()
    data_dir = args.data_dir or read_settings().data_dir
    options = {"data_dir": data_dir, **args.options} if args.module == TRAIN else args.options
    wanted = {"gpus": args.gpus, "machines": args.machines}
    uri = args.job
    if args.job and args.take_over:
        uri = take_over(args.job, args.module, options, config, machines=args.machines)
    job = prepare(config, args.module, options, args.labels, data_dir=data_dir, job_uri=uri, **wanted)
    logger.info("the job is %s", job.uri)
    return job, config


def _prepare(args: argparse.Namespace) -> dict[str, Any]:
    job, config = _prepared(args)
    spec = job.spec()
    budget = spec.budget_usd * spec.machines
    return {"job_uri": job.uri, "budget_usd": budget, "machines": spec.machines, "simulated": config.simulated}


def _end(args: argparse.Namespace) -> dict[str, Any]:
    job, config = _job(args)
    return end_all(job.uri, config, args.reason)


def _launch(args: argparse.Namespace) -> dict[str, Any]:
    """Ask until a machine is there."""
    job, config = _prepared(args)
    now = watch(job, config, log=False, until=lambda status: status.state in ("booting", "training"))
    return result_of(job, now, config) if now.is_over and now.state != "done" else now.model_dump(mode="json")


def _status(args: argparse.Namespace) -> dict[str, Any]:
    return look(*_job(args), datetime.now(UTC)).model_dump(mode="json")


def _watch(args: argparse.Namespace) -> dict[str, Any]:
    job, config = _job(args)
    final = watch(job, config, seconds=args.seconds, log=not args.no_log)
    return result_of(job, final, config) if final.is_over else final.model_dump(mode="json")


def _run(args: argparse.Namespace) -> dict[str, Any]:
    if args.detach:
        return _launch(args)
    job, config = _prepared(args)
    try:
        return result_of(job, watch(job, config), config)
    finally:
        end(job, config, "whoever ran it has left")


if __name__ == "__main__":
    raise SystemExit(main())
