"""The files of a registered model that a device needs, checked before a key approves them.

    files = read_model_files("s3://adbreak", "base-general", "1.2.0")
    sorted(files.contents)                    # ['golden.npz', 'manifest.json', 'model.tflite']

What is approved is what was judged: every file is the one of its manifest, the newest verdict accepts that file, and
where the promotion ledger names the version, it names this file.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from ml_training.cloud import storage
from ml_training.edge.fleet.rollout import FILE_NAME, VERSION_NUMBERS
from ml_training.registry.ledger import VersionReference
from ml_training.registry.upload import other_parts, version_folder
from ml_training.registry.versioning import parse_model_name, parse_version
from ml_training.utils.errors import DeliveryError, ModelError, ObjectNotFound
from ml_training.utils.hashing import sha256_bytes


class Part(BaseModel):
    """One file of a model."""

    file: str = Field(pattern=f"^{FILE_NAME.pattern}$")
    sha256: str


class DeviceManifest(BaseModel):
    """What delivery reads of a manifest; the rest is the device's."""

    sha256: str
    golden: dict[str, Any] = Field(default_factory=dict)
    parts: list[Part] = Field(default_factory=list)
    minimum_runtime: str | None = Field(None, pattern=f"^{VERSION_NUMBERS.pattern}$")


@dataclass(frozen=True)
class ModelFiles:
    """One version's files by name, and its number in the registry where that is known."""

    name: str
    semver: str
    contents: dict[str, bytes]
    registry_version: str = ""


def read_model_files(
    root: str,
    name: str,
    semver: str,
    *,
    promoted: VersionReference | None = None,
    force_reason: str | None = None,
) -> ModelFiles:
    """Read ``models/<name>/<semver>/`` of a data root.

    ``promoted`` is what the ledger says of this version: then a person approved it, and the verdicts were looked at.
    Otherwise the newest verdict must accept it, unless ``force_reason`` says why not. Raises DeliveryError for a
    version that may not be published, ModelError for files that are not those of their manifest, and ObjectNotFound
    for one that is missing.
    """
    name, semver = str(parse_model_name(name)), str(parse_version(semver))
    folder = version_folder(root, name, semver)
    data = storage.read_bytes(storage.join(folder, "manifest.json"))
    manifest = _manifest(data, folder)
    if not manifest.golden.get("inputs"):
        raise DeliveryError(f"{name} {semver} has no golden inputs, which a device needs to try it: convert it again")
    if promoted is not None and promoted.sha256 != manifest.sha256:
        raise DeliveryError(
            f"{folder} is not the model that was promoted: expected sha256 {promoted.sha256}, received"
            f" {manifest.sha256}",
            name=name,
        )
    if promoted is None and not force_reason:
        _check_verdicts(folder, manifest.sha256)
    contents = {"manifest.json": data, **_parts(manifest, folder)}
    contents["golden.npz"] = storage.read_bytes(storage.join(folder, "golden.npz"))
    return ModelFiles(name, semver, contents, promoted.version if promoted else "")


def _manifest(data: bytes, folder: str) -> DeviceManifest:
    try:
        return DeviceManifest.model_validate_json(data)
    except ValidationError as error:
        mistake = error.errors()[0]
        where = ".".join(map(str, mistake["loc"]))
        message = f"manifest.json in {folder} is not as it should be: {where} {mistake['msg']}: upload the model again"
        raise ModelError(message, folder=folder) from error


def _parts(manifest: DeviceManifest, folder: str) -> dict[str, bytes]:
    first = "model.tflite" if len(manifest.parts) < 2 else manifest.parts[0].file
    data = storage.read_bytes(storage.join(folder, first))
    if sha256_bytes(data) != manifest.sha256:
        raise ModelError(f"{first} in {folder} is not the file of its manifest: upload the model again", folder=folder)
    return {first: data, **other_parts(manifest.model_dump(), folder)}


def _check_verdicts(folder: str, sha256: str) -> None:
    """Raise unless the newest verdict about this file accepts it; ``verdicts.json`` is the first that was stored."""
    stored = storage.list_objects(f"{folder}/")
    found = [item for item in stored if item.uri.rsplit("/", 1)[-1].startswith("verdicts")]
    if not found:
        raise ObjectNotFound(f"{folder} has no verdicts: judge the model with registry.gates", uri=folder)
    found.sort(key=lambda item: (item.modified, not item.uri.endswith("/verdicts.json")))
    about = [verdict for verdict in (storage.read_json(item.uri) for item in found) if verdict.get("sha256") == sha256]
    if not about or not about[-1].get("accepted"):
        why = about[-1].get("summary", "") if about else f"none is about the file {sha256}"
        raise DeliveryError(f"{folder} was not accepted by its gates: {why}; --force REASON publishes it all the same")
