"""Trainings on machines that may be taken away: a campaign of faults, and what interruptions and launches cost.

    make bench NAME=spot         # PARTS=campaign,airflow,machines,checkpoints SEED=7 AT_ONCE=6 BENCH=DIR
    SCALE=full make bench NAME=spot                   # 200 runs and 15 under Airflow, an hour; or RUNS=, AIRFLOW_RUNS=

``campaign``: runs with a trainer of seconds (``cloud.rehearsal``) through the commands that Airflow's three tasks call,
on the simulated EC2, whose machines run the real user data and the real supervisor; each run meets a random fault, and
the reaper goes round. Every run must end as done with the digest of an undisturbed one, or as a clear failure; never
two machines for one run, none past its deadline. ``airflow``: the same of trainings with TensorFlow, through the DAG
of a whole local stack whose parts are killed as well (``spot_airflow.py``). ``machines``: one training on two machines
at once, one of which is taken back (``spot_machines.py``). ``checkpoints``: what a checkpoint of base_model costs,
written to S3. Everything of the cloud is simulated; a day here is a few seconds.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "include"))

from figures import Figure, report
from local_stack.bucket import Bucket
from local_stack.ec2.remote import RemoteEc2, simulated_ec2
from ml_training.cloud.jobs import Job
from ml_training.cloud.reaper import reap
from ml_training.cloud.rehearsal import next_state
from ml_training.config.cloud import load_cloud_config
from ml_training.utils.errors import AdbreakError
from spot_faults import FAULTS, GIVEN_UP, NOTICE_SECONDS
from spot_run import CHECKPOINT_STEPS, STEPS, Run

FULL = os.environ.get("SCALE") == "full"
RUNS, SEED = int(os.environ.get("RUNS", "200" if FULL else "84")), int(os.environ.get("SEED", "7"))
AT_ONCE = int(os.environ.get("AT_ONCE", "6"))
AIRFLOW_RUNS = int(os.environ.get("AIRFLOW_RUNS", "15" if FULL else "9"))
PARTS = os.environ.get("PARTS", "campaign,airflow,machines,checkpoints").split(",")
STACK_PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "stack" / "bin" / "python"
REAPER_SECONDS = 5.0
SECONDS = {"pending_seconds": 0.3, "boot_seconds": 0.3, "notice_seconds": NOTICE_SECONDS, "shutdown_seconds": 0.3}
DEADLINE_SECONDS = 150.0
SETTINGS = {
    "heartbeat_seconds": 1.0,
    "silent_minutes": 0.3,
    "boot_minutes": 1.0,
    "unreachable_minutes": 0.5,
    "idle_minutes": 0.5,
    "retry_seconds": 1.0,
    "deadline_hours": DEADLINE_SECONDS / 3600,
    "month_budget_usd": 1000.0,
}


class Living:
    """How long each machine lived, by what EC2 says of it."""

    def __init__(self, machine: dict[str, Any]) -> None:
        times = {name: datetime.fromisoformat(at).timestamp() for name, at in machine["times"].items()}
        self.job = machine["tags"].get("adbreak:job", "")
        self.begin = times["launched"]
        self.booted = times.get("booted")
        self.end = times.get("terminated", time.time())
        self.is_gone = machine["state"] == "terminated"
        self.late = self.end - datetime.fromisoformat(machine["tags"]["adbreak:deadline"]).timestamp()


def lives_of(ec2: RemoteEc2) -> dict[str, list[Living]]:
    """Return the machines of each job, in order of launch."""
    return lives_by_job(ec2.machines())


def lives_by_job(machines: list[dict[str, Any]]) -> dict[str, list[Living]]:
    """Return what EC2 said of machines, by job."""
    found: dict[str, list[Living]] = defaultdict(list)
    for machine in machines:
        if "launched" in machine["times"] and "adbreak:deadline" in machine["tags"]:
            living = Living(machine)
            found[living.job].append(living)
    return {job: sorted(lives, key=lambda one: one.begin) for job, lives in found.items()}


def go_round(stop: threading.Event, ended: Counter[str]) -> None:
    """Let the reaper look again and again."""
    config = load_cloud_config(None)
    while not stop.wait(REAPER_SECONDS):
        try:
            for reaped in reap(config, now=datetime.now(UTC)).terminated:
                ended[reaped.cause] += 1
        except AdbreakError as error:  # its next round sees
            print(f"  reaper: {error.message}", file=sys.stderr)


def campaign(ec2: RemoteEc2, folder: Path) -> list[Figure]:
    """Run all, print what became of each fault's runs, and return the figures."""
    bucket, machines = "s3://adbreak", ec2.folder / "machines"
    stop, reaped = threading.Event(), Counter[str]()
    reaper = threading.Thread(target=go_round, args=(stop, reaped))
    reaper.start()
    generator = random.Random(SEED)
    plans = [(FAULTS[number % len(FAULTS)], random.Random(generator.random())) for number in range(RUNS)]

    def live(number: int) -> Run:
        fault, own = plans[number]
        run = Run(f"run-{number:04d}", bucket, machines, ec2.environment, folder / f"run-{number:04d}.log")
        beside = threading.Thread(target=fault.befall, args=(run, ec2, own))
        beside.start()
        run.live()
        beside.join()
        return run

    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = []
        for run in pool.map(live, range(RUNS)):
            runs.append(run)
            if len(runs) % 20 == 0:
                print(f"  {len(runs)} of {RUNS} runs after {time.monotonic() - started:.0f} s", flush=True)
    stop.set()
    reaper.join()
    return judge(runs, [fault.name for fault, _ in plans], lives_of(ec2), reaped)


