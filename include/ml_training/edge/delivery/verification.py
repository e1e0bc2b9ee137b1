"""Looks at a published repository with the eyes of a device: The Update Framework's own client, on the stored files.

    verify(DeliveryStore("s3://adbreak"))["problems"]         # [] when a device would accept all of it
    status(DeliveryStore("s3://adbreak"), KeyRing(Path("KEYS")))

``verify`` starts from the first root, as a device does that was set up on the first day, follows every signature, and
checks each signed file, the rollout, and that the rollout names nothing that is not signed.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater

from ml_training.cloud import storage
from ml_training.edge.delivery.keys import ROLES, KeyRing
from ml_training.edge.delivery.rollout_changes import check_references, current_rollout, summary
from ml_training.edge.delivery.state import DELEGATED, DeliveryStore, State, read_state
from ml_training.edge.fleet.rollout import ROLLOUT_PATH
from ml_training.utils.errors import DeliveryError, ObjectNotFound


class StorageFetcher(FetcherInterface):
    """Lets the client read addresses of the bucket instead of the web."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter([storage.read_bytes(url)])
        except ObjectNotFound as error:
            raise DownloadHTTPError(f"{url} is not there", 404) from error


def verify(store: DeliveryStore, root_file: Path | None = None) -> dict[str, Any]:
    """Go through the whole repository; what a device would refuse is listed under ``problems``.

    ``root_file`` is the root that devices were given (default: the first one in the repository). Raises DeliveryError
    when there is no repository at all.
    """
    problems: list[str] = []
    state = read_state(store)
    trusted = root_file.read_bytes() if root_file else storage.read_bytes(store.metadata_uri("1.root"))
    with tempfile.TemporaryDirectory() as folder:
        base = storage.join(store.uri, "metadata")
        client = Updater(folder, base, folder, base, StorageFetcher(), bootstrap=trusted)
        try:
            client.refresh()
            client.get_targetinfo(ROLLOUT_PATH)
            client.get_targetinfo("models/none/0.0.0/none")
        except (RepositoryError, DownloadError) as error:
            problems.append(f"a device refuses the metadata: {error}")
    checked = [_problem(store, state, name, path) for name in DELEGATED for path in state.target_files(name)]
    problems += [problem for problem in checked if problem]
    try:
        check_references(state, current_rollout(store, state).models)
    except (DeliveryError, ObjectNotFound) as error:
        problems.append(error.message)
    problems = list(dict.fromkeys(problems))  # a rollout that cannot be read is met twice
    return {"uri": store.uri, "files": len(checked), "root_version": state.root.version, "problems": problems}


def _problem(store: DeliveryStore, state: State, name: str, path: str) -> str | None:
    try:
        store.read_target(state.target_files(name)[path])
    except (DeliveryError, ObjectNotFound) as error:
        return error.message
    return None


def status(store: DeliveryStore, ring: KeyRing | None) -> dict[str, Any]:
    """Return what is published, until when each signature holds and, with ``ring``, whose keys are at hand."""
    state = read_state(store)
    roles = {}
    for name in ROLES:
        signed, role = state.metadata(name).signed, state.role(name)
        roles[name] = {
            "version": signed.version,
            "expires_at": signed.expires.isoformat(),
            "days_left": round((signed.expires - datetime.now(UTC)).total_seconds() / 86400, 2),
            "threshold": role.threshold,
            "keys": [keyid[:16] for keyid in role.keyids],
        }
        if ring is not None:
            roles[name]["keys_at_hand"] = sum(ring.can_sign(keyid) for keyid in role.keyids)
    rollout = summary(current_rollout(store, state))
    signed_models = sorted({path.rsplit("/", 1)[0] for path in state.target_files("models")})
    return {"uri": store.uri, "roles": roles, "signed_models": signed_models, **rollout}
