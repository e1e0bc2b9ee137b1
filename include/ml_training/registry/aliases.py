"""Moves the aliases that say which version devices get: promotion and rollback, both with an entry in the ledger.

    promote(server, "s3://adbreak", "base-general", "challenger", approved_by="ana")
    rollback(server, "s3://adbreak", "base-general", approved_by="ana", reason="misses the new jingle")

The ledger's entry is written first and the aliases follow: `previous`, then `champion`, then `challenger`. Either call,
killed anywhere and called again, finds its own entry and finishes; called once more, it changes nothing.
"""

import logging
from typing import Literal, NamedTuple

from ml_training.registry.ledger import PromotionEvent, VersionReference, append_event, event_time, read_ledger
from ml_training.registry.server import RegisteredVersion, RegistryServer
from ml_training.utils.errors import RegistryError

logger = logging.getLogger(__name__)


class Move(NamedTuple):
    """What a promotion or rollback did. ``changed`` is False when everything stood as asked already."""

    event: PromotionEvent
    ledger_uri: str | None
    changed: bool


def promote(
    server: RegistryServer, root: str, name: str, wanted: str, *, approved_by: str, force_reason: str | None = None
) -> Move:
    """Make a version the champion; the champion before it becomes ``previous``.

    ``wanted`` is an alias, a semantic version or MLflow's number. Raises RegistryError for a version that its gates
    refused or that was rolled back, unless ``force_reason`` says why it should be promoted all the same.
    """
    version = server.resolve(name, wanted)
    champion = server.by_alias(name, "champion")
    last = _last_event(root, name)
    stands = last is not None and last.model == _reference(version)
    if last is not None and stands and champion is not None and champion.version == version.version:
        return Move(last, None, _finish(server, last))
    if last is None or not stands or not _is_pending(last, champion):
        _check_promotable(version, force_reason)
        last = _event("promoted", root, version, champion, approved_by, force_reason)
    return _carry_out(server, root, last)


def rollback(server: RegistryServer, root: str, name: str, *, approved_by: str, reason: str) -> Move:
    """Make ``previous`` the champion again and mark the version that was; that one is not promoted again unforced.

    Raises RegistryError when there is no previous version.
    """
    last = _last_event(root, name)
    if last is not None and last.event == "promoted" and _is_pending(last, server.by_alias(name, "champion")):
        _finish(server, last)  # what is taken back is the promotion in the ledger, also when it was killed half-way
    champion, previous = server.by_alias(name, "champion"), server.by_alias(name, "previous")
    if last is not None and last.event == "rolled_back" and (previous is None or _reference(previous) == last.model):
        return Move(last, None, _finish(server, last))
    if previous is None or champion is None:
        raise RegistryError(f"{name} has no previous version to go back to", name=name)
    return _carry_out(server, root, _event("rolled_back", root, previous, champion, approved_by, reason))


def _carry_out(server: RegistryServer, root: str, event: PromotionEvent) -> Move:
    uri = append_event(root, event)
    if _last_event(root, event.name) != event:
        raise RegistryError(
            f"{event.name} was promoted or rolled back by another process just now: look, and try again"
        )
    _finish(server, event)
    logger.info("%s: %s %s, by %s", event.name, event.event, event.model.semver, event.approved_by)
    return Move(event, uri, True)


def _finish(server: RegistryServer, event: PromotionEvent) -> bool:
    return _finish_promotion(server, event) if event.event == "promoted" else _finish_rollback(server, event)


def _is_pending(event: PromotionEvent, champion: RegisteredVersion | None) -> bool:
    """Tell whether the ledger has this event and the champion is still the one that it replaces."""
    return (None if champion is None else _reference(champion)) == event.replaced


def _check_promotable(version: RegisteredVersion, force_reason: str | None) -> None:
    if force_reason:
        return
    whole_name = f"{version.name} {version.semver or version.version}"
    hint = "--force REASON promotes it all the same, and the ledger keeps the reason"
    if not version.accepted:
        why = version.tags.get("refusal") or "it has no verdicts"
        raise RegistryError(f"{whole_name} was refused by its gates: {why}; {hint}", refusal=why)
    if version.tags.get("rolled_back"):
        raise RegistryError(f"{whole_name} was rolled back: {version.tags['rolled_back']}; {hint}")


def _event(
    kind: Literal["promoted", "rolled_back"],
    root: str,
    model: RegisteredVersion,
    replaced: RegisteredVersion | None,
    approved_by: str,
    reason: str | None,
) -> PromotionEvent:
    return PromotionEvent(
        event=kind,
        name=model.name,
        model=_reference(model),
        replaced=None if replaced is None or replaced.version == model.version else _reference(replaced),
        approved_by=approved_by,
        reason=reason,
        forced=kind == "promoted" and reason is not None,
        created_at=event_time(root),
    )


def _finish_promotion(server: RegistryServer, event: PromotionEvent) -> bool:
    wanted = {"champion": event.model.version}
    if event.replaced is not None:
        wanted = {"previous": event.replaced.version, **wanted}
    changed = _point(server, event.name, wanted)
    challenger = server.by_alias(event.name, "challenger")
    if challenger is not None and challenger.version == event.model.version:
        server.delete_alias(event.name, "challenger")
        changed = True
    return changed


def _finish_rollback(server: RegistryServer, event: PromotionEvent) -> bool:
    changed = _point(server, event.name, {"champion": event.model.version})
    if event.replaced is not None:
        mark = {"rolled_back": f"{event.created_at.isoformat()} by {event.approved_by}: {event.reason}"}
        server.set_tags(server.resolve(event.name, event.replaced.version), mark)
    if server.by_alias(event.name, "previous") is not None:
        server.delete_alias(event.name, "previous")
        changed = True
    return changed


def _point(server: RegistryServer, name: str, wanted: dict[str, str]) -> bool:
    changed = False
    for alias, version in wanted.items():
        now = server.by_alias(name, alias)
        if now is None or now.version != version:
            server.set_alias(name, alias, version)
            changed = True
    return changed


def _last_event(root: str, name: str) -> PromotionEvent | None:
    return next(reversed(read_ledger(root, name)), None)


def _reference(item: RegisteredVersion) -> VersionReference:
    return VersionReference(version=item.version, semver=item.semver, sha256=item.sha256)
