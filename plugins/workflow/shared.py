"""What the DAGs share: the assets that connect them, and how their tasks behave.

    @dag(schedule=[FRAMES], default_args=TASK_DEFAULTS, **DAG_DEFAULTS)

recordings -> FRAMES -> VALIDATED_FRAMES -> (the night) -> CHALLENGER -> CHAMPION
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.definitions.timetables.trigger import CronTriggerTimetable
from airflow.sdk.exceptions import AirflowFailException
from notifiers.alert import AlertNotifier

FRAMES = Asset("frames")
VALIDATED_FRAMES = Asset("validated_frames")
CHALLENGER = Asset("challenger")
CHAMPION = Asset("champion")

DAG_DEFAULTS: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
}


def by_the_clock(expression: str) -> CronTriggerTimetable:
    """Return a schedule in UTC whose first run is the next time in the future, never the one just missed.

    That takes both: no ``start_date`` on the DAG, and a tolerance of nothing for the time just missed.
    """
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))


TASK_DEFAULTS: dict[str, Any] = {
    "owner": "adbreak",
    "retries": 1,
    "retry_delay": timedelta(seconds=30),
    "execution_timeout": timedelta(minutes=10),
    "on_failure_callback": [AlertNotifier("task_failed")],
}


def results_by_index(ti: Any, task_id: str, count: int) -> list[dict[str, Any] | None]:
    """Return the results of a mapped task's ``count`` instances; None for each that has none."""
    return ti.xcom_pull(task_ids=task_id, map_indexes=range(count)) if count else []


def failed_tasks(ti: Any) -> list[str]:
    """Return the tasks of this run that failed, each instance of a mapped one as ``<task>_<index>``."""
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    return sorted(name for name, state in states.items() if state == "failed")


def fail_if_a_task_failed(ti: Any) -> None:
    """Fail the run's last task, which runs whatever happened before it, when another one failed."""
    if failed := failed_tasks(ti):
        raise AirflowFailException(f"failed: {', '.join(failed)}; the other tasks went on")