def digest() -> str:
    """Return what an undisturbed run ends with."""
    state = ""
    for step in range(STEPS):
        state = next_state(state, step)
    return state


def judge(runs: list[Run], faults: list[str], lives: dict[str, list[Living]], reaped: Counter[str]) -> list[Figure]:
    """Print a table of the faults, and return the figures."""
    expected = digest()
    print(f"{'fault':<38}{'runs':>5}{'done':>6}{'failed':>8}{'machines':>10}{'steps lost, most':>18}")
    for name in dict.fromkeys(faults):
        own = [run for run, fault in zip(runs, faults, strict=True) if fault == name]
        machines = sum(len(lives.get(run.job_id, [])) for run in own)
        done = sum(run.outcome == "done" for run in own)
        lost = max(lost_each(run, lives) for run in own)
        print(f"{name:<38}{len(own):>5}{done:>6}{len(own) - done:>8}{machines:>10}{lost:>18.1f}")
    for run in runs:
        if run.outcome != "done":
            print(f"  {run.job_id}: {run.outcome}")
    print(f"ended by the reaper: {dict(reaped) or 'none'}")
    everyone = [living for each in lives.values() for living in each]
    wrong = sum(run.outcome == "done" and run.digest != expected for run in runs)
    unclear = sum(run.outcome != "done" and "error: " not in run.outcome for run in runs)
    doubled = beside_each_other(lives)
    watched = [run for run, fault in zip(runs, faults, strict=True) if fault != GIVEN_UP]
    not_done = sum(run.outcome != "done" for run in watched)
    late = [living.late for living in everyone]
    noticed = [run for run, fault in zip(runs, faults, strict=True) if fault == "spot notice" and "notice" in run.times]
    leaving = [seconds for run in noticed if (seconds := left_after(run)) is not None]
    begin = [first - one.booted for run in runs if (first := first_step(run)) and (one := lives[run.job_id][0]).booted]
    print(f"from notice to a durable checkpoint and leaving: {spread(leaving)}")
    print(f"from the first line of the user data to the first step: {spread(begin)}")
    print(f"latest end of a machine beside its deadline: {max(late):+.1f} s (deadline after {DEADLINE_SECONDS:g} s)")
    return [
        Figure("runs", len(runs), ">=", RUNS),
        Figure("ended neither done nor with a clear failure", unclear, "<=", 0),
        Figure("other weights than undisturbed", wrong, "<=", 0),
        Figure("machines beside another of their run", doubled, "<=", 0),
        Figure("machines past their deadline by a reaper's round", sum(s > 2 * REAPER_SECONDS for s in late), "<=", 0),
        Figure("machines left", sum(not one.is_gone for one in everyone), "<=", 0),
        Figure("steps lost by an interruption, most", max(lost_each(r, lives) for r in runs), "<=", CHECKPOINT_STEPS),
        Figure("steps lost with a notice, most", max((lost_each(run, lives) for run in noticed), default=0), "<=", 1),
        Figure("runs that are not done, but for those given up", not_done, "<=", 0),
    ]


