"""A training on a machine in the cloud, as three tasks that hold no worker while it trains.

    machine = TrainingMachineOperator(task_id="training_machine", module=TRAIN, spec=spec, training="training")
    training = SpotTrainingOperator(task_id="training", module=TRAIN, spec=spec, machine="training_machine")
    ended = TrainingMachineEndedOperator(task_id="training_machine_ended", training="training", machine=...)
    machine >> training >> ended.as_teardown(setups=machine, on_failure_fail_dagrun=True)

The variable ``adbreak_compute`` chooses: ``local`` trains on the worker, ``ec2-spot`` on a machine of EC2.

1. The setup writes the job down (``ml_training.cloud.spot``) and asks for no machine yet: whatever happens to the
   asking, the teardown runs, since its setup succeeded.
2. The training is deferred: its trigger (``triggers.spot``) asks for the machine, watches it, and asks for another one
   when it is taken away.
3. The teardown ends every machine of this task, whatever happened to the two.

A job is named by DAG, run, task and family, so each of the three finds it again without the others: a task that was
retried or cleared adopts the machine that runs, and never starts a second one. A task that comes back with another
dataset version ends the machine of the older one first.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from airflow.sdk import Context, Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from operators.command_environment import data_root
from operators.ml_command import MlCommandOperator, is_true
from triggers.spot import SPOT, SpotTrainingTrigger

LOCAL, EC2_SPOT = COMPUTES = ("local", "ec2-spot")
WAIT_AT_MOST = timedelta(hours=18)
LAST_RESORT = timedelta(minutes=10)


class TrainingMachineOperator(MlCommandOperator):
    """Write down the job of the task ``training``; its spec is that of the training. Returns None where it is local."""

    def __init__(self, *, training: str, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "multiple_outputs": False, "environment": "airflow"})
        self.training = training

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Return the job's address, None when there is nothing to do for a machine."""
        if is_true(self.skip_if) or compute() == LOCAL:
            self.log.info("no machine is needed")
            return None
        labels = labels_of(context, self.training)
        self.spec = {
            "command": "prepare",
            "job": job_uri(labels),
            "take_over": True,
            "module": self.module,
            "options": {name: value for name, value in self.spec.items() if value is not None},
            "labels": labels,
        }
        self.module = SPOT
        return super().execute(context)


class SpotTrainingOperator(MlCommandOperator):
    """Run a training where the variable ``adbreak_compute`` says; the result has the same fields, and its ``cost``."""

    def __init__(self, *, machine: str, wait_at_most: timedelta = WAIT_AT_MOST, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.machine = machine
        self.wait_at_most = wait_at_most

    def execute(self, context: Context) -> dict[str, Any]:
        """Train here, or be deferred while a machine does."""
        if is_true(self.skip_if):
            raise AirflowSkipException(f"{self.task_id} is left out of this run")
        job = prepared_job(context, self.machine)
        if job is not None:
            self.log.info("%s trains on a machine: %s", self.map_label or self.task_id, job)
            trigger = SpotTrainingTrigger(job=job, give_up_at=(datetime.now(UTC) + self.wait_at_most).isoformat())
            self.defer(trigger=trigger, method_name="resume", timeout=self.wait_at_most + LAST_RESORT)
        return super().execute(context)

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the training returned. Raises AirflowFailException when it failed: another try would not help."""
        if event["state"] != "done":
            raise AirflowFailException(event["message"])
        result = dict(event["result"])
        if "run_id" in result:
            self._tell_mlflow(context, result)
        return result

    def _tell_mlflow(self, context: Context, result: Mapping[str, Any]) -> None:
        """Write the cost to the training's run. A server that does not answer costs no training."""
        self.module, self.environment = "ml_training.training.tracking", "airflow"
        self.spec = {"command": "cost", "run_id": result["run_id"], "cost": result["cost"]}
        try:
            super().execute(context)
        except AirflowException as error:
            self.log.warning("MLflow was not told what the training cost: %s", error)


class TrainingMachineEndedOperator(MlCommandOperator):
    """End every machine of the task ``training``, and wait until EC2 says that it is gone. Run twice without harm."""

    def __init__(self, *, training: str, machine: str, **kwargs: Any) -> None:
        fixed: dict[str, Any] = {"module": SPOT, "spec": {}, "multiple_outputs": False, "environment": "airflow"}
        super().__init__(**{**kwargs, **fixed})
        self.training = training
        self.machine = machine

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Return how it ended, None when there was nothing to end."""
        if compute() == LOCAL and prepared_job(context, self.machine) is None:
            self.log.info("no machine was needed")
            return None
        uri = job_uri(labels_of(context, self.training))
        self.spec = {"command": "end", "job": uri, "reason": f"{self.training} has ended"}
        return super().execute(context)


def compute() -> str:
    """Return where trainings run. Raises AirflowFailException for a place that is not known."""
    value = str(Variable.get("adbreak_compute", default="") or LOCAL)
    if value not in COMPUTES:
        raise AirflowFailException(f"the variable adbreak_compute must be one of {', '.join(COMPUTES)}, is {value!r}")
    return value


def labels_of(context: Context, task_id: str) -> dict[str, str]:
    """Return what names the work of a task, for tags and for the job's name; empty for none of a mapped one."""
    ti = context["ti"]
    mapped = ti.map_index is not None and ti.map_index >= 0
    return {
        "dag": ti.dag_id,
        "dag_run": ti.run_id,
        "task": task_id,
        "map_index": str(ti.map_index) if mapped else "",
    }


def job_uri(labels: Mapping[str, str]) -> str:
    """Return the address of the job that these labels name, always the same one."""
    return f"{data_root()}/training/jobs/{sha256(chr(10).join(labels.values()).encode()).hexdigest()[:16]}"


def prepared_job(context: Context, machine: str) -> str | None:
    """Return the job that the setup task wrote down, None when it found none to be needed."""
    ti = context["ti"]
    index: int | Sequence[int] = -1 if ti.map_index is None else ti.map_index
    prepared = ti.xcom_pull(task_ids=machine, map_indexes=index)
    return None if prepared is None else str(prepared["job_uri"])
