"""Puts a model file with its verdicts into the registry, once: the same bytes are the same version.

    upload(server, "s3://adbreak", model_uri=".../int8/model.tflite", verdicts_uri=".../int8/verdicts.json")

The files go to ``models/<name>/<semver>/``, where nothing is ever overwritten. ``manifest.json`` is written first and
claims the number for one content; an upload that was killed half-way is finished by the next one of the same file.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.registry.server import RegisteredVersion, RegistryServer, semantic_versions
from ml_training.registry.versioning import Change, SemanticVersion, change_between, next_version, parse_model_name
from ml_training.utils.errors import ModelError, ObjectExists, ObjectNotFound
from ml_training.utils.hashing import sha256_bytes, short_hash
from ml_training.utils.records import Record

LONGEST_TAG = 4000  # MLflow keeps 5000 characters of a tag
MANIFEST_TAGS = ("dataset_id", "run_id", "size_bytes", "threshold", "quantization", "code_version")

logger = logging.getLogger(__name__)


class Upload(Record):
    """The parts of one upload, read and checked against each other."""

    name: str
    model_file: str  # the one that the version is known by; a model of trunk and head has another one beside it
    sha256: str
    manifest: dict[str, Any]
    verdicts: dict[str, Any]
    files: dict[str, bytes]


def read_upload(model_uri: str, verdicts_uri: str, name: str | None = None) -> Upload:
    """Read the model, the files beside it and its verdicts.

    ``name`` overrides the manifest's model name. Raises ObjectNotFound for a file that is missing, and ModelError when
    the manifest or the verdicts are of another file.
    """
    folder = model_uri.rsplit("/", 1)[0] if "/" in model_uri else "."
    manifest_uri = storage.join(folder, "manifest.json")
    manifest, verdicts = storage.read_json(manifest_uri), storage.read_json(verdicts_uri)
    model = storage.read_bytes(model_uri)
    sha256 = sha256_bytes(model)
    for document, where in ((manifest, f"the manifest beside {model_uri}"), (verdicts, verdicts_uri)):
        if document.get("sha256") != sha256:
            raise ModelError(f"{where} is of another file: expected sha256 {sha256}, received {document.get('sha256')}")
    model_file = "model.tflite" if len(manifest.get("parts", [])) < 2 else model_uri.rsplit("/", 1)[-1]
    files = {"manifest.json": storage.read_bytes(manifest_uri), model_file: model}
    files |= other_parts(manifest, folder)
    golden = manifest.get("golden", {}).get("inputs")
    if golden:
        files["golden.npz"] = storage.read_bytes(storage.join(folder, golden))
    chosen = str(parse_model_name(name or manifest["model_name"]))
    return Upload(name=chosen, model_file=model_file, sha256=sha256, manifest=manifest, verdicts=verdicts, files=files)


def content_of(manifest: Mapping[str, Any]) -> str | None:
    """Return what tells a model from another: its file's hash, or that of the hashes of all its files."""
    hashes = [str(part["sha256"]) for part in manifest.get("parts", [])]
    return manifest.get("sha256") if len(hashes) < 2 else sha256_bytes(" ".join(hashes).encode())


def other_parts(manifest: Mapping[str, Any], folder: str) -> dict[str, bytes]:
    """Read the files that a model has besides the one that its manifest is about, such as the head on a trunk.

    Raises ObjectNotFound for one that is missing, and ModelError when it is not the one that the manifest names.
    """
    found = {}
    for part in manifest.get("parts", []):
        if part["sha256"] == manifest["sha256"]:
            continue
        found[part["file"]] = storage.read_bytes(storage.join(folder, part["file"]))
        received = sha256_bytes(found[part["file"]])
        if received != part["sha256"]:
            raise ModelError(f"{part['file']} in {folder} is not the file of its manifest: convert the model again")
    return found


def upload(
    server: RegistryServer,
    root: str,
    *,
    model_uri: str,
    verdicts_uri: str,
    name: str | None = None,
    change: Change | None = None,
    mlflow_run_id: str | None = None,
) -> RegisteredVersion:
    """Register a model file with its verdicts, or return the version that this content has already.

    ``candidate`` points to the newest version afterwards, ``challenger`` to it if its gates accepted it. ``change``
    says which part of the version grows; by default it is major when the manifest's interface changed, else minor. New
    verdicts about a registered file replace the old ones in its tags, and stay beside it in the bucket.
    """
    root = root if storage.is_s3(root) else str(Path(root).resolve())  # what the registry holds is read from elsewhere
    parts = read_upload(model_uri, verdicts_uri, name)
    versions = server.versions(parts.name)
    content = content_of(parts.manifest)
    known = next((item for item in versions if item.tags.get("content", item.sha256) == content), None)
    if known is None:
        semver = _claim(root, parts, _expected_version(versions, parts, change))
        known = _register(server, root, parts, semver, mlflow_run_id)
    else:
        logger.info("%s %s is this file already", parts.name, known.semver)
        server.set_tags(known, _verdict_tags(parts.verdicts, _store_verdicts(root, parts, known.semver)))
    _set_aliases(server, parts, known)
    return server.resolve(parts.name, known.version)


