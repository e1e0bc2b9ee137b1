"""The small steps of ``nightly_retraining`` between its commands: what to train, what to measure, what to offer.

Each step reads the results of the mapped tasks before it by family, so that a family that broke is missing and the
others go on.
"""

from typing import Any

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from notifiers.alert import alert
from operators.command_environment import data_root, device_environment
from operators.spot_training import LOCAL, compute
from workflow.shared import CHALLENGER, fail_if_a_task_failed, results_by_index

Plan = list[dict[str, Any]]


def not_a_backfill(dag_run: Any) -> bool:
    """End a run that a backfill made: nights of the past are not trained again."""
    return getattr(dag_run.run_type, "value", dag_run.run_type) != "backfill"


def plan(params: dict[str, Any]) -> Plan:
    """Check all parameters and return what to train, one entry a family. Raises AirflowFailException for a mistake."""
    for device in device_names(params):
        device_environment(device)
    if compute() != LOCAL and (paths := [config for config in params["models"] if "/" in config or "." in config]):
        raise AirflowFailException(f"a machine has only the configs in include/configs, not {', '.join(paths)}")
    families = [
        {
            "config": config,
            "model_name": _model_name(config, params["overrides"]),
            "epochs": params["epochs"],
            "seed": params["seed"],
            "overrides": params["overrides"] or None,
            "accept_drift": params["accept_drift"],
            "training_dir": f"{data_root()}/training",
        }
        for config in params["models"]
    ]
    names = [family["model_name"] for family in families]
    if len(set(names)) < len(names):
        raise AirflowFailException(f"each family must train a model of its own, received {', '.join(names)}")
    return families


def champion_of(ti: Any, listed_by: str = "current_champion") -> dict[str, str]:
    """Return what is known of this family's champion, as a task listed its versions; empty texts without one.

    Its ``dataset_id`` names what it learned from.
    """
    listed = ti.xcom_pull(task_ids=listed_by, map_indexes=ti.map_index) or {"models": []}
    champion = next((model for model in listed["models"] if "champion" in model["aliases"]), {})
    known = {key: champion.get(key, "") for key in ("name", "version", "model_uri")}
    return known | {"dataset_id": champion.get("tags", {}).get("dataset_id", "")}


def benchmark_plan(families: Plan, params: dict[str, Any], *, ti: Any) -> Plan:
    """Return one benchmark for each int8 file and each device, as arguments of its operator."""
    conversions = results_by_index(ti, "conversion", len(families or []))
    return [
        {
            "spec": {"model": model, "device": device, "output": f"{model.rsplit('/', 1)[0]}/benchmarks"},
            "map_label": f"{family['config']} on {device}",
        }
        for family, conversion in zip(families or [], conversions, strict=True)
        if conversion and (model := conversion["model_uri"])
        for device in device_names(params)
    ]


def gates_plan(families: Plan, benchmarks: Plan, *, ti: Any) -> Plan:
    """Return what the gates of each family look at; a benchmark that broke is left out, so not measured."""
    measured = [
        (benchmark["spec"]["model"], result["benchmark_uri"])
        for benchmark, result in zip(
            benchmarks or [], results_by_index(ti, "benchmark_on_device", len(benchmarks or [])), strict=True
        )
        if result
    ]
    reports, evaluations, conversions = (
        results_by_index(ti, task_id, len(families or []))
        for task_id in ("parity_and_size", "evaluation", "conversion")
    )
    return [
        {
            "config": family["config"],
            "model_name": family["model_name"],
            "model": conversion["model_uri"],
            "report": report["report_uri"],
            "evaluation": evaluation["evaluation_uri"],
            "benchmarks": [uri for model, uri in measured if model == conversion["model_uri"]],
            "policy": Variable.get("adbreak_gate_policy", default="production"),
        }
        for family, report, evaluation, conversion in zip(
            families or [], reports, evaluations, conversions, strict=True
        )
        if report and evaluation and conversion
    ]


def challenger(judged: Plan, *, ti: Any, outlet_events: Any) -> Plan:
    """Offer the accepted models for promotion; say REFUSED, and why, of the others. Skip when none is accepted."""
    accepted = []
    for family, verdict, version in _judged_families(ti, judged):
        if verdict["accepted"] and "challenger" in version["aliases"]:  # else it is the champion already
            accepted.append(
                {key: version[key] for key in ("name", "version", "semver")} | {"summary": verdict["summary"]}
            )
        elif not verdict["accepted"]:
            summary = f"{family['model_name']} is {verdict['summary']}"
            alert(
                "model_refused",
                summary,
                {"config": family["config"], "verdicts_uri": verdict["verdicts_uri"]},
                severity="warning",
            )
    if not accepted:
        raise AirflowSkipException("no new model passed its gates: nothing is offered for promotion")
    outlet_events[CHALLENGER].extra = {"models": accepted}
    return accepted


def night_report(families: Plan, judged: Plan, *, ti: Any) -> dict[str, Any]:
    """Say what became of each family and what its training on a machine cost; fail when one of them broke."""
    fail_if_a_task_failed(ti)
    outcomes = {
        family["model_name"]: {
            "result": "accepted" if verdict["accepted"] else "REFUSED",
            "reason": verdict["summary"],
            "version": version["semver"],
            "aliases": version["aliases"],
        }
        for family, verdict, version in _judged_families(ti, judged)
    }
    costs = [(result or {}).get("cost") for result in results_by_index(ti, "training", len(families or []))]
    return {
        family["model_name"]: outcomes.get(family["model_name"], {"result": "planned"})
        | ({"training_cost": cost} if cost else {})
        for family, cost in zip(families or [], costs, strict=True)
    }


def device_names(params: dict[str, Any]) -> list[str]:
    """Return the devices that the form names, else those of the variable ``adbreak_devices`` (separated by commas)."""
    if params["devices"] is not None:
        return list(params["devices"])
    return [name.strip() for name in Variable.get("adbreak_devices", default="").split(",") if name.strip()]


def _model_name(config: str, overrides: dict[str, Any]) -> str:
    from ml_training.config.loading import load_config
    from ml_training.utils.errors import ConfigError

    try:
        return load_config(config, overrides).model_name
    except ConfigError as error:
        raise AirflowFailException(error.message) from error


def _judged_families(ti: Any, judged: Plan) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    families = judged or []
    verdicts = results_by_index(ti, "gates", len(families))
    versions = results_by_index(ti, "registered", len(families))
    return [(f, g, r) for f, g, r in zip(families, verdicts, versions, strict=True) if g and r]
