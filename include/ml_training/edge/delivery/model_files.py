"""The files of a registered model that a device needs, checked before a key approves them.

    files = read_model_files("s3://adbreak", "base-general", "1.2.0")
    sorted(files.contents)                    # ['golden.npz', 'manifest.json', 'model.tflite']

What is approved is what was judged: every file is the one of its manifest, the verdicts accept that file, and where the
promotion ledger names the version, it names this file.
"""

import json
from dataclasses import dataclass
from typing import Any

from ml_training.cloud import storage
from ml_training.registry.ledger import VersionReference
from ml_training.registry.upload import content_of, other_parts, version_folder
from ml_training.registry.versioning import parse_model_name, parse_version
from ml_training.utils.errors import DeliveryError, ObjectNotFound
from ml_training.utils.hashing import sha256_bytes


@dataclass(frozen=True)
class ModelFiles:
    """One version's files by name, with what its manifest says."""

    name: str
    semver: str
    manifest: dict[str, Any]
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
    Otherwise the verdicts must accept it, unless ``force_reason`` says why not. Raises DeliveryError for a version that
    may not be published, and ObjectNotFound for a file that is missing.
    """
    name, semver = str(parse_model_name(name)), str(parse_version(semver))
    folder = version_folder(root, name, semver)
    manifest_bytes = storage.read_bytes(storage.join(folder, "manifest.json"))
    manifest = json.loads(manifest_bytes)
    contents = {"manifest.json": manifest_bytes, **_parts(manifest, folder)}
    golden = manifest.get("golden", {}).get("inputs")
    if not golden:
        raise DeliveryError(f"{name} {semver} has no golden inputs, which a device needs to try it: convert it again")
    contents["golden.npz"] = storage.read_bytes(storage.join(folder, "golden.npz"))
    if promoted is not None and promoted.sha256 != manifest["sha256"]:
        raise DeliveryError(
            f"{folder} is not the model that was promoted: expected sha256 {promoted.sha256}, received"
            f" {manifest['sha256']}",
            name=name,
        )
    if promoted is None and not force_reason:
        _check_verdicts(folder, manifest)
    return ModelFiles(name, semver, manifest, contents, promoted.version if promoted else "")


def _parts(manifest: dict[str, Any], folder: str) -> dict[str, bytes]:
    parts = manifest.get("parts", [])
    first = "model.tflite" if len(parts) < 2 else parts[0]["file"]
    data = storage.read_bytes(storage.join(folder, first))
    if sha256_bytes(data) != manifest.get("sha256"):
        raise DeliveryError(
            f"{first} in {folder} is not the file of its manifest: upload the model again", folder=folder
        )
    return {first: data, **other_parts(manifest, folder)}


def _check_verdicts(folder: str, manifest: dict[str, Any]) -> None:
    """Look for verdicts about these files that accept them; the newest ones may lie beside older ones."""
    found = (
        [item.uri for item in storage.list_objects(storage.join(folder, "verdicts"))]
        if storage.is_s3(folder)
        else [item.uri for item in storage.list_objects(folder) if item.uri.rsplit("/", 1)[-1].startswith("verdicts")]
    )
    verdicts = [storage.read_json(uri) for uri in found]
    if not verdicts:
        raise ObjectNotFound(f"{folder} has no verdicts: judge the model with registry.gates", uri=folder)
    about = [v for v in verdicts if v.get("sha256") == manifest["sha256"]]
    if not any(v.get("accepted") for v in about):
        why = about[-1].get("summary", "") if about else f"none is about the files {content_of(manifest)}"
        raise DeliveryError(f"{folder} was not accepted by its gates: {why}; --force REASON publishes it all the same")
