"""Retrains every family of models, measures the file that would ship, and offers what passes its gates.

dataset version -> validation -> training -> evaluation -> conversion -> parity and size -> benchmark on each device ->
gates -> registered -> challenger (asset)

Runs by the clock and is never set off by a backfill. A model that its gates refuse is a result: the run is green, the
log of `challenger` and an alert say REFUSED and why, nothing is promoted. A family that breaks, or whose data leaks or
drifted far from what its champion learned, does not stop the others; the run is red at its end. A dry run checks
parameters, configs, devices and data, and trains nothing. The variable `adbreak_compute` says where training happens:
on the worker, or on a spot machine that `training_machine_ended` ends whatever happened.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task, task_group
from operators.data_docs import ValidationOperator
from operators.device_benchmark import DeviceBenchmarkOperator
from operators.ml_command import MlCommandOperator
from workflow import night
from workflow.forms import RETRAINING_FORM
from workflow.machines import train_on_a_machine
from workflow.shared import CHALLENGER, DAG_DEFAULTS, TASK_DEFAULTS, by_the_clock

AT_TWO_IN_THE_MORNING = "0 2 * * *"
HOURS = {"execution_timeout": timedelta(hours=6), "pool": "gpu"}
ONE_HOUR = {"execution_timeout": timedelta(hours=1)}
REGISTRY = {"module": "ml_training.registry.client", "environment": "airflow"}
TREND = {"module": "ml_training.edge.benchmark_trend", "environment": "airflow", "spec": {}}
DRY_RUN = "{{ params.dry_run }}"
CHAMPION = {
    "champion": "{{ champion_of(ti).model_uri }}",
    "champion_name": "{{ champion_of(ti).name }}",
    "champion_version": "{{ champion_of(ti).version }}",
}
LEARNED_BEFORE = "{{ champion_of(ti, 'previous_champion').dataset_id }}"
INT8_FOLDER = "{{ ti.xcom_pull(task_ids='training', map_indexes=ti.map_index)['run_uri'] }}/int8"


@task_group(prefix_group_id=False)
def retrain(
    config: str, model_name: str, epochs: Any, seed: Any, overrides: Any, accept_drift: Any, training_dir: str
) -> None:
    """One family, from its data to the report on its int8 file."""
    shared = {"map_label": config, "map_index_template": "{{ task.map_label }}"}
    data = {"config": config, "overrides": overrides}
    build = {"module": "ml_training.data.dataset", "spec": {"command": "build", **data}}
    dataset_version = MlCommandOperator(task_id="dataset_version", **build, **ONE_HOUR, **shared)
    dataset_id = dataset_version.output["dataset_id"]
    list_versions = {"spec": {"command": "list", "name": model_name}, **REGISTRY}
    previous_champion = MlCommandOperator(task_id="previous_champion", **list_versions, **shared)
    validate_version = ValidationOperator(
        task_id="validate_version",
        suite="dataset",
        scope={"dataset": dataset_id, "reference": LEARNED_BEFORE, "accept_drift": accept_drift},
        **ONE_HOUR,
        **shared,
    )
    what_to_train = {**data, "dataset": dataset_id, "output_dir": training_dir, "epochs": epochs, "seed": seed}
    machine, training = train_on_a_machine(spec=what_to_train, skip_if=DRY_RUN, **HOURS, **shared)
    model = training.output["model_uri"]
    evaluation = MlCommandOperator(
        task_id="evaluation", module="ml_training.training.evaluate", spec={"model": model}, **ONE_HOUR, **shared
    )
    convert = {"model": model, "output": INT8_FOLDER, "quantize": "int8"}
    conversion = MlCommandOperator(
        task_id="conversion", module="ml_training.conversion.to_tflite", spec=convert, **HOURS, **shared
    )
    current_champion = MlCommandOperator(task_id="current_champion", **list_versions, **shared)
    parity_and_size = MlCommandOperator(
        task_id="parity_and_size",
        module="ml_training.conversion.test_tflite",
        spec={"model": conversion.output["model_uri"], "parent": model, **CHAMPION},
        **ONE_HOUR,
        **shared,
    )
    dataset_version >> previous_champion >> validate_version >> machine
    training >> evaluation >> conversion >> current_champion >> parity_and_size


@task_group(prefix_group_id=False)
def judge(config: str, model_name: str, model: str, report: str, evaluation: str, benchmarks: Any, policy: str) -> None:
    """One family's gates, and its entry in the registry."""
    shared = {"map_label": config, "map_index_template": "{{ task.map_label }}"}
    gates = MlCommandOperator(
        task_id="gates",
        module="ml_training.registry.gates",
        environment="airflow",
        spec={
            "command": "judge",
            "report": report,
            "evaluation": evaluation,
            "benchmarks": benchmarks,
            "config": config,
            "policy": policy,
        },
        **shared,
    )
    MlCommandOperator(
        task_id="registered",
        spec={"command": "upload", "model": model, "verdicts": gates.output["verdicts_uri"], "name": model_name},
        **REGISTRY,
        **shared,
    )


@dag(
    schedule=by_the_clock(AT_TWO_IN_THE_MORNING),
    params=RETRAINING_FORM,
    user_defined_macros={"champion_of": night.champion_of},
    tags=["adbreak", "training"],
    doc_md=__doc__,
    default_args=TASK_DEFAULTS,
    dagrun_timeout=timedelta(hours=20),
    **DAG_DEFAULTS,
)
def nightly_retraining() -> None:
    families = task(night.plan)()
    task.short_circuit(night.not_a_backfill)() >> families
    retrained = retrain.expand_kwargs(families)
    benchmarks = task(night.benchmark_plan, trigger_rule="all_done")(families)
    benchmark = DeviceBenchmarkOperator.partial(
        task_id="benchmark_on_device",
        pool="devices",
        execution_timeout=timedelta(minutes=30),
        map_index_template="{{ task.map_label }}",
    ).expand_kwargs(benchmarks)
    judged = task(night.gates_plan, trigger_rule="all_done")(families, benchmarks)
    challenger = task(night.challenger, outlets=[CHALLENGER], trigger_rule="all_done")(judged)
    report = task(night.night_report, trigger_rule="all_done")(families, judged)
    retrained >> benchmarks >> benchmark >> judged
    trend = MlCommandOperator(task_id="latency_trend", trigger_rule="all_done_min_one_success", **TREND)
    judge.expand_kwargs(judged) >> [challenger, trend] >> report


nightly_retraining()