def version_folder(root: str, name: str, semver: SemanticVersion | str) -> str:
    """Return the address of the folder that holds one version's files."""
    return storage.join(root, "models", name, str(semver))


def _expected_version(versions: list[RegisteredVersion], parts: Upload, change: Change | None) -> SemanticVersion:
    newest = max((item for item in versions if item.semver), key=lambda item: int(item.version), default=None)
    if change is None and newest is not None:
        try:
            change = change_between(storage.read_json(_beside(newest.model_uri, "manifest.json")), parts.manifest)
        except ObjectNotFound:
            logger.warning("%s %s has no manifest any more: taken for a minor change", parts.name, newest.semver)
    return next_version(semantic_versions(versions), change or "minor")


def _claim(root: str, parts: Upload, semver: SemanticVersion) -> SemanticVersion:
    """Take the first number from ``semver`` on that is free or that a killed upload of this content took."""
    while True:
        uri = storage.join(version_folder(root, parts.name, semver), "manifest.json")
        try:
            storage.write_bytes(uri, parts.files["manifest.json"], if_absent=True)
        except ObjectExists:
            if content_of(storage.read_json(uri)) != content_of(parts.manifest):
                semver = semver.next("minor")
                continue
        return semver


def _register(
    server: RegistryServer, root: str, parts: Upload, semver: SemanticVersion, mlflow_run_id: str | None
) -> RegisteredVersion:
    folder = version_folder(root, parts.name, semver)
    for file_name, content in parts.files.items():
        _write_once(storage.join(folder, file_name), content)
    verdicts_uri = _store_verdicts(root, parts, str(semver))
    tags = {key: str(parts.manifest[key]) for key in MANIFEST_TAGS if parts.manifest.get(key) is not None}
    tags |= {"content": str(content_of(parts.manifest))} if len(parts.manifest.get("parts", [])) > 1 else {}
    tags |= {"semver": str(semver), "sha256": parts.sha256, "model_uri": storage.join(folder, parts.model_file)}
    tags |= _verdict_tags(parts.verdicts, verdicts_uri)
    # A server takes no path of this machine as a source; under a scheme of its own it is only a name.
    source = folder if storage.is_s3(folder) else f"adbreak-folder:{folder}"
    run_id = mlflow_run_id or parts.manifest.get("mlflow_run_id")
    created = server.create(parts.name, source=source, run_id=run_id, tags=tags)
    logger.info("registered %s %s as version %s", parts.name, semver, created.version)
    return created


def _store_verdicts(root: str, parts: Upload, semver: str) -> str:
    content = json.dumps(parts.verdicts, sort_keys=True, indent=1).encode()
    folder = version_folder(root, parts.name, semver)
    uri = storage.join(folder, "verdicts.json")
    if storage.exists(uri) and storage.read_bytes(uri) != content:
        uri = storage.join(folder, f"verdicts-{short_hash(parts.verdicts)}.json")
    _write_once(uri, content)
    return uri


def _write_once(uri: str, content: bytes) -> None:
    try:
        storage.write_bytes(uri, content, if_absent=True)
    except ObjectExists:
        logger.debug("%s is there already", uri)


def _verdict_tags(verdicts: Mapping[str, Any], verdicts_uri: str) -> dict[str, str]:
    measures = verdicts.get("metrics", {})
    tags = {key: f"{value:.4f}" for key, value in measures.items() if isinstance(value, (int, float))}
    return tags | {
        "accepted": "true" if verdicts["accepted"] else "false",
        "policy": str(verdicts["policy"]),
        "refusal": "; ".join(verdicts.get("reasons", []))[:LONGEST_TAG],
        "simulated": ", ".join(verdicts.get("simulated", []))[:LONGEST_TAG],
        "verdicts_uri": verdicts_uri,
    }


def _set_aliases(server: RegistryServer, parts: Upload, item: RegisteredVersion) -> None:
    versions = server.versions(parts.name)
    now = next(version for version in versions if version.version == item.version)
    if "candidate" not in versions[0].aliases:
        server.set_alias(parts.name, "candidate", versions[0].version)
    if parts.verdicts["accepted"] and not {"champion", "challenger"} & set(now.aliases) and not was_rolled_back(now):
        server.set_alias(parts.name, "challenger", item.version)
    elif not parts.verdicts["accepted"] and "challenger" in now.aliases:
        server.delete_alias(parts.name, "challenger")


def was_rolled_back(item: RegisteredVersion) -> bool:
    """Tell whether this version was the champion and was taken back."""
    return bool(item.tags.get("rolled_back"))


def _beside(uri: str, name: str) -> str:
    return storage.join(uri.rsplit("/", 1)[0], name)
