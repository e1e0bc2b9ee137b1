"""Checks new recordings, frames, sound and labels with Great Expectations before anything is trained on them.

frames (asset) -> recordings -> frames -> audio -> labels (validate_...) -> validated_frames (asset)

A recording that breaks a rule of its own is set aside with an alert, and the others go on. A suite that says that
training must wait fails its task and the run; its log names each recording and expectation, and the other suites are
checked all the same. The data docs are published in the bucket under `validation/data_docs`; each of these tasks
carries the link.
"""

from datetime import timedelta

from airflow.sdk import Param, chain, dag, task
from operators.data_docs import ValidationOperator
from workflow import validation
from workflow.shared import DAG_DEFAULTS, FRAMES, TASK_DEFAULTS, VALIDATED_FRAMES

HALF_AN_HOUR = timedelta(minutes=30)

PARAMS = {
    "recordings": Param(
        [],
        type="array",
        items={"type": "string"},
        title="Recordings",
        description="Ids to check. Empty: those that the run was triggered for, or all when triggered by hand.",
    ),
}


@dag(
    schedule=[FRAMES],
    params=PARAMS,
    tags=["adbreak", "data"],
    doc_md=__doc__,
    default_args=TASK_DEFAULTS,
    dagrun_timeout=timedelta(hours=2),
    **DAG_DEFAULTS,
)
def validate_dataset() -> None:
    recordings = task(validation.recordings_to_validate)()
    suites = [
        ValidationOperator(
            task_id=f"validate_{suite}",
            suite=suite,
            recordings=recordings,
            execution_timeout=HALF_AN_HOUR,
            trigger_rule=validation.trigger_rule(suite),
        )
        for suite in validation.SUITES
    ]
    aside = task(validation.set_aside, trigger_rule="all_done")()
    validated = task(validation.validated_frames, outlets=[VALIDATED_FRAMES])(recordings, aside)
    chain(*suites, aside)
    suites >> validated


validate_dataset()
