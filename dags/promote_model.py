"""Makes a challenger the champion, when a person says so (or by itself where promotions are automatic).

challenger (asset) -> approval -> promotion -> champion (asset) -> delivery

The approval waits in the UI under "Required Actions", at most three days; no answer is a rejection. A rejection is a
result: the run is green, nothing is promoted, an alert says so. Each promotion is appended to the ledger. What the
ledger says is then signed and published for the devices, where the variable `adbreak_delivery_keys` names the keys.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task, task_group
from operators.ml_command import MlCommandOperator
from workflow import promotion as steps
from workflow.delivery import publication
from workflow.shared import CHALLENGER, CHAMPION, DAG_DEFAULTS, TASK_DEFAULTS

ANSWER_WITHIN = timedelta(days=3)
MODEL = "{% set model = ti.xcom_pull(task_ids='challengers')[ti.map_index] %}"

PARAMS = {
    "name": Param(
        None, type=["null", "string"], title="Model", description="Registered name. Empty: what was offered last."
    ),
    "version": Param(
        None, type=["null", "string", "integer"], title="Version", description="Version number in the registry."
    ),
    "approved_by": Param(
        None, type=["null", "string"], title="Approved by", description="Who decided. Empty: a person is asked."
    ),
}


@task_group(prefix_group_id=False)
def decide(name: str, version: str, summary: str) -> None:
    """One model: the question, and the move of its aliases."""
    approval = ApprovalOperator(
        task_id="approval",
        subject=MODEL + "Make {{ model.name }} version {{ model.version }} the champion?",
        body=MODEL + "{{ model.summary }}",
        defaults="Reject",
        response_timeout=ANSWER_WITHIN,
        execution_timeout=None,
        map_index_template="{{ task.subject }}",
    )
    promotion = MlCommandOperator(
        task_id="promotion",
        module="ml_training.registry.client",
        environment="airflow",
        spec={"command": "promote", "name": name, "version": version, "approved_by": "{{ approver(ti, params) }}"},
        skip_if="{{ not approver(ti, params) }}",
        map_label=name,
        map_index_template="{{ task.map_label }}",
        trigger_rule="none_failed",
    )
    task(steps.ask_a_person)() >> approval >> promotion


@dag(
    schedule=[CHALLENGER],
    params=PARAMS,
    tags=["adbreak", "promotion"],
    doc_md=__doc__,
    default_args=TASK_DEFAULTS,
    dagrun_timeout=ANSWER_WITHIN + timedelta(hours=6),
    user_defined_macros={"approver": steps.approver},
    **DAG_DEFAULTS,
)
def promote_model() -> None:
    models = task(steps.challengers)()
    champion = task(steps.champion, outlets=[CHAMPION], trigger_rule="all_done")(models)
    report = task(steps.promotion_report, trigger_rule="all_done")(models)
    decide.expand_kwargs(models) >> champion >> publication("delivery", {"command": "follow-ledger"}) >> report


promote_model()
