"""The life of the repository itself: its first state, fresh signatures, new keys for old ones.

    initialize(publisher)                     # also finishes one that was killed
    refresh(publisher)                        # from a schedule, well within the two days that a timestamp holds
    rotate(publisher, "timestamp")            # a new key signs from now on; the old one counts no more

Replacing a key that root names takes three steps, so that no reader ever meets a signature that it may not trust:
what the key signs is signed by the old and the new one, then root names the new one, then the new one signs alone.
"""

import copy
import logging
from datetime import timedelta
from typing import Any

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from ml_training.cloud import storage
from ml_training.edge.delivery.keys import CLOUD, THRESHOLDS
from ml_training.edge.delivery.state import DELEGATED, FRESH, IMMUTABLE, Publisher, State, read_state, role_of
from ml_training.utils.errors import DeliveryError, ObjectExists, UsageError

PATHS = {"models": ["models/*/*/*"], "rollouts": ["rollouts/*"]}
TOP_LEVEL = ("root", "targets", "snapshot", "timestamp")

logger = logging.getLogger(__name__)


def initialize(publisher: Publisher) -> dict[str, Any]:
    """Publish the first, empty state; one that is there already is left as it is.

    Raises DeliveryError when a repository of other keys is there, and for a key that is not at hand.
    """
    store = publisher.store
    root = _first_root(publisher)
    if storage.exists(store.metadata_uri("timestamp")):
        return {"uri": store.uri, "created": False, "root_keys": sorted(root.roles["root"].keyids)}
    targets = _first_targets(publisher)
    snapshot = Snapshot(version=1)
    signed = {"targets": targets, **{name: Targets(version=1) for name in DELEGATED}}
    for name, content in signed.items():
        data = publisher.write_numbered(name, Metadata(content), role_of(name, root, targets))
        snapshot.meta[f"{name}.json"] = MetaFile.from_data(content.version, data, ["sha256"])
    data = publisher.write_numbered("snapshot", Metadata(snapshot), root.roles["snapshot"])
    pointer = MetaFile.from_data(snapshot.version, data, ["sha256"])
    timestamp = Metadata(Timestamp(version=1, expires=publisher.expiry("timestamp"), snapshot_meta=pointer))
    publisher.sign(timestamp, root.roles["timestamp"])
    storage.write_bytes(store.metadata_uri("timestamp"), timestamp.to_bytes(), if_absent=True, cache_control=FRESH)
    logger.info("published an empty repository at %s", store.uri)
    return {"uri": store.uri, "created": True, "root_keys": sorted(root.roles["root"].keyids)}


def refresh(publisher: Publisher) -> dict[str, Any]:
    """Sign a new timestamp, and whatever else has lived for half of its time. Parts without a key at hand are named.

    Returns the roles that were signed, and those that should have been with the time until they expire.
    """
    late: dict[str, str] = {}

    def change(state: State) -> set[str]:
        late.clear()
        due = {"timestamp"}
        for name in ("snapshot", "models", "rollouts", "targets", "root"):
            if not _is_due(publisher, state, name):
                continue
            role = state.role(name)
            if name != "root" and sum(publisher.ring.can_sign(keyid) for keyid in role.keyids) >= role.threshold:
                due.add(name)
            else:
                late[name] = state.metadata(name).signed.expires.isoformat()
        return due

    state, signed = publisher.publish(change)
    for name, expires in late.items():
        logger.warning(
            "%s expires at %s and its keys are not here: sign it with edge.delivery.repository", name, expires
        )
    expires = state.timestamp.signed.expires.isoformat()
    return {"signed": sorted(signed), "not_signed": late, "timestamp_expires_at": expires}


def _is_due(publisher: Publisher, state: State, name: str) -> bool:
    half = timedelta(days=publisher.lifetime_days[name]) / 2
    return bool(state.metadata(name).signed.expires - publisher.now() < half)


def renew_root(publisher: Publisher) -> dict[str, Any]:
    """Sign a next version of root that holds for another year, with the keys that it has."""
    state = read_state(publisher.store)
    return {"root_version": _write_root(publisher, state, copy.deepcopy(state.root))}


def rotate(publisher: Publisher, role: str, keyid: str | None = None, uri: str | None = None) -> dict[str, Any]:
    """Put a new key in the place of one that signs for ``role`` (``keyid`` or its beginning; default: the oldest).

    ``uri`` names the new key in a key service, and must where the old one is in one. A rotation that was killed before
    root named the new key takes that key again. Raises UsageError for a key that does not sign for the role, and
    DeliveryError when a key that must sign is not at hand.
    """
    state, ring = read_state(publisher.store), publisher.ring
    old = _key_of(state, role, keyid)
    if uri is None and ring.is_in_key_service(old):
        raise UsageError(f"the key of {role} is in a key service: name the new one there with --uri {CLOUD}KEY")
    pending = [
        entry for entry in ring.of_role(role) if entry.keyid not in state.role(role).keyids and uri in (None, entry.uri)
    ]
    new = pending[0] if pending else ring.add_cloud_key(role, uri) if uri else ring.create(role)
    publisher.ring.retire({old})  # first: a run after a failure must not take it for a new one
    _exchange(publisher, role, old, new.key())
    return {
        "role": role,
        "new_key": new.keyid,
        "old_key": old,
        "root_version": read_state(publisher.store).root.version,
    }


