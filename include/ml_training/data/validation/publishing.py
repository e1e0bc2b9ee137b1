"""Publishes what a validation found: its result, the pages of the data docs, and an index of the newest runs.

    publish("s3://adbreak", folder, result)          # folder: what ``run_checkpoint`` wrote

``validation/runs/<run>/result.json`` is what people and tools read later; the pages lie below ``validation/data_docs``.
"""

from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.data.validation.checkpoint import DOCS_FOLDER, RESULTS_FOLDER
from ml_training.data.validation.data_docs import Validation, index_page, read_validations, without_outside
from ml_training.data.validation.scope import in_parallel
from ml_training.utils.errors import ObjectNotFound

RUNS_LISTED = 200  # the newest, in the index of the data docs


def docs_uri(data_dir: str) -> str:
    """Return the address of the data docs' index."""
    return storage.join(data_dir, "validation", "data_docs", "index.html")


def publish(data_dir: str, folder: Path, result: dict[str, Any]) -> None:
    """Upload the pages of a run, then its result, then the index; what another run published stays."""
    pages = folder / DOCS_FOLDER
    for path in sorted(pages.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and path != pages / "index.html":
            if path.suffix == ".html":
                path.write_text(without_outside(path.read_text()))
            storage.upload(path, storage.join(data_dir, "validation", "data_docs", path.relative_to(pages).as_posix()))
    for path in sorted((folder / RESULTS_FOLDER).rglob("*.json")):
        below = path.relative_to(folder / RESULTS_FOLDER).as_posix()
        storage.upload(path, storage.join(data_dir, "validation", "results", below))
    listed = [one._asdict() for one in read_validations(folder / RESULTS_FOLDER)]
    run_folder = storage.join(data_dir, "validation", "runs", result["run"])
    storage.write_json(storage.join(run_folder, "pages.json"), listed)
    storage.write_json(storage.join(run_folder, "result.json"), result)
    write_index(data_dir)


def write_index(data_dir: str) -> None:
    """Write the index of the newest runs anew from what is stored."""
    runs = storage.list_objects(storage.join(data_dir, "validation", "runs") + "/")
    newest = sorted((item.uri for item in runs if item.uri.endswith("/pages.json")), reverse=True)[:RUNS_LISTED]
    listed = [entry for entries in in_parallel(newest, _entries) for entry in entries]
    storage.write_bytes(docs_uri(data_dir), index_page(listed).encode())


def _entries(uri: str) -> list[Any]:
    try:
        return [Validation(**entry) for entry in storage.read_json(uri)]
    except ObjectNotFound:
        return []
