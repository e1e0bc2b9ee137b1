"""Ends machines that nobody else has ended, and says when the month's budget is passed.

    reap, month_so_far -> alerts

The last of three ways to stop what bills: a machine ends itself, the night's teardown ends it, and this DAG trusts
neither (docs/reaper.md). EC2's word is enough for a machine past its deadline; silence and an ended run count only
where bucket and Airflow answer. With the variable `adbreak_compute` at `local` there are no machines, and all is
skipped. The same reaper also runs outside Airflow, which can be down.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task
from workflow.reaping import DRY_RUN, by_command, raise_alerts
from workflow.shared import DAG_DEFAULTS, TASK_DEFAULTS, by_the_clock

EVERY_TEN_MINUTES = "*/10 * * * *"


@dag(
    schedule=by_the_clock(EVERY_TEN_MINUTES),
    tags=["adbreak", "cloud"],
    doc_md=__doc__,
    default_args=TASK_DEFAULTS,
    dagrun_timeout=timedelta(minutes=30),
    render_template_as_native_obj=True,
    params={
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Say what would be ended and deleted, and touch nothing.",
        )
    },
    **DAG_DEFAULTS,
)
def reap_instances() -> None:
    reap = by_command("reap", module="ml_training.cloud.reaper", spec={"dry_run": DRY_RUN})
    month = by_command("month_so_far", module="ml_training.cloud.costs", spec={"say_once": True})
    alerts = task(raise_alerts, task_id="alerts", trigger_rule="all_done")
    [reap, month] >> alerts()


reap_instances()
