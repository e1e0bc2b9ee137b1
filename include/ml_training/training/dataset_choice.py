"""Which dataset version a person means: its id, its folder, or a data folder, of which the newest version counts.

data_dir, dataset_id = find_dataset("s3://adbreak/datasets/4be1", "data")
"""

import re
from pathlib import Path

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.utils.errors import DatasetUnusable

FOLDER = re.compile(r"(?P<root>.*?)/?datasets/(?P<id>[^/]+)(/manifest\.parquet)?/?$")


def find_dataset(text: str, data_dir: str) -> tuple[str, str]:
    """Return the data folder and the version's id. Raises DatasetUnusable when there is none."""
    if folder := FOLDER.match(text):
        return folder["root"] or ".", folder["id"]
    if "/" in text or Path(text).is_dir():
        return text.rstrip("/"), newest_dataset(text)
    return data_dir, text


def newest_dataset(data_dir: str) -> str:
    """Return the version that was built last. Raises DatasetUnusable when there is none."""
    listed = storage.list_objects(storage.join(data_dir, "datasets") + "/")
    cards = [item for item in listed if item.uri.endswith("/card.json")]
    if not cards:
        raise DatasetUnusable(f"there is no dataset version in {data_dir}: build one with data.dataset build")
    return max(cards, key=lambda item: item.modified).uri.split("/")[-2]


def dataset_or_built(dataset_id: str | None, data_dir: str, section: DataSection) -> str:
    """Return the version that was named, else one built from all labelled frames as a config's ``data`` says."""
    if dataset_id is not None:
        return dataset_id
    from ml_training.data import dataset  # decoders and tables: not for --help

    return str(dataset.build(data_dir, section)["dataset_id"])
