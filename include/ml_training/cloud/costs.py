"""What jobs cost: estimated before, written down after each attempt, summed by job and by month.

    record(job, ending)                     # ledger/costs/2026-11/3f9c2d1a7b60-0001.json, once
    of_job(job).usd                         # of all its attempts so far
    of_month("s3://adbreak", "2026-11").usd
    python -m ml_training.cloud.costs --data-dir s3://adbreak --month 2026-11

The ledger is only ever added to. An amount is the price at the launch times the seconds that EC2 bills (each second,
sixty at least: https://aws.amazon.com/ec2/pricing/), an estimate until the bill comes; disk and traffic are not in it.
What has no price is counted apart, never as nothing.
"""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from ml_training.cloud import storage
from ml_training.cloud.jobs import Cause, Ending, Job, Market
from ml_training.cloud.workload import Frames, expected_work, frames_of_card, frames_of_hours, seconds_on
from ml_training.config.cloud import Candidate, CloudConfig, load_cloud_config
from ml_training.config.loading import load_config
from ml_training.config.schema import TrainingConfig
from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import JobError, ObjectExists, ObjectNotFound, UsageError
from ml_training.utils.records import Record

SHORTEST_BILLED_SECONDS = 60.0
BOOT_SECONDS = 300.0  # allowed for a machine's start and its environment, in estimates


class Cost(Record):
    """What one attempt of a job cost: a line of the ledger."""

    version: Literal[1] = 1
    job_id: str
    job_uri: str
    attempt: int
    cause: Cause
    ended_at: AwareDatetime
    seconds: float
    usd: float | None  # None: its price was not known
    estimated_usd: float | None = None  # of the whole job, before it began
    instance_id: str | None = None
    instance_type: str | None = None
    market: Market | None = None
    zone: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    simulated: bool = False


class Estimate(Record):
    """What a job is expected to cost, and what that was worked out from."""

    usd: float
    seconds: float
    instance_type: str
    usd_per_hour: float
    multiply_adds: float
    pictures: float


class Sum(Record):
    """The sum of several attempts; ``unpriced`` of them have no known price and are not in it."""

    usd: float
    seconds: float
    attempts: int
    unpriced: int
    simulated: bool = False


class MonthVerdict(Record):
    """A month's sum beside its budget."""

    month: str
    usd: float
    budget_usd: float
    over: bool
    unpriced: int
    simulated: bool
    summary: str


def price(seconds: float, usd_per_hour: float) -> float:
    """Return what EC2 bills for a machine that was there for ``seconds``."""
    return max(seconds, SHORTEST_BILLED_SECONDS) / 3600 * usd_per_hour


def estimate(
    training: TrainingConfig,
    frames: Frames,
    candidate: Candidate,
    usd_per_hour: float | None = None,
    *,
    machines: int = 1,
) -> Estimate:
    """Return what one training on one type of machine should cost; by default at its listed on-demand price.

    Of several machines each is taken to do its share as fast as if it were alone: what they say to one another is not
    in it, so more machines cost at least so much. Raises UsageError for less than one.
    """
    if machines < 1:
        raise UsageError(f"a training has one machine or more, received {machines}")
    work = expected_work(training, frames)
    seconds = BOOT_SECONDS + seconds_on(work, candidate.instance_type, candidate.relative_speed) / machines
    rate = candidate.on_demand_usd_per_hour if usd_per_hour is None else usd_per_hour
    return Estimate(
        usd=round(price(seconds, rate) * machines, 4),
        seconds=round(seconds),
        instance_type=candidate.instance_type,
        usd_per_hour=rate,
        multiply_adds=work.multiply_adds,
        pictures=work.pictures,
    )