def revoke(publisher: Publisher, role: str, keyid: str) -> dict[str, Any]:
    """Take a key away without putting another in its place; refused when fewer than must sign would be left."""
    state = read_state(publisher.store)
    old, known = _key_of(state, role, keyid), state.role(role)
    if len(known.keyids) - 1 < known.threshold:
        raise DeliveryError(
            f"{role} needs {known.threshold} of its {len(known.keyids)} keys: rotate puts a new one in this one's place"
        )
    publisher.ring.retire({old})  # first, as in rotate
    _exchange(publisher, role, old, None)
    return {"role": role, "old_key": old, "root_version": read_state(publisher.store).root.version}


def _key_of(state: State, role: str, keyid: str | None) -> str:
    keyids = state.role(role).keyids
    if keyid is None:
        return keyids[0]
    found = [known for known in keyids if known.startswith(keyid)]
    if len(found) != 1:
        raise UsageError(f"expected the id of a key that signs for {role} ({', '.join(keyids)}), received {keyid!r}")
    return found[0]


def _exchange(publisher: Publisher, role: str, old: str, new: Key | None) -> None:
    if role in DELEGATED:
        publisher.publish(lambda state: _exchange_delegated(state, role, old, new))
        return
    if role != "root":
        publisher.publish(lambda state: {role}, also={role: [new.keyid]} if new else None)
    state = read_state(publisher.store)
    root = copy.deepcopy(state.root)
    _exchange_in(root, role, old, new)
    _write_root(publisher, state, root)
    if role != "root":
        publisher.publish(lambda state: {role})


def _exchange_delegated(state: State, role: str, old: str, new: Key | None) -> set[str]:
    if old not in state.role(role).keyids:
        return set()  # a faster publisher did it
    _exchange_in(state.targets["targets"].signed, role, old, new)
    return {"targets", role}


def _exchange_in(delegator: Root | Targets, role: str, old: str, new: Key | None) -> None:
    if new is not None:
        delegator.add_key(new, role)
    delegator.revoke_key(old, role)


def _write_root(publisher: Publisher, state: State, root: Root) -> int:
    """Write the next version of root, signed as the one before it and it itself demand."""
    before = state.root
    root.version, root.expires = before.version + 1, publisher.expiry("root")
    metadata = Metadata(root)
    publisher.sign(metadata, before.roles["root"], [k for k in root.roles["root"].keyids if publisher.ring.can_sign(k)])
    if not root.get_root_verification_result(before, metadata.signed_bytes, metadata.signatures):
        raise DeliveryError("the new root would not be signed by enough keys: bring more of them, see keys list")
    _write_root_file(publisher, metadata)
    return int(root.version)


def _write_root_file(publisher: Publisher, metadata: Metadata[Root]) -> None:
    uri = publisher.store.metadata_uri(f"{metadata.signed.version}.root")
    try:
        storage.write_bytes(uri, metadata.to_bytes(), if_absent=True, cache_control=IMMUTABLE)
    except ObjectExists as error:
        raise DeliveryError(
            "another publisher wrote a new root just now: look at it, and try again", uri=uri
        ) from error


def _first_root(publisher: Publisher) -> Root:
    store, ring = publisher.store, publisher.ring
    if storage.exists(store.metadata_uri("1.root")):
        root = store.read_roots()[-1].signed
        ours = {entry.keyid for entry in ring.entries}
        if not set(root.roles["root"].keyids) <= ours:
            raise DeliveryError(
                f"{store.uri} has a repository of other keys than those of {ring.folder}", uri=store.uri
            )
        return root
    root = Root(version=1, expires=publisher.expiry("root"), consistent_snapshot=True)
    for name in TOP_LEVEL:
        root.roles[name] = Role([], THRESHOLDS.get(name, 1))
        for entry in ring.of_role(name):
            root.add_key(entry.key(), name)
    metadata = Metadata(root)
    publisher.sign(metadata, root.roles["root"])
    _write_root_file(publisher, metadata)
    return root


def _first_targets(publisher: Publisher) -> Targets:
    keys = {name: [entry.key() for entry in publisher.ring.of_role(name)] for name in DELEGATED}
    roles = {name: DelegatedRole(name, [key.keyid for key in keys[name]], 1, True, PATHS[name]) for name in DELEGATED}
    known = {key.keyid: key for found in keys.values() for key in found}
    return Targets(version=1, delegations=Delegations(known, roles))
