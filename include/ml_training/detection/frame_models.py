"""Finds the model of frames that somebody names: a folder, a file, a registered name with an alias or a version.

    model = find_model("base-general@champion")            # ModelPlace(path, detector=None)
    model = find_model("s3://adbreak/detectors/general")   # a detector, with its model of frames in it

Objects of a bucket are copied to the work folder once; a registered version is downloaded and its hash compared.
"""

import re
from pathlib import Path
from typing import NamedTuple

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.detection.detector import CARD_NAME, FRAME_MODEL, SEQUENCE_NAME
from ml_training.utils.errors import ModelError
from ml_training.utils.hashing import short_hash

REGISTERED = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(@[\w.]+)?")
MODEL_ENDINGS = (".tflite", ".keras", ".yaml", ".yml")
DEFAULT_ALIAS = "champion"


class ModelPlace(NamedTuple):
    """Where a model lies on this machine: that of frames, and the detector's folder where it is one. Either may be
    None, never both."""

    frame_model: Path | None
    detector: str | None


def find_model(name: str) -> ModelPlace:
    """Find a model. Raises ModelError when nothing of that name is there, RegistryError when a version is not."""
    if name.endswith(f"/{CARD_NAME}"):
        name = name.removesuffix(f"/{CARD_NAME}")
    if storage.exists(storage.join(name, CARD_NAME)) and storage.exists(storage.join(name, SEQUENCE_NAME)):
        inner = local_folder(storage.join(name, FRAME_MODEL))
        return ModelPlace(inner, name)
    if name.endswith(MODEL_ENDINGS):
        if not storage.exists(name):
            raise ModelError(f"there is no model {name}: see whether the address is right")
        folder = local_folder(name.rsplit("/", 1)[0]) if storage.is_s3(name) else None
        return ModelPlace(folder / name.rsplit("/", 1)[1] if folder else Path(name), None)
    folder = local_folder(name)
    if folder is not None:
        return ModelPlace(folder, None)
    if REGISTERED.fullmatch(name):
        return ModelPlace(_registered(name), None)
    raise ModelError(
        f"there is no model {name}: expected a detector's folder, a model's folder or file, or a registered name such "
        "as base-general@champion"
    )


def local_folder(uri: str) -> Path | None:
    """Return a folder on this machine with the files directly below ``uri``; None where there are none."""
    if not storage.is_s3(uri):
        path = Path(uri)
        return path if path.is_dir() and any(item.is_file() for item in path.iterdir()) else None
    prefix = uri.rstrip("/") + "/"
    items = [item for item in storage.list_objects(prefix) if "/" not in item.uri.removeprefix(prefix)]
    if not items:
        return None
    folder = read_settings().work_dir / "models" / short_hash([(item.uri, item.version) for item in items])
    for item in items:
        path = folder / item.uri.removeprefix(prefix)
        if not path.is_file():
            storage.download(item.uri, path)
    return folder


def _registered(name: str) -> Path:
    """Download a registered version, unless it is there."""
    from ml_training.registry.client import download
    from ml_training.registry.server import RegistryServer

    model, _, wanted = name.partition("@")
    server = RegistryServer.from_settings()
    version = server.resolve(model, wanted or DEFAULT_ALIAS)
    folder = read_settings().work_dir / "models" / version.sha256
    if not (folder / "manifest.json").is_file():
        download(server, model, version.version, str(folder))
    return folder