def estimate_job(options: dict[str, Any], config: CloudConfig, *, data_dir: str, machines: int = 1) -> Estimate | None:
    """Estimate a job from the options of its training command, on the candidate that is cheapest at listed prices.

    None when they name no config and no dataset version whose card is there: then nothing is known of the work.
    """
    dataset, name = options.get("dataset"), options.get("config")
    if not dataset or not name:
        return None
    try:
        card = storage.read_json(storage.join(data_dir, "datasets", str(dataset), "card.json"))
    except ObjectNotFound:
        return None
    training = load_config(str(name), options.get("overrides"))
    frames = frames_of_card(card)
    found = [estimate(training, frames, candidate, machines=machines) for candidate in config.candidates]
    return min(found, key=lambda one: one.usd)


def keep_estimate(job: Job, expected: Estimate) -> None:
    """Write an estimate into the job's folder, where ``record`` finds it; the first one stays."""
    try:
        storage.write_json(job.at("estimate.json"), expected.model_dump(mode="json"), if_absent=True)
    except ObjectExists:
        return


def record(job: Job, ending: Ending) -> Cost:
    """Write what an attempt cost into the ledger, and return what stands there: the first word counts."""
    spec = job.spec()
    cost = Cost(
        job_id=job.job_id,
        job_uri=job.uri,
        estimated_usd=_estimated(job),
        labels=spec.labels,
        simulated=spec.simulated,
        **ending.model_dump(include=set(Ending.model_fields) & set(Cost.model_fields)),
    )
    uri = storage.join(_month_folder(root_of(job), month_of(ending.ended_at)), entry_name(job, ending.attempt))
    try:
        storage.write_json(uri, cost.model_dump(mode="json"), if_absent=True)
    except ObjectExists:
        return _read(uri)
    return cost


def settle(job: Job) -> list[Cost]:
    """Write every attempt of a job that has ended into the ledger; those that are there already stay as they are."""
    endings = (job.ending(attempt.number) for attempt in job.attempts())
    return [record(job, ending) for ending in endings if ending is not None]


def entry_name(job: Job, attempt: int) -> str:
    """Return the name of an attempt's entry in the ledger."""
    return f"{job.job_id}-{attempt:04d}.json"


def entries(root: str, months: Iterable[str]) -> set[str]:
    """Return the names of all entries of some months, by one listing each."""
    listed = (storage.list_objects(_month_folder(root, month) + "/") for month in months)
    return {found.uri.rpartition("/")[2] for objects in listed for found in objects}


def of_job(job: Job) -> Sum:
    """Return what the attempts of a job that have ended cost, from the job's own folder."""
    endings = [ending for attempt in job.attempts() if (ending := job.ending(attempt.number))]
    return _sum(endings, simulated=job.spec().simulated)


def of_month(root: str, month: str) -> Sum:
    """Return the sum of a month (``2026-11``); an attempt belongs to the month in which it ended."""
    costs = read_ledger(root, month)
    return _sum(costs, simulated=any(cost.simulated for cost in costs))


def read_ledger(root: str, month: str) -> list[Cost]:
    """Return what ended in a month, in order of its ending. Raises JobError for a file that is no cost."""
    files = [found.uri for found in storage.list_objects(_month_folder(root, month) + "/")]
    return sorted((_read(uri) for uri in files if uri.endswith(".json")), key=lambda cost: cost.ended_at)


def judge_month(root: str, month: str, budget_usd: float) -> MonthVerdict:
    """Return the sum of a month beside its budget, in a sentence for people too."""
    found = of_month(root, month)
    over = found.usd > budget_usd
    summary = (
        f"{month}: {found.usd:.2f} of {budget_usd:.2f} USD for {found.attempts} machines"
        + (f", {found.unpriced} of them without a known price" if found.unpriced else "")
        + (" (simulated)" if found.simulated else "")
        + (": the month's budget is passed" if over else "")
    )
    return MonthVerdict(
        month=month,
        usd=found.usd,
        budget_usd=budget_usd,
        over=over,
        unpriced=found.unpriced,
        simulated=found.simulated,
        summary=summary,
    )


