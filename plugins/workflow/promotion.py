"""The small steps of ``promote_model`` between its commands."""

from typing import Any

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from notifiers.alert import alert
from workflow.shared import CHALLENGER, CHAMPION, fail_if_a_task_failed, results_by_index

AUTOMATIC = "automatic"
Models = list[dict[str, Any]]


def challengers(params: dict[str, Any], triggering_asset_events: Any) -> Models:
    """Return the versions to promote: the one that the form names, else the newest offered one of each model."""
    if params["name"] or params["version"]:
        if not (params["name"] and params["version"]):
            raise AirflowFailException("name and version must be given together")
        return [{"name": params["name"], "version": str(params["version"]), "summary": "asked for by hand"}]
    events = sorted(triggering_asset_events.get(CHALLENGER, []), key=lambda event: event.timestamp)
    newest = {model["name"]: model for event in events for model in event.extra.get("models", [])}
    if not newest:
        raise AirflowFailException("nothing is offered: give name and version of the model to promote")
    return [{key: newest[name][key] for key in ("name", "version", "summary")} for name in sorted(newest)]


def ask_a_person(params: dict[str, Any]) -> None:
    """Skip the approval when promotions are automatic, or when the form says who approved."""
    if params["approved_by"]:
        raise AirflowSkipException(f"approved by {params['approved_by']}")
    if _is_automatic():
        raise AirflowSkipException("the variable adbreak_promotion_approval says automatic")


def approver(ti: Any, params: dict[str, Any]) -> str:
    """Return who approved: the person who answered, the one in the form, ``automatic``; empty when nobody did.

    The promotion asks this itself: inside a mapped group, Airflow's approval cannot skip what comes after a rejection.
    """
    answer = ti.xcom_pull(task_ids="approval", map_indexes=ti.map_index)
    if answer:
        person = answer.get("responded_by_user") or {}
        return (person.get("name") or person.get("id") or "") if answer["chosen_options"] == ["Approve"] else ""
    return params["approved_by"] or (AUTOMATIC if _is_automatic() else "")


def champion(models: Models, *, ti: Any, outlet_events: Any) -> Models:
    """Announce the promoted models; raise an alert for each that a person rejected. Skip when none was promoted."""
    promoted = []
    answers = results_by_index(ti, "approval", len(models or []))
    results = results_by_index(ti, "promotion", len(models or []))
    for model, answer, result in zip(models or [], answers, results, strict=True):
        if result:
            promoted.append(model)
        elif answer:
            alert(
                "promotion_rejected",
                f"{model['name']} version {model['version']} is not promoted",
                model,
                severity="warning",
            )
    if not promoted:
        raise AirflowSkipException("nothing is promoted")
    outlet_events[CHAMPION].extra = {"models": promoted}
    return promoted


def promotion_report(models: Models, *, ti: Any) -> dict[str, Any]:
    """Say what became of each model, and fail when a promotion broke."""
    fail_if_a_task_failed(ti)
    results = results_by_index(ti, "promotion", len(models or []))
    return {model["name"]: result or "not promoted" for model, result in zip(models or [], results, strict=True)}


def _is_automatic() -> bool:
    return bool(Variable.get("adbreak_promotion_approval", default="manual") == AUTOMATIC)
