"""The keys that sign what devices get, in a folder of files; production's online keys stay in a key service.

    python -m ml_training.edge.delivery.keys create --keys KEYS
    python -m ml_training.edge.delivery.keys create --keys KEYS --uri models=awskms:alias/adbreak-models
    python -m ml_training.edge.delivery.keys list --keys KEYS

``KEYS/keys.json`` names every key and holds its public half. The private halves lie in ``KEYS/offline`` (three for
root, of which two must sign, and one for targets) and ``KEYS/online`` (models, rollouts, snapshot, timestamp), readable
by their owner only. The offline folder belongs on a medium that is brought for ceremonies and named by ``--offline``.
"""

import argparse
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import AWSSigner, CryptoSigner, Key, Signer

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DeliveryError, UsageError
from ml_training.utils.records import Record

INDEX = "keys.json"
OFFLINE = ("root", "targets")
ONLINE = ("models", "rollouts", "snapshot", "timestamp")
ROLES = (*OFFLINE, *ONLINE)
KEYS_OF_A_ROLE = {"root": 3}  # others have one
THRESHOLDS = {"root": 2}
FILE, CLOUD = "file:", "awskms:"


class KeyEntry(Record):
    """One key: its public half, and where its private half is (``file:offline/root-1.pem``, ``awskms:alias/x``)."""

    name: str
    role: str
    keyid: str
    public: dict[str, Any]
    uri: str
    created_at: datetime
    retired_at: datetime | None = None

    def key(self) -> Key:
        """Return the public key as The Update Framework's library knows it."""
        return Key.from_dict(self.keyid, json.loads(json.dumps(self.public)))  # from_dict empties what it is given


class KeyRing:
    """The keys of one folder. ``offline`` is where the offline keys lie, by default below that folder."""

    def __init__(self, folder: Path, offline: Path | None = None) -> None:
        self.folder, self._offline = folder, offline or folder / "offline"
        try:
            content = json.loads((folder / INDEX).read_text())
        except FileNotFoundError as error:
            raise DeliveryError(f"{folder} has no {INDEX}: make keys with edge.delivery.keys create") from error
        self.entries = [KeyEntry.model_validate(entry) for entry in content["keys"]]

    @classmethod
    def from_arguments(cls, keys: str | Path | None, offline: str | Path | None = None) -> "KeyRing":
        """Open the folder that an option names, else the one of ADBREAK_DELIVERY_KEYS."""
        folder = keys or read_settings().delivery_keys
        if not folder:
            raise UsageError("expected the folder of the signing keys: give --keys, or set ADBREAK_DELIVERY_KEYS")
        return cls(Path(folder), Path(offline) if offline else None)

    def of_role(self, role: str) -> list[KeyEntry]:
        """Return a role's keys that are not retired, oldest first."""
        return [entry for entry in self.entries if entry.role == role and entry.retired_at is None]

    def can_sign(self, keyid: str) -> bool:
        """Tell whether the private half is at hand: in a key service, or in a file that is there."""
        entry = self._entry(keyid)
        return entry is not None and (not entry.uri.startswith(FILE) or self._path(entry).is_file())

    def is_in_key_service(self, keyid: str) -> bool:
        """Tell whether the private half is in a key service."""
        entry = self._entry(keyid)
        return entry is not None and entry.uri.startswith(CLOUD)

    def signer(self, keyid: str) -> Signer:
        """Return what signs with a key. Raises DeliveryError when that is not at hand, or open to others."""
        entry = self._entry(keyid)
        if entry is None:
            raise DeliveryError(f"the key {keyid[:16]} is not among those of {self.folder}", keyid=keyid)
        if entry.uri.startswith(FILE):
            return _file_signer(self._path(entry), entry)
        try:
            return Signer.from_priv_key_uri(entry.uri, entry.key())
        except (UnsupportedLibraryError, ValueError, KeyError) as error:
            raise DeliveryError(f"the key service of {entry.name} ({entry.uri}) cannot be used: {error}") from error

    def create(self, role: str) -> KeyEntry:
        """Make one more key for ``role``, in a file, and remember it."""
        signer = CryptoSigner.generate_ed25519()
        for number in itertools.count(1 + sum(entry.role == role for entry in self.entries)):
            place = f"{'offline' if role in OFFLINE else 'online'}/{role}-{number}.pem"
            entry = _entry(f"{role}-{number}", role, signer.public_key, FILE + place)
            if _write_private(self._path(entry), signer.private_bytes):
                break
        self._save([*self.entries, entry])
        return entry

    def add_cloud_key(self, role: str, uri: str) -> KeyEntry:
        """Remember a key that never leaves its key service, and fetch its public half.

        Raises UsageError for a role whose keys lie offline, and for a key that the role has or had already.
        """
        if role not in ONLINE or not uri.startswith(CLOUD):
            raise UsageError(
                f"expected an address that begins with {CLOUD} for a key of {', '.join(ONLINE)}, received {role}={uri}"
            )
        public = cloud_key(uri)
        if any((known.role, known.keyid) == (role, public.keyid) for known in self.entries):
            raise UsageError(f"{uri} is a key of {role} already: make another one in the key service, and name that")
        number = 1 + sum(entry.role == role for entry in self.entries)
        entry = _entry(f"{role}-{number}", role, public, uri)
        self._save([*self.entries, entry])
        return entry

    def retire(self, keyids: set[str]) -> None:
        """Note that keys are given to no role again; their files stay until a person removes them."""
        now = datetime.now(UTC)
        self._save([e.model_copy(update={"retired_at": now}) if e.keyid in keyids else e for e in self.entries])

    def _entry(self, keyid: str) -> KeyEntry | None:
        return next((entry for entry in self.entries if entry.keyid == keyid), None)

    def _path(self, entry: KeyEntry) -> Path:
        place, _, name = entry.uri.removeprefix(FILE).partition("/")
        return (self._offline if place == "offline" else self.folder / place) / name

    def _save(self, entries: list[KeyEntry]) -> None:
        content = {"format": 1, "keys": [entry.model_dump(mode="json") for entry in entries]}
        _write_index(self.folder, content)
        self.entries = entries


