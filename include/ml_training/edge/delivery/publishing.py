"""What the key ``models`` approves: the files of single versions, and of the champions in the promotion ledger.

    publish_model(publisher, read_model_files(root, "base-general", "1.2.0"))
    follow_ledger(publisher, root)                        # the champions, as the promotion ledger has them

Each finds what it wants published already and then writes nothing.
"""

import logging
from collections.abc import Iterable
from typing import Any

from tuf.api.metadata import TargetFile

from ml_training.cloud import storage
from ml_training.edge.delivery.model_files import ModelFiles, read_model_files
from ml_training.edge.delivery.rollout_changes import (
    changed_entry,
    current_rollout,
    removed_champions,
    set_rollout,
    summary,
)
from ml_training.edge.delivery.state import DeliveryStore, Publisher, State
from ml_training.edge.fleet.rollout import ModelRollout, target_path
from ml_training.registry.ledger import PromotionEvent, read_ledger
from ml_training.utils.errors import DeliveryError, ModelError, ObjectNotFound

UNUSABLE = (DeliveryError, ModelError, ObjectNotFound)  # of one model: the others are published all the same

logger = logging.getLogger(__name__)


def publish_model(publisher: Publisher, model: ModelFiles) -> dict[str, Any]:
    """Sign a model's files with the key ``models``. Raises DeliveryError when this version has other files already."""
    _, changed = publisher.publish(lambda state: {"models"} if add_model(publisher.store, state, model) else set())
    return {"name": model.name, "semver": model.semver, "published": bool(changed), "files": sorted(model.contents)}


def add_model(store: DeliveryStore, state: State, model: ModelFiles) -> bool:
    """Add a model's files to what ``models`` signs, and store them first; tells whether that is a change."""
    known = state.target_files("models")
    changed = False
    for file_name, content in model.contents.items():
        path = target_path(model.name, model.semver, file_name)
        target = TargetFile.from_data(path, content, ["sha256"])
        if path in known and known[path].hashes != target.hashes:
            raise DeliveryError(
                f"{path} is published with other bytes: a version never changes, give this model a new one", path=path
            )
        if path not in known or not storage.exists(store.target_uri(path, target.hashes["sha256"])):
            store.write_target(path, content)
        if file_name == "manifest.json" and model.registry_version:
            target.unrecognized_fields["custom"] = {"version": model.registry_version}
        if path not in known or (target.custom and known[path].custom != target.custom):
            known[path], changed = target, True
    return changed


def withdraw_model(publisher: Publisher, name: str, semver: str) -> dict[str, Any]:
    """Sign a version's files no longer, so that no rollout can name it. Raises DeliveryError while one does."""

    def change(state: State) -> set[str]:
        entry = current_rollout(publisher.store, state).models.get(name)
        alias = entry and entry.alias_of(semver)
        if alias:
            raise DeliveryError(f"{name} {semver} is the {alias} of the rollout: change that first", alias=alias)
        return {"models"} if drop_model(state, name, semver) else set()

    _, changed = publisher.publish(change)
    return {"name": name, "semver": semver, "withdrawn": bool(changed)}


def drop_model(state: State, name: str, semver: str) -> bool:
    """Take a version's files out of what ``models`` signs; tells whether that is a change."""
    known = state.target_files("models")
    paths = [path for path in known if path.startswith(target_path(name, semver, ""))]
    for path in paths:
        del known[path]
    return bool(paths)


def follow_ledger(publisher: Publisher, root: str, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Publish the champions that the promotion ledger has, their files and the rollout, in one step for readers.

    A challenger that became the champion is none any more. After a rollback there is no previous version, and the one
    that was taken back is not signed any more, unless the rollout names it again. Pins, exclusions, boards and holdback
    stay. A model that was removed from the rollout stays out until the ledger has another champion of it, or ``names``
    asks for it. Raises DeliveryError at the end when a champion cannot be published; the others are all the same.
    """
    events = {event.name: event for event in read_ledger(root)}  # the last one of each name
    chosen = [events[name] for name in (events if names is None else names) if name in events]
    broken: dict[str, str] = {}

    def change(state: State) -> set[str]:
        broken.clear()
        entries = dict(current_rollout(publisher.store, state).models)
        removed = removed_champions(state) if names is None else {}
        signed = False
        for event in chosen:
            if removed.get(event.name) == event.model.semver:
                continue
            try:
                signed |= _follow(publisher.store, state, root, event, entries)
            except UNUSABLE as error:
                broken[event.name] = error.message
        rollouts = {"rollouts"} if set_rollout(publisher, state, entries) else set()
        return rollouts | ({"models"} if signed else set())

    state, changed = publisher.publish(change)
    if broken:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in broken.items())
        raise DeliveryError(f"not published, while other models are: {reasons}", broken=dict(broken))
    return {"published": bool(changed), **summary(current_rollout(publisher.store, state))}


def _follow(
    store: DeliveryStore, state: State, root: str, event: PromotionEvent, entries: dict[str, ModelRollout]
) -> bool:
    """Carry out one event in the state and in ``entries``; tells whether ``models`` signs something else then."""
    changed = [add_model(store, state, model) for model in _models_of(root, event)]
    entry = entries[event.name] = _followed(store, state, event, entries.get(event.name))
    taken_back = event.replaced if event.event == "rolled_back" else None
    if taken_back is not None and entry.alias_of(taken_back.semver) is None:
        changed.append(drop_model(state, event.name, taken_back.semver))
    return any(changed)


def _models_of(root: str, event: PromotionEvent) -> list[ModelFiles]:
    models = [read_model_files(root, event.name, event.model.semver, promoted=event.model)]
    if event.replaced is not None and event.event == "promoted":
        try:
            models.append(read_model_files(root, event.name, event.replaced.semver, promoted=event.replaced))
        except UNUSABLE as error:
            logger.warning("%s has no previous version for devices: %s", event.name, error)
    return models


def _followed(store: DeliveryStore, state: State, event: PromotionEvent, entry: ModelRollout | None) -> ModelRollout:
    replaced = event.replaced.semver if event.replaced else None
    is_signed = replaced and target_path(event.name, replaced, "manifest.json") in state.target_files("models")
    previous = replaced if event.event == "promoted" and is_signed else None
    if entry is not None and (entry.champion.semver, entry.previous and entry.previous.semver) == (
        event.model.semver,
        previous,
    ):
        return entry
    wishes: dict[str, Any] = {"champion": event.model.semver, "previous": previous}
    if entry is not None and entry.challenger is not None and entry.challenger.semver in (event.model.semver, replaced):
        wishes |= {"challenger": None, "stage_percent": 0.0, "shadow": None}
    logger.info("publishing %s %s for the devices", event.name, event.model.semver)
    return changed_entry(store, state, event.name, entry, wishes)
