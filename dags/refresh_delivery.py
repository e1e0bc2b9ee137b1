"""Keeps what devices trust fresh: follows the promotion ledger, and signs what is to expire.

follow_ledger    refresh

Neither waits for the other: a model that cannot be published must not stop the timestamp of the whole fleet. That one
holds for two days, so that devices notice when somebody holds back news; without this DAG they would keep their model
and refuse updates. `follow_ledger` publishes promotions and rollbacks that were made by hand. Without the variable
`adbreak_delivery_keys` nothing is signed here, and both tasks are skipped.
"""

from datetime import timedelta

from airflow.sdk import dag
from workflow.delivery import publication
from workflow.shared import DAG_DEFAULTS, TASK_DEFAULTS, by_the_clock

EVERY_SIX_HOURS = "23 */6 * * *"


@dag(
    schedule=by_the_clock(EVERY_SIX_HOURS),
    tags=["adbreak", "delivery"],
    doc_md=__doc__,
    default_args=TASK_DEFAULTS,
    dagrun_timeout=timedelta(hours=1),
    **DAG_DEFAULTS,
)
def refresh_delivery() -> None:
    publication("follow_ledger", {"command": "follow-ledger"})
    publication("refresh", {"command": "refresh"})


refresh_delivery()