def first_to_say(root: str, verdict: MonthVerdict, now: datetime) -> bool:
    """Tell whether nobody has said today that the month's budget is passed, and keep that it is said now."""
    if not verdict.over:
        return False
    uri = storage.join(root, "ledger", "cost-alerts", f"{now.astimezone(UTC):%Y-%m-%d}.json")
    try:
        storage.write_json(uri, verdict.model_dump(mode="json"), if_absent=True)
    except ObjectExists:
        return False
    return True


def root_of(job: Job) -> str:
    """Return the folder that holds ``training/jobs/<job>``, the ledger beside it."""
    return job.uri.rsplit("/", 3)[0]


def month_of(moment: datetime) -> str:
    """Return the month of a moment in UTC, such as ``2026-11``."""
    return f"{moment.astimezone(UTC):%Y-%m}"


def _month_folder(root: str, month: str) -> str:
    return storage.join(root, "ledger", "costs", month)


def _estimated(job: Job) -> float | None:
    try:
        return Estimate.model_validate(storage.read_json(job.at("estimate.json"))).usd
    except ObjectNotFound:
        return None


def _read(uri: str) -> Cost:
    try:
        return Cost.model_validate(storage.read_json(uri))
    except ValidationError as error:
        raise JobError(f"{uri} is no cost of a job: {error.errors()[0]['msg']}", uri=uri) from error


def _sum(costs: Iterable[Cost | Ending], *, simulated: bool) -> Sum:
    found = list(costs)
    known = [cost.usd for cost in found if cost.usd is not None]
    return Sum(
        usd=round(sum(known), 6),
        seconds=round(sum(cost.seconds for cost in found), 3),
        attempts=len(found),
        unpriced=len(found) - len(known),
        simulated=simulated,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.cloud.costs", __doc__)
    parser.add_argument("--data-dir", help="bucket or folder whose ledger to read; default: ADBREAK_DATA_DIR")
    parser.add_argument("--month", help="such as 2026-11; default: this month")
    parser.add_argument("--cloud-config", help="whose budget; default: ADBREAK_CLOUD_CONFIG")
    parser.add_argument("--say-once", action="store_true", help="keep that a passed budget was said: once a day")
    parser.add_argument("--estimate", metavar="CONFIG", help="estimate a training of this config instead")
    parser.add_argument("--hours", type=float, default=200.0, help="of recordings, for --estimate")
    parser.add_argument("--machines", type=int, default=1, help="that share the training, for --estimate")
    parser.set_defaults(run=lambda args: _estimates(args) if args.estimate else _month(args))
    return run_command(parser, argv)


def _month(args: argparse.Namespace) -> dict[str, Any]:
    month = args.month or month_of(datetime.now(UTC))
    try:
        datetime.strptime(month, "%Y-%m")
    except ValueError as error:
        raise UsageError(f"--month must be such as 2026-11, received {month!r}") from error
    root = args.data_dir or read_settings().data_dir
    verdict = judge_month(root, month, load_cloud_config(args.cloud_config).month_budget_usd)
    lines = [
        f"{cost.ended_at:%Y-%m-%d %H:%M} {cost.job_id}-{cost.attempt:04d} {cost.instance_type} {cost.market} "
        f"{cost.cause} {cost.seconds:.0f} s " + ("price unknown" if cost.usd is None else f"{cost.usd:.4f} USD")
        for cost in read_ledger(root, month)
    ]
    news = args.say_once and first_to_say(root, verdict, datetime.now(UTC))
    return {**verdict.model_dump(mode="json"), "news": news, "machines": lines}


def _estimates(args: argparse.Namespace) -> dict[str, Any]:
    config, training = load_cloud_config(args.cloud_config), load_config(args.estimate)
    frames = frames_of_hours(training, args.hours)
    return {
        "estimate": f"{args.estimate}, {args.hours:g} hours of recordings, at listed on-demand prices"
        + (f", shared by {args.machines} machines" if args.machines > 1 else ""),
        **{
            candidate.instance_type: estimate(training, frames, candidate, machines=args.machines).model_dump(
                mode="json"
            )
            for candidate in config.candidates
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())
