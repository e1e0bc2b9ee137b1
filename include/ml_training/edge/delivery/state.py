"""One published state of the delivery repository: read, changed and replaced as a whole.

    publisher = Publisher(DeliveryStore("s3://adbreak"), KeyRing(Path("KEYS")))
    state, changed = publisher.publish(change)     # ``change(state)`` edits the state and names the roles it touched

Readers follow timestamp.json to a snapshot and from there to the rest. All else is written first, under names that are
never used again, so that replacing timestamp.json is the one moment in which everything becomes visible. It is replaced
only while it is still the one that was read: of two publishers one wins, and the other does its change again on the new
state. What a killed publisher left has a number that nobody names; the next one takes the number after it.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Role, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from ml_training.cloud import storage
from ml_training.edge.delivery.keys import KeyRing
from ml_training.utils.errors import DeliveryError, ObjectChanged, ObjectExists, ObjectNotFound, PublishConflict

DELEGATED = ("models", "rollouts")
LIFETIME_DAYS = {"root": 365, "targets": 365, "models": 365, "rollouts": 90, "snapshot": 21, "timestamp": 2}
ATTEMPTS = 10
IMMUTABLE, FRESH = "public, max-age=31536000, immutable", "no-cache"

T = TypeVar("T", bound=Signed)
logger = logging.getLogger(__name__)


class DeliveryStore:
    """The folder ``delivery/`` of a data root, as addresses and as parsed metadata."""

    def __init__(self, root: str) -> None:
        self.root, self.uri = root, storage.join(root, "delivery")

    def metadata_uri(self, name: str) -> str:
        """Return the address of a metadata file such as ``3.models``."""
        return storage.join(self.uri, "metadata", f"{name}.json")

    def target_uri(self, path: str, sha256: str) -> str:
        """Return the address of a target: its hash stands before its name, as clients ask for it."""
        folder, _, name = path.rpartition("/")
        return storage.join(self.uri, "targets", folder, f"{sha256}.{name}")

    def read(self, name: str) -> Metadata[Any]:
        """Read and parse one metadata file. Raises DeliveryError when it is missing or no metadata."""
        return parse(self._bytes(name), name)

    def read_timestamp(self) -> tuple[Metadata[Timestamp], str]:
        """Return the timestamp, and the version of the file that it was read from."""
        try:
            data, version = storage.read_version(self.metadata_uri("timestamp"))
        except ObjectNotFound as error:
            message = f"{self.uri} has no published state: run edge.delivery.repository init"
            raise DeliveryError(message, uri=self.uri) from error
        return parse(data, "timestamp"), version

    def read_roots(self) -> list[Metadata[Root]]:
        """Return all versions of root, oldest first, each signed as the one before it demands."""
        roots = [self.read("1.root")]
        while storage.exists(self.metadata_uri(f"{len(roots) + 1}.root")):
            roots.append(self.read(f"{len(roots) + 1}.root"))
        for before, root in zip([None, *roots[:-1]], roots, strict=True):
            signed = root.signed.get_root_verification_result(
                before.signed if before else None, root.signed_bytes, root.signatures
            )
            if not signed:
                raise DeliveryError(f"root version {root.signed.version} in {self.uri} is not signed by enough keys")
        return roots

    def write_target(self, path: str, data: bytes) -> TargetFile:
        """Store a target, once, and return its description for the metadata."""
        target = TargetFile.from_data(path, data, ["sha256"])
        uri = self.target_uri(path, target.hashes["sha256"])
        try:
            storage.write_bytes(uri, data, if_absent=True, cache_control=IMMUTABLE)
        except ObjectExists:
            if storage.read_bytes(uri) != data:
                raise DeliveryError(f"{uri} is not what its name says: remove it and publish again", uri=uri) from None
        return target

    def read_target(self, target: TargetFile) -> bytes:
        """Return a target's content, checked against its signed description."""
        data = storage.read_bytes(self.target_uri(target.path, target.hashes["sha256"]))
        try:
            target.verify_length_and_hashes(data)
        except RepositoryError as error:
            raise DeliveryError(f"{target.path} is not what was signed: {error}", path=target.path) from error
        return data

    def _bytes(self, name: str) -> bytes:
        try:
            return storage.read_bytes(self.metadata_uri(name))
        except ObjectNotFound as error:
            raise DeliveryError(f"{self.metadata_uri(name)} is missing", uri=self.metadata_uri(name)) from error


