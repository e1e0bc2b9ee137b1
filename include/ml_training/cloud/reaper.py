"""Ends machines of ours that nobody else has ended, and removes what machines have left behind.

    python -m ml_training.cloud.reaper --dry-run
    report = reap(load_cloud_config(), now=datetime.now(UTC))
    report.terminated[0].reason                       # 'its deadline was 2026-11-23 10:00:00 UTC'

The last of three ways to stop what bills: the machine ends itself, the launcher ends it, the reaper trusts neither. It
acts in an order that lets nothing hold up what is certain: first, on EC2's word alone, whatever is past its deadline;
then leftovers; last what the bucket or Airflow says for certain of the others. It sees only what carries our tag
(``adbreak:project``). docs/reaper.md says how to run it besides Airflow.
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from ml_training.cloud import costs
from ml_training.cloud.airflow_runs import AirflowRuns, airflow_runs
from ml_training.cloud.ec2 import Ec2, Instance, Resource
from ml_training.cloud.evidence import (
    ATTEMPT,
    DAG,
    DAG_RUN,
    JOB_URI,
    Finding,
    Limits,
    Unreadable,
    by_job,
    by_run,
    by_tags,
    deadline_of,
    limits_of,
)
from ml_training.cloud.jobs import Ending, Job
from ml_training.config.cloud import CloudConfig, load_cloud_config
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import AdbreakError, CloudError, ObjectNotFound, StorageError
from ml_training.utils.records import Record

STOPPABLE = ("pending", "running", "stopping", "stopped")
SECOND_LOOK_SECONDS = 60.0  # at most: three heartbeats
USUAL = ("job_", "attempt_ended", "cancelled", "superseded")  # causes where somebody had ended the work already

logger = logging.getLogger(__name__)


class Reaped(Record):
    """A machine that was ended, or would be in a dry run."""

    instance_id: str
    instance_type: str
    cause: str
    reason: str
    launched_at: AwareDatetime
    tags: dict[str, str]


class Alert(Record):
    """What a person should hear of."""

    kind: str
    summary: str
    severity: Literal["error", "warning"] = "error"
    facts: dict[str, Any] = Field(default_factory=dict)


class Report(Record):
    """What the reaper saw and did. ``unreadable`` is what gave no evidence, ``errors`` what EC2 refused."""

    at: AwareDatetime
    dry_run: bool
    simulated: bool
    machines: int  # of ours, not terminated
    terminated: list[Reaped]
    deleted: list[str]
    unreadable: list[str]
    errors: list[str]
    alerts: list[Alert]


def reap(
    config: CloudConfig,
    *,
    now: datetime | None = None,
    dry_run: bool = False,
    runs: AirflowRuns | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Report:
    """Look at every machine of ours once, end those that have to go, and say what was done.

    Raises CloudError when EC2 cannot even be asked what there is.
    """
    reaper = _Reaper(Ec2(config), limits_of(config), now=now or datetime.now(UTC), dry_run=dry_run, runs=runs)
    machines = reaper.ec2.find()
    living = [machine for machine in machines if machine.state in STOPPABLE]
    rest = reaper.end_overdue(living)
    reaper.delete_leftovers({machine.instance_id for machine in living})
    reaper.end_unneeded(rest, lambda: pause(min(3 * config.heartbeat_seconds, SECOND_LOOK_SECONDS)))
    reaper.settle(machines)
    return Report(
        at=reaper.now,
        dry_run=dry_run,
        simulated=config.simulated,
        machines=len(living),
        terminated=reaper.terminated,
        deleted=reaper.deleted,
        unreadable=sorted(set(reaper.unreadable)),
        errors=reaper.errors,
        alerts=[] if dry_run else _alerts(reaper),
    )


class _Reaper:
    """One pass. What fails for one machine is noted and does not hold up the others."""

    def __init__(self, ec2: Ec2, limits: Limits, *, now: datetime, dry_run: bool, runs: AirflowRuns | None) -> None:
        self.ec2, self.limits, self.now, self.dry_run, self.runs = ec2, limits, now, dry_run, runs
        self.terminated: list[Reaped] = []
        self.deleted: list[str] = []
        self.unreadable: list[str] = []
        self.errors: list[str] = []
        self._ended: list[tuple[Instance, Finding]] = []
        self._bucket_answers = True  # until it did not, once: then nothing waits for it again

    def end_overdue(self, machines: Iterable[Instance]) -> list[Instance]:
        """End what is past its time on EC2's word alone; returns the others."""
        rest = []
        for machine in machines:
            finding = by_tags(machine, self.limits, self.now)
            if finding is None:
                rest.append(machine)
            else:
                self._terminate(machine, finding)
        return rest

    def end_unneeded(self, machines: Iterable[Instance], wait: Callable[[], None]) -> None:
        """End what bucket or Airflow say for certain is not needed; those that only are silent after a second look."""
        suspects = []
        for machine in machines:
            finding = self._judge(machine)
            if finding is not None and finding.second_look:
                suspects.append((machine, finding))
            elif finding is not None:
                self._terminate(machine, finding)
        if not suspects:
            return
        wait()  # a bucket that was away for a while shows old heartbeats first
        for machine, first in suspects:
            again = self._judge(machine)
            if again is not None and again.cause == first.cause:
                self._terminate(machine, again)

    def delete_leftovers(self, living: set[str]) -> None:
        """Delete disks without a machine, and templates and requests whose deadline has passed."""
        for listing in (self.ec2.volumes, self.ec2.templates, self.ec2.fleets, self.ec2.requests):
            try:
                found = listing()
            except CloudError as error:
                self.errors.append(error.message)
                continue
            for resource in found:
                if self._is_left_over(resource, living):
                    self._delete(resource)

    def settle(self, machines: Iterable[Instance]) -> None:
        """Let the ledger hold what every machine that has gone has cost, also when its launcher has gone too."""
        if self.dry_run:
            return
        for machine, finding in self._ended:
            self._unless_away(partial(self._note_cost, machine, finding))
        gone = [machine for machine in machines if machine.state not in STOPPABLE and machine.tags.get(JOB_URI)]
        for job in self._not_in_the_ledger(gone):
            self._unless_away(partial(costs.settle, job))

    def _not_in_the_ledger(self, machines: Iterable[Instance]) -> list[Job]:
        """Return the jobs of machines that have no entry of yesterday or today, by one look at each ledger."""
        months = {costs.month_of(self.now), costs.month_of(self.now - timedelta(days=1))}
        known: dict[str, set[str] | None] = {}
        found: dict[str, Job] = {}
        for machine in machines:
            job, number = Job(machine.tags[JOB_URI]), machine.tags.get(ATTEMPT, "")
            root = costs.root_of(job)
            if root not in known:
                known[root] = self._unless_away(partial(costs.entries, root, months))
            entries = known[root]
            if entries is not None and number.isdigit() and costs.entry_name(job, int(number)) not in entries:
                found[job.uri] = job
        return list(found.values())

    def _judge(self, machine: Instance) -> Finding | None:
        found = self._unless_away(partial(by_job, machine, self.limits, self.now))
        if found is None:
            try:
                return by_run(machine, self.limits, self.now, self.runs)
            except Unreadable as error:
                self.unreadable.append(str(error))
        return found

    def _unless_away(self, ask: Callable[[], Any]) -> Any:
        """Ask the bucket, unless it has not answered before; what cannot be read is noted, and None."""
        if not self._bucket_answers:
            return None
        try:
            return ask()
        except (Unreadable, AdbreakError) as error:
            self.unreadable.append(str(error))
            cause = error.__cause__ if isinstance(error, Unreadable) else error
            self._bucket_answers = not isinstance(cause, StorageError) or isinstance(cause, ObjectNotFound)
            return None

    def _terminate(self, machine: Instance, finding: Finding) -> None:
        logger.warning("%s has to go: %s", machine.instance_id, finding.reason)
        if not self.dry_run:
            try:
                self.ec2.terminate([machine.instance_id])
            except CloudError as error:
                self.errors.append(f"{machine.instance_id} cannot be ended: {error.message}")
                return
        self.terminated.append(
            Reaped(
                instance_id=machine.instance_id,
                instance_type=machine.instance_type,
                cause=finding.cause,
                reason=finding.reason,
                launched_at=machine.launched_at,
                tags=dict(machine.tags),
            )
        )
        self._ended.append((machine, finding))

    def _note_cost(self, machine: Instance, finding: Finding) -> None:
        """Write into the ledger what the machine cost: perhaps nobody else is there any more to do it."""
        uri, number = machine.tags.get(JOB_URI, ""), machine.tags.get(ATTEMPT, "")
        if not uri or not number.isdigit():
            return
        job, seconds = Job(uri), (self.now - machine.launched_at).total_seconds()
        attempt = next((one for one in job.attempts() if one.number == int(number)), None)
        rate = attempt.price(machine.instance_type, machine.zone) if attempt else None
        ending = Ending(
            attempt=int(number),
            instance_id=machine.instance_id,
            cause="deadline" if finding.cause == "deadline" else "lost",
            message=f"ended by the reaper: {finding.reason}",
            ended_at=self.now,
            seconds=max(seconds, 0.0),
            usd=None if rate is None else costs.price(seconds, rate),
            instance_type=machine.instance_type,
            market=machine.market,
            zone=machine.zone,
        )
        costs.record(job, job.ending(int(number)) or ending)

    def _is_left_over(self, resource: Resource, living: set[str]) -> bool:
        age = self.now - resource.created_at
        if resource.kind == "volume":
            return resource.state == "available" and age > self.limits.leftover
        if resource.kind == "spot-request" and resource.instance_id in living:
            return False
        deadline = deadline_of(dict(resource.tags))
        return self.now >= deadline + self.limits.grace if deadline else age > self.limits.longest

    def _delete(self, resource: Resource) -> None:
        if not self.dry_run:
            try:
                self.ec2.delete(resource)
            except CloudError as error:
                self.errors.append(f"{resource.resource_id} cannot be deleted: {error.message}")
                return
        self.deleted.append(f"{resource.kind} {resource.resource_id}")