def beside_each_other(lives: dict[str, list[Living]]) -> int:
    """Return how many machines began before the one before them of the same job was gone."""
    return sum(later.begin < earlier.end for each in lives.values() for earlier, later in pairwise(each))


def under_airflow(folder: Path) -> list[Figure]:
    """Let a whole stack train, and judge what became of it."""
    words = [STACK_PYTHON, Path(__file__).with_name("spot_airflow.py"), folder / "stack", AIRFLOW_RUNS, SEED]
    with (folder / "airflow.log").open("w") as log:
        done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    if done.returncode:
        sys.exit(f"spot_airflow.py failed: {(folder / 'airflow.log').read_text()[-2000:]}{done.stdout[-2000:]}")
    runs = json.loads(done.stdout.strip().splitlines()[-1])
    lives = lives_by_job([machine for run in runs for machine in run["machines"]])
    print(f"{'fault, under Airflow':<38}{'training':>10}{'teardown':>10}{'machines':>10}{'seconds':>9}  weights")
    for run in runs:
        states = [run["states"].get(task, "none") for task in ("training", "training_machine_ended")]
        print(
            f"{run['fault']:<38}{states[0]:>10}{states[1]:>10}{len(run['machines']):>10}{run['seconds']:>9}"
            f"  {run['weights']}"
        )
    undisturbed = runs[0]["weights"]
    succeeded = [run for run in runs if run["states"].get("training") == "success"]
    return [
        Figure("runs under Airflow", len(runs) - 1, ">=", AIRFLOW_RUNS),
        Figure("trainings under Airflow that did not succeed", len(runs) - len(succeeded), "<=", 0),
        Figure("other weights, under Airflow", sum(run["weights"] != undisturbed for run in succeeded), "<=", 0),
        Figure("machines beside another of their run, under Airflow", beside_each_other(lives), "<=", 0),
        Figure("machines left, under Airflow", sum(not o.is_gone for each in lives.values() for o in each), "<=", 0),
    ]


def lost_each(run: Run, lives: dict[str, list[Living]]) -> float:
    """Return how many steps a run took twice, for each machine after its first."""
    taken = [step["step"] for step in run.steps()]
    return (len(taken) - len(set(taken))) / max(1, len(lives.get(run.job_id, [])) - 1)


def first_step(run: Run) -> float | None:
    """Return when the first step was taken."""
    return min((step["at"] for step in run.steps()), default=None)


def left_after(run: Run) -> float | None:
    """Return the seconds from a spot notice to the word that the machine leaves, which follows the checkpoint."""
    job = Job(run.uri)
    for attempt in job.attempts():
        ending = job.ending(attempt.number)
        if ending is not None and ending.cause == "interrupted" and ending.ended_at.timestamp() > run.times["notice"]:
            return ending.ended_at.timestamp() - run.times["notice"]
    return None


def spread(seconds: list[float]) -> str:
    """Return median and largest of some seconds."""
    if not seconds:
        return "none was measured"
    return f"median {median(seconds):.1f} s, longest {max(seconds):.1f} s, of {len(seconds)}"


def main() -> int:
    """Measure, print tables and, as the last line, the figures beside their bars."""
    kept = os.environ.get("BENCH")
    with tempfile.TemporaryDirectory(prefix="bench-spot-") as temporary:
        folder = Path(kept or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with simulated_ec2(folder / "ec2", timing=SECONDS, settings=SETTINGS) as ec2:
            os.environ.update(ec2.environment)
            Bucket(ec2.environment["AWS_ENDPOINT_URL"], "adbreak").make()
            figures = campaign(ec2, folder) if "campaign" in PARTS else []
            if "airflow" in PARTS:
                figures += under_airflow(folder)
            if "machines" in PARTS:
                from spot_machines import measure as on_two_machines

                figures += on_two_machines(folder / "machines")
            if "checkpoints" in PARTS:
                from spot_checkpoints import measure

                figures += measure()
    return report(figures)


if __name__ == "__main__":
    raise SystemExit(main())
