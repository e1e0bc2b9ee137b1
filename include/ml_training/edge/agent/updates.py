"""What the delivery offers, believed only as far as it is signed: The Update Framework's client, and our document.

    delivery = Delivery(home, config, network, clock)
    rollout = delivery.refresh()                      # UpdateRefused says what is wrong with what is served
    folder = delivery.fetch(assignment, into=home.incoming / "base-general-1.2.0")

The trust begins with ``root.json``, which was put on the device by hand; ``metadata/`` is a cache of what was verified.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater, UpdaterConfig

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Home, write_atomically
from ml_training.edge.agent.network import Network
from ml_training.edge.fleet.rollout import ROLLOUT_PATH, ModelReference, Rollout, read_rollout, target_path
from ml_training.utils.errors import ConfigError, DeliveryUnreachable, RolloutError, UpdateRefused

AGENT_VERSION = 1  # what a rollout's minimum_agent is compared with
LARGEST_METADATA_BYTES = 5_000_000
LARGEST_ROLLOUT_BYTES = 5_000_000
LARGEST_MODEL_BYTES = 100_000_000

logger = logging.getLogger(__name__)


class Delivery:
    """One look at the delivery: a consistent state of it, after ``refresh``."""

    def __init__(self, home: Home, url: str, network: Network, clock: Clock) -> None:
        self._home, self._url, self._network, self._clock = home, url.rstrip("/"), network, clock
        home.metadata.mkdir(parents=True, exist_ok=True)
        _sweep(home.metadata)
        sizes = UpdaterConfig(
            snapshot_max_length=LARGEST_METADATA_BYTES, targets_max_length=LARGEST_METADATA_BYTES, max_root_rotations=64
        )
        with self._refusals():
            self._updater = Updater(
                metadata_dir=str(home.metadata),
                metadata_base_url=f"{self._url}/metadata/",
                fetcher=network,
                config=sizes,
                bootstrap=_trusted_root(home),
            )
        # Expiry is judged by the agent's clock, which a rehearsal may set beside the system's.
        self._updater._trusted_set.reference_time = clock.now()

    def refresh(self) -> Rollout:
        """Fetch and verify what is new; return the document of the whole fleet. Raises UpdateRefused."""
        try:
            with self._refusals():
                self._updater.refresh()
        finally:  # also where all seems expired: then it may be the clock
            self._clock.check(server_date=self._network.server_date)
        target = self._find(ROLLOUT_PATH)
        if target is None:  # nothing is rolled out yet
            return Rollout(revision=0, created_at=self._clock.text(), models={})
        try:
            rollout = read_rollout(self._read(target, LARGEST_ROLLOUT_BYTES))
        except RolloutError as error:
            raise UpdateRefused(f"the signed rollout cannot be read: {error.message}", kind="rollout") from error
        self._clock.check(known_over=rollout.created_at)
        if rollout.minimum_agent > AGENT_VERSION:
            raise UpdateRefused(
                f"the rollout needs a newer agent: version {rollout.minimum_agent}, this is {AGENT_VERSION}",
                kind="agent",
            )
        return rollout

    def fetch(self, name: str, model: ModelReference, into: Path) -> None:
        """Bring all files of a model into a folder, each verified; parts of an earlier try are gone on from.

        Raises UpdateRefused for what is not as signed, DeliveryUnreachable when the network or the day's bytes end.
        """
        into.mkdir(parents=True, exist_ok=True)
        total = 0
        for file_name, sha256 in sorted(model.files.items()):
            target = self._target(target_path(name, model.semver, file_name))
            if target.hashes.get("sha256") != sha256:
                raise UpdateRefused(
                    f"{target.path}: the rollout names another file than the models' key signed", kind="mix"
                )
            total += target.length
            if total > LARGEST_MODEL_BYTES:
                raise UpdateRefused(
                    f"{name} {model.semver} has more than {LARGEST_MODEL_BYTES} bytes: no model of ours", kind="longer"
                )
            self._fetch_file(target, into / file_name)

    def _fetch_file(self, target: TargetFile, path: Path) -> None:
        if path.exists() and _verified(target, path):
            return
        part = path.with_name(path.name + ".part")
        resumed = self._network.download(self._address(target), target.length, part)
        if not _verified(target, part):
            part.unlink()
            if resumed:  # a power cut may have damaged what was there: once more, from its start
                logger.warning("%s: the part that was there is damaged, it is fetched anew", target.path)
                self._network.download(self._address(target), target.length, part)
            if not resumed or not _verified(target, part):
                part.unlink(missing_ok=True)
                raise UpdateRefused(f"{target.path} is not the file that is signed: its hash differs", kind="altered")
        part.replace(path)

    def _read(self, target: TargetFile, most: int) -> bytes:
        """Return a small target's content; a copy that is still the signed one is not fetched again."""
        if target.length > most:
            raise UpdateRefused(f"{target.path} has {target.length} bytes, at most {most} are read", kind="longer")
        cached = self._home.metadata / quote(target.path, "")
        if not (cached.exists() and _verified(target, cached)):
            self._fetch_file(target, cached)
        return cached.read_bytes()

    def _find(self, path: str) -> TargetFile | None:
        with self._refusals():
            return self._updater.get_targetinfo(path)

    def _target(self, path: str) -> TargetFile:
        target = self._find(path)
        if target is None:
            raise UpdateRefused(f"nobody signed {path}: the delivery is not complete", kind="unsigned")
        return target

    def _address(self, target: TargetFile) -> str:
        """Consistent snapshots: the name begins with the first hash, as python-tuf has it."""
        folder, _, name = target.path.rpartition("/")
        return f"{self._url}/targets/{quote(folder)}/{next(iter(target.hashes.values()))}.{quote(name)}"

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (tuf_errors.RepositoryError, tuf_errors.DownloadError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> UpdateRefused | DeliveryUnreachable:
        if isinstance(error, tuf_errors.DownloadLengthMismatchError):
            return UpdateRefused(f"the metadata is longer than it may be: {error}", kind="longer")
        if isinstance(error, tuf_errors.DownloadError):
            cause = error.__cause__
            message = cause.message if isinstance(cause, DeliveryUnreachable) else str(error) or "too slow"
            return DeliveryUnreachable(f"the delivery cannot be reached: {message}")
        for kind, classes, meaning in REFUSALS:
            if isinstance(error, classes):
                hint = f"; this clock says {self._clock.text()[:16]}" if kind == "expired" else ""
                return UpdateRefused(f"{meaning}: {error}{hint}", kind=kind)
        return UpdateRefused(f"the metadata is not what it should be: {error}", kind="malformed")


REFUSALS: tuple[tuple[str, tuple[type[Exception], ...], str], ...] = (
    ("expired", (tuf_errors.ExpiredMetadataError,), "expired metadata: held back, or not refreshed"),
    ("rollback", (tuf_errors.BadVersionNumberError,), "an older version than the one that is known"),
    ("unsigned", (tuf_errors.UnsignedMetadataError,), "not signed by enough trusted keys"),
    ("altered", (tuf_errors.LengthOrHashMismatchError,), "altered, or a mix of two states"),
)


def _trusted_root(home: Home) -> bytes:
    """Return the root that was put here by hand; from a cache that only has one, it is taken once and kept apart."""
    if not home.root_file.exists():
        cached = home.metadata / "root.json"
        if not cached.exists():
            raise ConfigError(f"{home.folder} has no root.json to trust: give it with setup --root")
        write_atomically(home.root_file, cached.read_bytes())
    return home.root_file.read_bytes()


def _verified(target: TargetFile, path: Path) -> bool:
    try:
        with path.open("rb") as file:
            target.verify_length_and_hashes(file)
    except tuf_errors.LengthOrHashMismatchError:
        return False
    return True


def _sweep(metadata: Path) -> None:
    """Remove the temporary files of a client that was killed: tempfile's names, nobody else writes here."""
    for path in metadata.glob("tmp*"):
        path.unlink(missing_ok=True)
