"""The tasks of ``reap_instances``: commands in Airflow's own environment, skipped where no machines are used."""

from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from notifiers.alert import alert
from operators.ml_command import MlCommandOperator
from workflow.shared import fail_if_a_task_failed

NO_MACHINES = "{{ var.value.get('adbreak_compute', '') != 'ec2-spot' }}"
DRY_RUN = "{{ params.dry_run }}"  # the DAG renders natively: a truth, no text


def by_command(task_id: str, *, module: str, spec: dict[str, Any]) -> MlCommandOperator:
    """Return a task that runs a command of the package ``cloud``, where machines are used."""
    return MlCommandOperator(task_id=task_id, module=module, spec=spec, environment="airflow", skip_if=NO_MACHINES)


def raise_alerts(*, ti: Any) -> list[str]:
    """Raise an alert for each machine that was ended, and for a month whose budget is passed; return what was said."""
    report, month = ti.xcom_pull(task_ids="reap"), ti.xcom_pull(task_ids="month_so_far")
    said = list(report["alerts"]) if report else []
    if month and month["news"]:
        facts = {name: month[name] for name in ("month", "usd", "budget_usd", "unpriced", "simulated")}
        said.append({"kind": "month_budget_passed", "summary": month["summary"], "facts": facts, "severity": "error"})
    for found in said:
        alert(found["kind"], found["summary"], found["facts"], severity=found["severity"])
    fail_if_a_task_failed(ti)
    if report is None and month is None:
        raise AirflowSkipException("no machines are used: the variable adbreak_compute is not ec2-spot")
    return [found["summary"] for found in said]
