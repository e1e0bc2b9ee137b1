"""Stops a training whose dataset version lets the test be known beforehand.

    require_no_leak("s3://adbreak", dataset_id)

A recording stands in one split, and so does every creative that is scored. ``data.dataset verify`` proves more, and
reads more; this takes a second and is done before every training.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.data.manifest import read_manifest
from ml_training.training.samples import texts
from ml_training.utils.errors import DatasetUnusable

SHOWN = 3


def require_no_leak(data_dir: str, dataset_id: str) -> None:
    """Raise DatasetUnusable when a recording, or a creative that is scored, stands in two splits."""
    table = read_manifest(data_dir, dataset_id, compact=True)
    splits = texts(table.column("split")).astype(str)
    recordings = texts(table.column("recording_id")).astype(str)
    scored = (table.column("label").to_numpy() >= 0) & ~table.column("seen_creative").to_numpy()
    creatives = texts(table.column("creative")).astype(str)
    named = scored & (creatives != "")
    for kind, names, chosen in (("recording", recordings, scored), ("creative", creatives, named)):
        leaking = in_several(names[chosen], splits[chosen])
        if leaking:
            raise DatasetUnusable(
                f"dataset {dataset_id} leaks: {len(leaking)} {kind}(s) are in several splits, such as "
                f"{', '.join(leaking[:SHOWN])}; build a new version (python -m ml_training.data.dataset build)",
                leaking=leaking,
            )


def in_several(names: npt.NDArray[Any], splits: npt.NDArray[Any]) -> list[str]:
    """Return the names [N] that stand in more than one of ``splits`` [N], in order."""
    if not len(names):
        return []
    known, numbers = np.unique(names, return_inverse=True)
    split_names, split_numbers = np.unique(splits, return_inverse=True)
    seen = np.zeros((len(known), len(split_names)), bool)
    seen[numbers, split_numbers] = True
    return [str(name) for name in known[seen.sum(axis=1) > 1]]