@dataclass
class State:
    """What timestamp.json led to, open for changes. ``targets`` holds the roles targets, models and rollouts."""

    roots: list[Metadata[Root]]
    timestamp: Metadata[Timestamp]
    timestamp_file: str  # the version of the file, to replace no other
    snapshot: Metadata[Snapshot]
    targets: dict[str, Metadata[Targets]]

    @property
    def root(self) -> Root:
        """The newest root."""
        return self.roots[-1].signed

    def role(self, name: str) -> Role:
        """Return who may sign for a role, and how many must."""
        return role_of(name, self.root, self.targets["targets"].signed)

    def metadata(self, name: str) -> Metadata[Any]:
        """Return a role's metadata."""
        known: dict[str, Metadata[Any]] = {
            "root": self.roots[-1],
            "snapshot": self.snapshot,
            "timestamp": self.timestamp,
        }
        return known.get(name) or self.targets[name]

    def target_files(self, name: str) -> dict[str, TargetFile]:
        """Return what the role ``models`` or ``rollouts`` signs, by path."""
        return self.targets[name].signed.targets


Change = Callable[[State], set[str]]


def role_of(name: str, root: Root, targets: Targets) -> Role:
    """Return who may sign for a role, and how many must: targets says it for models and rollouts, root for the rest."""
    if name not in DELEGATED:
        return root.roles[name]
    return targets.get_delegated_role(name)


def read_state(store: DeliveryStore) -> State:
    """Read the published state. Raises DeliveryError for a part that is missing or not signed by whom it should be.

    Expired parts are no error here: a publisher is to renew them. Signatures that the root before the newest one
    demands count too: that is the moment in which a key is being replaced.
    """
    timestamp, version = store.read_timestamp()
    roots = store.read_roots()
    _check(roots, "timestamp", timestamp)
    snapshot = store.read(f"{timestamp.signed.snapshot_meta.version}.snapshot")
    _check(roots, "snapshot", snapshot)
    found = {name: store.read(f"{snapshot.signed.meta[f'{name}.json'].version}.{name}") for name in _listed(snapshot)}
    _check(roots, "targets", found["targets"])
    for name in DELEGATED:
        _check([found["targets"]], name, found[name])
    return State(roots, timestamp, version, snapshot, found)


def _listed(snapshot: Metadata[Snapshot]) -> list[str]:
    names = [name.removesuffix(".json") for name in snapshot.signed.meta]
    missing = sorted({"targets", *DELEGATED} - set(names))
    if missing:
        raise DeliveryError(f"the snapshot does not name {missing[0]}: this is no repository of Adbreak")
    return names


