"""Changes of the document that says which device gets what: small wishes, checked against what is signed.

    publish_rollout(publisher, "base-general", {"challenger": "1.2.0", "stage_percent": 5})
    publish_rollout(publisher, "base-general", {"pins": {"pi5-kitchen": "previous"}})

A rollout may only name files that the key ``models`` has signed; a device checks the same again. A change that changes
nothing writes nothing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from tuf.api.metadata import TargetFile

from ml_training.edge.delivery.state import DeliveryStore, Publisher, State
from ml_training.edge.fleet.rollout import (
    ALIASES,
    ROLLOUT_PATH,
    ModelReference,
    ModelRollout,
    Rollout,
    Shadow,
    read_rollout,
    target_path,
    version_numbers,
)
from ml_training.utils.errors import DeliveryError, UsageError

EMPTY = Rollout(revision=0, created_at="", models={})
PLAIN = {item.name for item in fields(ModelRollout)} - {*ALIASES, "shadow", "pins"}

Models = Mapping[str, ModelRollout]


def signed_model(state: State, name: str, semver: str) -> ModelReference:
    """Return what a rollout says of a signed model. Raises DeliveryError when that version is not signed."""
    start = target_path(name, semver, "")
    found = {
        path.removeprefix(start): target
        for path, target in state.target_files("models").items()
        if path.startswith(start)
    }
    if "manifest.json" not in found:
        raise DeliveryError(f"{name} {semver} is not published: run publish-model first", name=name, semver=semver)
    version = (found["manifest.json"].custom or {}).get("version", "")
    return ModelReference(version, semver, {file_name: target.hashes["sha256"] for file_name, target in found.items()})


def current_rollout(store: DeliveryStore, state: State) -> Rollout:
    """Return the published rollout, or an empty one of revision 0."""
    target = state.target_files("rollouts").get(ROLLOUT_PATH)
    return EMPTY if target is None else read_rollout(store.read_target(target))


def removed_champions(state: State) -> dict[str, str]:
    """Return the models that were taken out of the rollout, each with the version that was its champion then.

    It stands beside the signed document, not in it: a publisher reads it, devices do not.
    """
    target = state.target_files("rollouts").get(ROLLOUT_PATH)
    return dict(((target and target.custom) or {}).get("removed", {}))


def set_rollout(publisher: Publisher, state: State, models: Models, minimum_agent: int | None = None) -> bool:
    """Make ``models`` the rollout, with the next revision; tells whether that is a change."""
    now = current_rollout(publisher.store, state)
    agent = now.minimum_agent if minimum_agent is None else minimum_agent
    if (dict(models), agent) == (now.models, now.minimum_agent):
        return False
    check_references(state, models)
    created_at = publisher.now().replace(microsecond=0).isoformat()
    document = Rollout(now.revision + 1, created_at, dict(models), agent).to_bytes()
    read_rollout(document)  # what a device would refuse is refused here
    target = publisher.store.write_target(ROLLOUT_PATH, document)
    left = removed_champions(state) | {name: entry.champion.semver for name, entry in now.models.items()}
    target.unrecognized_fields["custom"] = {"removed": {name: left[name] for name in left if name not in models}}
    state.target_files("rollouts")[ROLLOUT_PATH] = target
    return True


def check_references(state: State, models: Models) -> None:
    """Raise DeliveryError when a rollout names a file that the key ``models`` did not sign."""
    signed: Mapping[str, TargetFile] = state.target_files("models")
    for name, entry in models.items():
        for model in filter(None, map(entry.model, ALIASES)):
            for file_name, sha256 in model.files.items():
                path = target_path(name, model.semver, file_name)
                if path not in signed or signed[path].hashes["sha256"] != sha256:
                    raise DeliveryError(
                        f"the rollout names {path}, which is not signed: run publish-model first", path=path
                    )


def publish_rollout(
    publisher: Publisher, name: str, wishes: Mapping[str, Any], minimum_agent: int | None = None
) -> dict[str, Any]:
    """Change who gets which version of one model; what ``wishes`` does not name stays.

    ``champion``, ``challenger`` and ``previous`` are semantic versions (None: none), ``pins`` maps devices to an alias
    or to None, ``shadow`` is (alias, share) or None; other names are those of ModelRollout. A new challenger gets a new
    salt, so that not the same devices are first each time, and the runtime that its manifest asks for counts.
    """

    def edit(models: Models, state: State) -> Models:
        entry = changed_entry(publisher.store, state, name, models.get(name), wishes)
        return {**models, name: entry}

    return _publish_models(publisher, edit, minimum_agent)


def remove_rollout(publisher: Publisher, name: str) -> dict[str, Any]:
    """Take a model out of the rollout: devices keep what they have, or go to their next name.

    It stays out until the ledger has another champion of it or ``publish_rollout`` names it.
    """
    return _publish_models(publisher, lambda models, state: {key: models[key] for key in models if key != name})


def _publish_models(
    publisher: Publisher, edit: Callable[[Models, State], Models], minimum_agent: int | None = None
) -> dict[str, Any]:
    def change(state: State) -> set[str]:
        models = edit(current_rollout(publisher.store, state).models, state)
        return {"rollouts"} if set_rollout(publisher, state, models, minimum_agent) else set()

    state, changed = publisher.publish(change)
    return {"published": bool(changed), **summary(current_rollout(publisher.store, state))}


def changed_entry(
    store: DeliveryStore, state: State, name: str, entry: ModelRollout | None, wishes: Mapping[str, Any]
) -> ModelRollout:
    """Return the entry of one model with ``wishes`` carried out; see publish_rollout."""
    unknown = sorted(set(wishes) - PLAIN - {*ALIASES, "shadow", "pins"})
    if unknown:
        raise UsageError(f"expected fields of a rollout, received {unknown[0]!r}")
    new: dict[str, Any] = {key: wishes[key] for key in PLAIN & set(wishes)}
    for alias in set(ALIASES) & set(wishes):
        new[alias] = signed_model(state, name, wishes[alias]) if wishes[alias] else None
    if new.get("champion", entry and entry.champion) is None:
        raise UsageError(f"expected a champion for {name}: it is what most devices get (remove ends its rollout)")
    entry = entry or ModelRollout(champion=new["champion"])
    if "pins" in wishes:
        pins = {**entry.pins, **wishes["pins"]}
        new["pins"] = {device: alias for device, alias in pins.items() if alias}
    if "shadow" in wishes:
        new["shadow"] = Shadow(*wishes["shadow"]) if wishes["shadow"] else None
    if new.get("challenger") not in (None, entry.challenger):
        new.setdefault("salt", f"{name}-{new['challenger'].semver}")
    changed = replace(entry, **new)
    if "minimum_runtime" not in wishes and set(ALIASES) & set(wishes):
        changed = replace(changed, minimum_runtime=_needed_runtime(store, state, name, changed))
    return changed


def _needed_runtime(store: DeliveryStore, state: State, name: str, entry: ModelRollout) -> str | None:
    """Return the newest runtime that the champion's and the challenger's manifests ask for, None when neither does."""
    wanted = []
    for model in filter(None, (entry.champion, entry.challenger)):
        path = target_path(name, model.semver, "manifest.json")
        manifest = json.loads(store.read_target(state.target_files("models")[path]))
        wanted += [manifest["minimum_runtime"]] if manifest.get("minimum_runtime") else []
    return max(wanted, key=version_numbers, default=None)


def summary(rollout: Rollout) -> dict[str, Any]:
    """Return a rollout in few words: what each model's devices get."""
    models = {
        name: {
            "champion": entry.champion.semver,
            "challenger": entry.challenger.semver if entry.challenger else None,
            "stage_percent": entry.stage_percent,
            "previous": entry.previous.semver if entry.previous else None,
        }
        for name, entry in rollout.models.items()
    }
    return {"revision": rollout.revision, "models": models}
