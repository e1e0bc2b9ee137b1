"""A data root with registered models, keys, and a client that sees what a device sees."""

import importlib.util
import io
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ml_training.cloud import storage
from ml_training.edge.delivery.keys import KeyRing, create_keys
from ml_training.edge.delivery.roles import initialize
from ml_training.edge.delivery.state import DeliveryStore, Publisher
from ml_training.edge.delivery.verification import StorageFetcher
from ml_training.registry.ledger import PromotionEvent, VersionReference, append_event, event_time
from ml_training.utils.hashing import sha256_bytes
from tuf.ngclient import Updater

REPOSITORY = Path(__file__).resolve().parents[3]
TINY_MODEL = REPOSITORY / "tests" / "data_files" / "tiny_int8.tflite"
NAME = "base-general"

_spec = importlib.util.spec_from_file_location("cloud_fixtures", REPOSITORY / "tests" / "cloud" / "conftest.py")
_cloud = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_cloud)
s3_endpoint, s3_server = _cloud.s3_endpoint, _cloud.s3_server


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def store_model(root: str, semver: str, *, name: str = NAME, accepted: bool = True, **manifest) -> VersionReference:
    """Put a small model into ``models/<name>/<semver>/`` as the registry does; each version has bytes of its own."""
    model = TINY_MODEL.read_bytes() + semver.encode()  # a flatbuffer does not mind what stands behind it
    sha256 = sha256_bytes(model)
    content = {
        "version": 1,
        "model_name": name,
        "sha256": sha256,
        "golden": {"inputs": "golden.npz", "n": 4},
        **manifest,
    }
    folder = storage.join(root, "models", name, semver)
    storage.write_bytes(storage.join(folder, "model.tflite"), model)
    storage.write_json(storage.join(folder, "manifest.json"), content)
    storage.write_bytes(storage.join(folder, "golden.npz"), _golden())
    storage.write_json(
        storage.join(folder, "verdicts.json"), {"sha256": sha256, "accepted": accepted, "summary": "slow"}
    )
    return VersionReference(version=semver.split(".")[1], semver=semver, sha256=sha256)


def _golden() -> bytes:
    inputs = np.zeros((1, 8, 8, 3), np.int8)
    file = io.BytesIO()
    np.savez(file, inputs=inputs, outputs=np.zeros((1, 1), np.int8))
    return file.getvalue()


def promote(
    root: str, model: VersionReference, replaced: VersionReference | None, event: str = "promoted", name: str = NAME
) -> None:
    """Note in the ledger that ``model`` is the champion now."""
    append_event(
        root,
        PromotionEvent(
            event=event, name=name, model=model, replaced=replaced, approved_by="ana", created_at=event_time(root)
        ),
    )


def dies_before_write(number: int, run: Callable[[], object]) -> bool:
    """Run ``run`` in a process of its own that dies before its write ``number``; tells whether it came that far."""
    child = os.fork()
    if child == 0:
        left, write = [number], storage.write_bytes

        def dying(*args, **kwargs):
            if left[0] == 0:
                os._exit(9)
            write(*args, **kwargs)
            left[0] -= 1

        storage.write_bytes = dying
        run()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys for every role, made once."""
    folder = tmp_path_factory.mktemp("keys") / "keys"
    create_keys(folder)
    return folder


@pytest.fixture
def ring(key_folder: Path, tmp_path: Path) -> KeyRing:
    """A copy of the keys that a test may change."""
    return KeyRing(Path(shutil.copytree(key_folder, tmp_path / "keys")))


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A data root, a folder."""
    return str(tmp_path / "data")


@pytest.fixture
def publisher(root: str, ring: KeyRing) -> Publisher:
    """Who may publish to an initialized, empty repository."""
    publisher = Publisher(DeliveryStore(root), ring)
    initialize(publisher)
    return publisher


@pytest.fixture
def device(root: str, tmp_path: Path) -> Callable[[], dict[str, str]]:
    """Refreshes the client of one device that keeps its metadata; returns the rollout that it accepts, parsed."""
    folder = tmp_path / "device"
    folder.mkdir()

    def look() -> dict[str, str] | None:
        client = updater(root, folder)
        client.refresh()
        target = client.get_targetinfo("rollouts/fleet.json")
        return None if target is None else json.loads(Path(client.download_target(target)).read_bytes())

    return look


def updater(root: str, folder: Path) -> Updater:
    """Return the client of a device whose cache is ``folder``."""
    base = storage.join(root, "delivery")
    trusted = None if (folder / "root.json").exists() else storage.read_bytes(f"{base}/metadata/1.root.json")
    return Updater(str(folder), f"{base}/metadata", str(folder), f"{base}/targets", StorageFetcher(), bootstrap=trusted)
