"""Trainings with TensorFlow on simulated spot machines under all of Airflow, whose parts die as well.

    .venv/stack/bin/python tests/benchmarks/spot_airflow.py FOLDER 15 7      # folder, runs, seed; called by spot.py

A whole tiny night first: it makes the data and the weights to compare with. Then the same training again and again, its
results removed each time, through the DAG ``nightly_retraining``: setup, training, teardown; the tasks behind them are
not waited for. Each meets one fault. The last line is JSON: what became of every run, and of every machine.
"""

import hashlib
import io
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ["ADBREAK_NIGHT"] = "tiny"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "include"))

import boto3
import numpy as np
import psutil
from botocore.config import Config
from local_stack.bucket import CREDENTIALS
from local_stack.ec2.remote import RemoteEc2
from local_stack.errors import StackError
from local_stack.night import Options, check_options, generate, run_night
from local_stack.progress import open_board
from local_stack.services import BUCKET, EC2_SPOT
from local_stack.stack import Stack, prepare_services, start_stack
from local_stack.supervisor import Supervisor
from local_stack.workplace import Workplace

DAG = "nightly_retraining"
TRAINING, ENDED = "training", "training_machine_ended"
OVER = ("success", "failed", "skipped", "upstream_failed", "removed")
RUN_SECONDS = 600
CONF = {
    "epochs": 8,
    "overrides": {
        "training.augmented_copies": 1,
        "training.checkpoint_steps": 5,
        "training.upper.epochs": 0,
        "training.quantization.calibration_batches": 2,
        "training.quantization.maximum_samples": 32,
    },
}
FAULTS = (
    "spot notice",
    "trainer killed",
    "triggerer killed",
    "taken away without a notice",
    "scheduler and its workers killed",
    "supervisor killed",
    "task cleared",
    "bucket away from machines",
    "answer to CreateFleet lost",
)


class Campaign:
    """A stack, and the trainings that run on it."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.generator = stack, random.Random(seed)
        address = stack.services.url("ec2")
        self.ec2 = RemoteEc2({"url": address, "folder": str(stack.place.state / "ec2"), "environment": {}})
        self.s3 = boto3.client("s3", endpoint_url=stack.services.url("s3"), config=Config(proxies={}), **CREDENTIALS)

    def train(self, fault: str | None) -> dict[str, Any]:
        """Run one training with a fault; returns how it ended and the hash of its weights."""
        self._forget()
        known = {machine["instance_id"] for machine in self.ec2.machines()}
        run_id = self.stack.api.trigger(DAG, CONF)
        over = threading.Event()
        befalls = threading.Thread(target=self._befall, args=(fault, known, run_id, over))
        befalls.start()
        started = time.monotonic()
        states = self._follow(run_id)
        over.set()
        befalls.join()
        self.stack.api.fail_run(DAG, run_id, "Only the training is looked at.")
        self._settle()
        machines = [one for one in self.ec2.machines() if one["instance_id"] not in known]
        return {
            "fault": fault or "nothing",
            "run_id": run_id,
            "states": states,
            "weights": self._weights(),
            "seconds": round(time.monotonic() - started),
            "machines": machines,
        }

    def _follow(self, run_id: str) -> dict[str, str]:
        """Wait until the training and its teardown are over; returns their states."""
        end = time.monotonic() + RUN_SECONDS
        states: dict[str, str] = {}
        while time.monotonic() < end:
            try:
                tasks = self.stack.api.tasks(DAG, run_id)
            except StackError:
                tasks = []
            states = {task["task_id"]: task["state"] for task in tasks if task["task_id"] in (TRAINING, ENDED)}
            if len(states) == 2 and all(state in OVER for state in states.values()):
                return states
            time.sleep(1)
        return {**states, "": "not over"}

    def _befall(self, fault: str | None, known: set[str], run_id: str, over: threading.Event) -> None:
        if fault == "answer to CreateFleet lost":
            self.ec2.fault("lose_answer", action="CreateFleet")
        if fault is None or fault == "answer to CreateFleet lost":
            return
        instance_id = None
        while instance_id is None and not over.wait(0.5):
            booted = [m for m in self.ec2.machines() if m["instance_id"] not in known and "booted" in m["times"]]
            instance_id = booted[0]["instance_id"] if booted else None
        if instance_id is None or over.wait(self.generator.uniform(5, 30)):
            return
        if fault == "spot notice":
            self.ec2.notice(instance_id, seconds=30)
        elif fault == "taken away without a notice":
            self.ec2.notice(instance_id, seconds=0)
        elif fault == "trainer killed":
            self.ec2.kill(instance_id, "trainer")
        elif fault == "supervisor killed":
            self.ec2.kill(instance_id, "supervisor")
        elif fault == "bucket away from machines":
            self.ec2.cut_s3(15)
        elif fault == "task cleared":
            self._clear(run_id)
        else:
            self._kill_service("airflow-triggerer" if fault.startswith("triggerer") else "airflow-scheduler")

    def _clear(self, run_id: str) -> None:
        body = {"dag_run_id": run_id, "task_ids": [TRAINING], "dry_run": False, "only_failed": False}
        self.stack.api.call("POST", f"dags/{DAG}/clearTaskInstances", {**body, "include_downstream": False})

    def _kill_service(self, name: str) -> None:
        """Kill a service with all its children, and start it again, as an init system does."""
        process = psutil.Process(self.stack.supervisor.pid(name))
        for one in [*process.children(recursive=True), process]:
            one.kill()
        process.wait()
        service = next(one for one in self.stack.services.airflow_parts() if one.name == name)
        self.stack.supervisor.start(service)

    def _settle(self) -> None:
        """Wait until no machine is left."""
        end = time.monotonic() + 120
        while time.monotonic() < end and any(one["state"] != "terminated" for one in self.ec2.machines()):
            time.sleep(1)

    def _keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _forget(self) -> None:
        """Remove what trainings left, but for the jobs."""
        for key in self._keys("training/"):
            if not key.startswith("training/jobs/"):
                self.s3.delete_object(Bucket=BUCKET, Key=key)

    def _weights(self) -> str | None:
        """Return the hash of the arrays of the last checkpoints, None where none is finished."""
        found = hashlib.sha256()
        keys = [key for key in self._keys("training/") if key.endswith(".npz") and "/checkpoints/" in key]
        for key in sorted(keys):
            data = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            with np.load(io.BytesIO(data)) as file:
                for name in sorted(file.files):
                    found.update(name.encode() + file[name].tobytes())
        return found.hexdigest()[:16] if keys else None


def main() -> int:
    """Run the campaign and print what became of it."""
    folder, runs, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    place = Workplace(folder)
    place.prepare()
    job, services = check_options(place, Options(once=True)), prepare_services(place, EC2_SPOT)
    with Supervisor(place) as supervisor, open_board({}) as board:
        stack = start_stack(supervisor, services, say=print, beside=lambda: generate(supervisor, services, board, job))
        run_night(stack, board, job)
        campaign = Campaign(stack, seed)
        told = []
        for number in range(-1, runs):  # the first is not disturbed
            told.append(campaign.train(FAULTS[number % len(FAULTS)] if number >= 0 else None))
            print(json.dumps({key: value for key, value in told[-1].items() if key != "machines"}), flush=True)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