def _alerts(reaper: _Reaper) -> list[Alert]:
    """Say each machine that the reaper had to end: the other two ways to stop it did not work."""
    found = [
        Alert(
            kind="machine_reaped",
            summary=f"the reaper ended {machine.instance_id} ({machine.instance_type}): {machine.reason}",
            severity="warning" if machine.cause.startswith(USUAL) else "error",
            facts={
                "cause": machine.cause,
                "hours": round((reaper.now - machine.launched_at) / timedelta(hours=1), 2),
                **{tag.removeprefix("adbreak:"): machine.tags.get(tag, "") for tag in (JOB_URI, ATTEMPT, DAG, DAG_RUN)},
            },
        )
        for machine in reaper.terminated
    ]
    return found + [Alert(kind="reaper_refused", summary=error) for error in reaper.errors]


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.cloud.reaper", __doc__)
    parser.add_argument("--dry-run", action="store_true", help="say what would be ended and deleted, and touch nothing")
    parser.add_argument("--cloud-config", help="a name in configs/cloud, or a path; default: ADBREAK_CLOUD_CONFIG")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    report = reap(load_cloud_config(args.cloud_config), dry_run=args.dry_run, runs=airflow_runs())
    for alert in report.alerts:
        logger.warning("%s: %s", alert.kind, alert.summary)
    return report.model_dump(mode="json")


if __name__ == "__main__":
    raise SystemExit(main())
