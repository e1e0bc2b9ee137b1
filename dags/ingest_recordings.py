"""Turns new recordings in the bucket into frames with true timestamps.

recordings -> extract_frames, one task a recording -> frames (asset)

One unreadable recording never stops the others: it goes to `quarantine/` with the reason beside it and raises an
alert; the run stays green. When an extraction itself breaks, the other recordings go on and the run is red at its end.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task
from operators.ml_command import MlCommandOperator
from workflow import ingest
from workflow.shared import DAG_DEFAULTS, FRAMES, TASK_DEFAULTS, by_the_clock

EVERY_HOUR = "17 * * * *"  # off the full hour, at which recorders close their files
AT_ONCE = 4  # recordings extracted in parallel
COLLECTORS = "ml_training.data.collectors"

PARAMS = {
    "source": Param(
        None,
        type=["null", "string"],
        title="Where to look",
        description="Prefix (s3://...) or folder with recordings. Empty: `recordings/` in the bucket.",
    ),
    "frames_per_second": Param(
        1.0, type="number", exclusiveMinimum=0, maximum=60, title="Frames per second", description="How many are kept."
    ),
}


@dag(
    schedule=by_the_clock(EVERY_HOUR),
    params=PARAMS,
    tags=["adbreak", "data"],
    doc_md=__doc__,
    default_args=TASK_DEFAULTS,
    dagrun_timeout=timedelta(hours=12),
    **DAG_DEFAULTS,
)
def ingest_recordings() -> None:
    scan = task(ingest.scan_plan)()
    recordings = MlCommandOperator(task_id="recordings", module=COLLECTORS, spec=scan)
    plan = task(ingest.extraction_plan)(recordings.output, scan)
    extract_frames = MlCommandOperator.partial(
        task_id="extract_frames",
        module=COLLECTORS,
        max_active_tis_per_dagrun=AT_ONCE,
        execution_timeout=timedelta(hours=2),
        map_index_template="{{ task.spec['video_source'].rsplit('/', 1)[-1] }}",
    ).expand(spec=plan)
    frames = task(ingest.frames, outlets=[FRAMES], trigger_rule="all_done")(plan)
    extract_frames >> frames >> task(ingest.ingest_report, trigger_rule="all_done")(plan)


ingest_recordings()