def _check(delegators: list[Metadata[Any]], name: str, metadata: Metadata[Any]) -> None:
    for delegator in reversed(delegators[-2:]):
        try:
            delegator.signed.verify_delegate(name, metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError:
            continue
        return
    raise DeliveryError(f"the published {name} is not signed by enough of the keys that may", role=name)


def parse(data: bytes, name: str) -> Metadata[Any]:
    """Parse metadata. Raises DeliveryError when it is none."""
    try:
        return Metadata.from_bytes(data)
    except RepositoryError as error:
        raise DeliveryError(f"{name} is no metadata of The Update Framework: {error}", name=name) from error


@dataclass(frozen=True)
class Publisher:
    """Who may change a repository: the store, the keys, and how long what they sign holds."""

    store: DeliveryStore
    ring: KeyRing
    lifetime_days: Mapping[str, float] = field(default_factory=lambda: LIFETIME_DAYS)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def publish(self, change: Change, also: Mapping[str, list[str]] | None = None) -> tuple[State, set[str]]:
        """Apply ``change`` to the published state and publish the result, on whatever state is there by then.

        ``also`` names more keys that sign a role (by key id), for the moment in which keys are replaced. Returns the
        state and the changed roles; none: nothing was written. Raises PublishConflict when others were faster each
        time.
        """
        for attempt in range(ATTEMPTS):
            state = read_state(self.store)
            changed = change(state)
            if not changed:
                return state, changed
            try:
                self._write(state, changed, also or {})
            except ObjectChanged:
                logger.info("another publisher was faster: doing the change again on what it published")
                time.sleep(random.uniform(0.02, 0.1) * 2 ** min(attempt, 5))
                continue
            return state, changed
        raise PublishConflict(f"others published to {self.store.uri} {ATTEMPTS} times in between: try again later")

    def sign(self, metadata: Metadata[Any], role: Role, more: list[str] | None = None) -> None:
        """Sign with every key of ``role`` that is at hand, and with ``more``.

        Raises DeliveryError for too few, and for a signature that does not verify: a wrong key service would otherwise
        lock out every reader.
        """
        at_hand = [keyid for keyid in role.keyids if self.ring.can_sign(keyid)]
        if len(at_hand) < role.threshold:
            self.ring.signer(next(keyid for keyid in role.keyids if keyid not in at_hand))  # its error says what to do
        metadata.signatures.clear()
        for keyid in dict.fromkeys([*at_hand, *(more or [])]):
            signer = self.ring.signer(keyid)
            signature = metadata.sign(signer, append=True)
            try:
                signer.public_key.verify_signature(signature, metadata.signed_bytes)
            except UnverifiedSignatureError as error:
                raise DeliveryError(f"what the key {keyid[:16]} signs does not verify: {error}", keyid=keyid) from error

    def expiry(self, role: str) -> datetime:
        """Return until when something signed now holds."""
        return (self.now() + timedelta(days=self.lifetime_days[role])).replace(microsecond=0)

    def write_numbered(self, name: str, metadata: Metadata[Any], role: Role, more: list[str] | None = None) -> bytes:
        """Write metadata under the next number that is free, and return its bytes."""
        metadata.signed.expires = self.expiry(name)
        while True:
            self.sign(metadata, role, more)
            data = metadata.to_bytes()
            uri = self.store.metadata_uri(f"{metadata.signed.version}.{name}")
            try:
                storage.write_bytes(uri, data, if_absent=True, cache_control=IMMUTABLE)
            except ObjectExists:
                metadata.signed.version += 1
                continue
            return data

    def _write(self, state: State, changed: set[str], also: Mapping[str, list[str]]) -> None:
        for name in sorted(changed & set(state.targets)):
            metadata = state.targets[name]
            metadata.signed.version += 1
            data = self.write_numbered(name, metadata, state.role(name), also.get(name))
            state.snapshot.signed.meta[f"{name}.json"] = MetaFile.from_data(metadata.signed.version, data, ["sha256"])
        if changed - {"timestamp"}:
            state.snapshot.signed.version += 1
            data = self.write_numbered("snapshot", state.snapshot, state.role("snapshot"), also.get("snapshot"))
            version = state.snapshot.signed.version
            state.timestamp.signed.snapshot_meta = MetaFile.from_data(version, data, ["sha256"])
        self._replace_timestamp(state, also)

    def _replace_timestamp(self, state: State, also: Mapping[str, list[str]]) -> None:
        signed = state.timestamp.signed
        signed.version, signed.expires = signed.version + 1, self.expiry("timestamp")
        self.sign(state.timestamp, state.role("timestamp"), also.get("timestamp"))
        uri = self.store.metadata_uri("timestamp")
        storage.write_bytes(uri, state.timestamp.to_bytes(), if_version=state.timestamp_file, cache_control=FRESH)
