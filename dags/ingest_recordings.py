"""Turns new recordings in the bucket into frames with true timestamps, partitioned by channel and date.

recordings -> extract_frames, a batch of recordings a task -> frames (asset) -> creatives

Every hour it sweeps: what is new or changed since the last sweep, whatever its date. A backfill gets one run a day of
its range and takes exactly that day's recordings, checks their frames in the same run, announces nothing and so sets
off no other run. By hand it looks at everything, or at the dates and channels of the form. docs/backfill.md shows how.

One unreadable recording never stops the others: it goes to `quarantine/` with the reason beside it and raises an
alert; the run stays green. When a batch breaks, each recording that it left behind is extracted alone; when one of
these breaks as well, the others go on and the run is red at its end.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task
from operators.data_docs import ValidationOperator
from operators.ml_command import MlCommandOperator
from workflow import ingest
from workflow.shared import DAG_DEFAULTS, FRAMES, TASK_DEFAULTS
from workflow.timetables import ByTheClockAndTheDay

EVERY_HOUR = "17 * * * *"  # off the full hour, at which recorders close their files
COLLECTORS = "ml_training.data.collectors"
A_DAY = {"type": ["null", "string"], "format": "date"}

PARAMS = {
    "source": Param(
        None,
        type=["null", "string"],
        title="Where to look",
        description="Prefix (s3://...) or folder with recordings. Empty: `recordings/` in the bucket.",
    ),
    "from_date": Param(None, **A_DAY, title="From", description="First day. By hand only: a backfill sets its own."),
    "to_date": Param(None, **A_DAY, title="To", description="Last day, included."),
    "channels": Param(
        [],
        type="array",
        items={"type": "string"},
        title="Channels",
        description="Only these. Empty: all. Also for a backfill; the hourly sweep takes all.",
    ),
    "frames_per_second": Param(
        1.0, type="number", exclusiveMinimum=0, maximum=60, title="Frames per second", description="How many are kept."
    ),
    "mode": Param(
        "exact",
        enum=["exact", "keyframes"],
        title="Mode",
        description="keyframes: many times faster; frames at the times of keyframes only.",
    ),
    "update_creatives": Param(
        True,
        type="boolean",
        title="Update the catalogue of creatives",
        description="No: leave it to the next run, as all but the last part of a long backfill may.",
    ),
}
EXTRACTION = {
    "module": COLLECTORS,
    "max_active_tis_per_dagrun": ingest.AT_ONCE,
    "execution_timeout": timedelta(hours=6),
    "map_index_template": "{{ task.map_label }}",
}


@dag(
    schedule=ByTheClockAndTheDay(EVERY_HOUR, timezone="UTC", run_immediately=timedelta(0)),
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
    extract_frames = MlCommandOperator.partial(task_id="extract_frames", **EXTRACTION).expand_kwargs(plan)
    alone = task(ingest.unfinished, trigger_rule="all_done")(plan)
    extract_alone = MlCommandOperator.partial(task_id="extract_alone", **EXTRACTION).expand_kwargs(alone)
    frames = task(ingest.frames, outlets=[FRAMES], trigger_rule="all_done")(plan, alone)
    backfilled = task(ingest.backfilled, trigger_rule="all_done")(plan, alone)
    validation = ValidationOperator.partial(
        task_id="validate_backfill", recordings=backfilled, retries=0, max_active_tis_per_dag=1
    ).expand(suite=ingest.BACKFILL_SUITES)
    creatives = MlCommandOperator(
        task_id="creatives",
        module="ml_training.data.creatives",
        spec={"command": "update"},
        skip_if="{{ not params.update_creatives }}",
        trigger_rule="none_failed_min_one_success",
        max_active_tis_per_dag=1,
        execution_timeout=timedelta(hours=2),
    )
    remembered = task(ingest.look_plan, trigger_rule="none_failed")(recordings.output, scan, plan, alone)
    remember = MlCommandOperator(task_id="remember", module=COLLECTORS, spec=remembered, max_active_tis_per_dag=1)
    report = task(ingest.ingest_report, trigger_rule="all_done")(recordings.output, plan, alone)
    extract_frames >> alone
    extract_alone >> [frames, backfilled]
    backfilled >> validation
    frames >> remembered
    [frames, validation] >> creatives
    [remember, creatives] >> report


ingest_recordings()