def create_keys(folder: Path, uris: Mapping[str, str] | None = None, offline: Path | None = None) -> KeyRing:
    """Make the keys of every role that has none yet; run again after a kill, it makes those that are missing.

    ``uris`` names the roles whose key is in a key service (``{"models": "awskms:alias/adbreak-models"}``), ``offline``
    where the offline keys go. Raises DeliveryError where private keys lie without the index that says what they are.
    """
    if not (folder / INDEX).exists():
        found = sorted(path for place in (folder, offline or folder) for path in place.rglob("*.pem"))
        if found:
            raise DeliveryError(
                f"{found[0]} is there and {folder / INDEX} is not: bring that back, or take another folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        _write_index(folder, {"format": 1, "keys": []})
    ring = KeyRing(folder, offline)
    for role in ROLES:
        while len(ring.of_role(role)) < KEYS_OF_A_ROLE.get(role, 1):
            if uris and role in uris:
                ring.add_cloud_key(role, uris[role])
            else:
                ring.create(role)
    return ring


def cloud_key(uri: str) -> Key:
    """Fetch the public half of a key from AWS's key service. Raises DeliveryError that says what is missing."""
    try:
        return AWSSigner.import_(uri.removeprefix(CLOUD))[1]
    except UnsupportedLibraryError as error:
        raise DeliveryError(f"{uri} needs boto3 and cryptography in this environment: {error}") from error
    except Exception as error:  # botocore's errors, of which this module knows nothing: see the library's docs
        raise DeliveryError(f"the key service does not give {uri}: {error}") from error


def _file_signer(path: Path, entry: KeyEntry) -> Signer:
    if not path.is_file():
        raise DeliveryError(
            f"the private key {entry.name} is not at {path}: bring the medium with the offline keys and name it with"
            " --offline"
            if entry.role in OFFLINE
            else f"the private key {entry.name} is not at {path}",
            keyid=entry.keyid,
        )
    if path.stat().st_mode & 0o077:
        raise DeliveryError(f"{path} is readable by others: chmod 600 it, and think of the key as known")
    try:
        return CryptoSigner.from_priv_key_uri(f"file2:{path.resolve()}", entry.key())
    except ValueError as error:
        raise DeliveryError(f"{path} is not the private half of {entry.name}: {error}") from error


def _entry(name: str, role: str, key: Key, uri: str) -> KeyEntry:
    return KeyEntry(name=name, role=role, keyid=key.keyid, public=key.to_dict(), uri=uri, created_at=datetime.now(UTC))


def _write_private(path: Path, data: bytes) -> bool:
    """Write a private key, never over another one; tells whether the name was free."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # of a run that was killed before the index knew it, or newer than the index
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return True


def _write_index(folder: Path, content: dict[str, Any]) -> None:
    storage.write_json(str(folder / INDEX), content)
    (folder / INDEX).chmod(0o644)  # public halves


def describe(ring: KeyRing) -> list[dict[str, Any]]:
    """Return the keys for people and for JSON: nothing of their private halves but whether they are at hand."""
    return [
        {
            "name": entry.name,
            "role": entry.role,
            "keyid": entry.keyid,
            "uri": entry.uri,
            "at_hand": ring.can_sign(entry.keyid),
            "retired": entry.retired_at is not None,
        }
        for entry in ring.entries
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.edge.delivery.keys", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make the keys of every role that has none")
    create.add_argument("--uri", nargs="+", default=[], metavar="ROLE=awskms:KEY", help="keys that a service holds")
    create.set_defaults(run=_create)
    listing = commands.add_parser("list", help="name the keys, and tell which can sign here")
    listing.set_defaults(run=_list)
    for command in (create, listing):
        command.add_argument("--keys", help="folder; default: ADBREAK_DELIVERY_KEYS")
        command.add_argument("--offline", help="folder of the offline keys; default: offline below --keys")
    return run_command(parser, list(argv) if argv is not None else None)


def _create(args: argparse.Namespace) -> dict[str, Any]:
    folder = args.keys or read_settings().delivery_keys
    if not folder:
        raise UsageError("expected a folder for the keys: give --keys, or set ADBREAK_DELIVERY_KEYS")
    uris = dict(item.partition("=")[::2] for item in args.uri)
    unknown = sorted(set(uris) - set(ONLINE))
    if unknown:
        raise UsageError(f"expected one of {', '.join(ONLINE)} before '=', received {unknown[0]!r}")
    return {"keys": describe(create_keys(Path(folder), uris, Path(args.offline) if args.offline else None))}


def _list(args: argparse.Namespace) -> Any:
    rows = describe(KeyRing.from_arguments(args.keys, args.offline))
    if args.json:
        return {"keys": rows}
    return "\n".join(
        f"{row['name']:<14}{row['keyid'][:16]}  {row['uri']:<32}"
        f"{'retired' if row['retired'] else 'can sign here' if row['at_hand'] else 'not here'}"
        for row in rows
    )


if __name__ == "__main__":
    raise SystemExit(main())
