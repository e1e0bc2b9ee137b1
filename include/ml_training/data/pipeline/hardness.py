"""How hard each example was for a model, by the scores that it gave.

    examples = with_hardness(examples, "s3://adbreak/training/RUN/float/predictions-train.parquet")

The table has ``recording_id``, ``pts_seconds`` and ``score``, as ``training.evaluate`` leaves it beside a model.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.pipeline.examples import Examples
from ml_training.utils.errors import DataError

Array = npt.NDArray[Any]

NEEDED = ("recording_id", "pts_seconds", "score")
RECORDING_MS = 10**11  # milliseconds between two recordings on the common time line: three years


def with_hardness(examples: Examples, predictions_uri: str) -> Examples:
    """Return the same examples, each as hard as its stored score is far from its label (0..1).

    An example that the table does not name keeps its hardness. Raises ObjectNotFound when there is no such table,
    DataError when it lacks a column or names none of the examples.
    """
    with storage.local_copy(predictions_uri) as path:
        known = pq.read_schema(path).names
        missing = [name for name in NEEDED if name not in known]
        if missing:
            raise DataError(f"{predictions_uri} has no column {', '.join(missing)}; it has {', '.join(known)}")
        table = pq.read_table(path, columns=list(NEEDED))
    numbers = {name: number for number, name in enumerate(examples.recordings)}
    recordings = np.array([numbers.get(name, -1) for name in table["recording_id"].to_pylist()], np.int64)
    stored = _common_time(recordings, table["pts_seconds"].to_numpy())
    order = np.argsort(stored)
    wanted = _common_time(examples.recording_numbers, np.nan_to_num(examples.pts_seconds))
    places = order[np.minimum(np.searchsorted(stored, wanted, sorter=order), max(0, len(stored) - 1))]
    named = (stored[places] == wanted) & (examples.recording_numbers >= 0)
    if not named.any():
        raise DataError(f"{predictions_uri} names none of the {len(examples)} examples: is it of another split?")
    distances = np.abs(examples.labels - np.clip(table["score"].to_numpy()[places], 0, 1))
    return replace(examples, hardness=np.where(named, distances, examples.hardness).astype(np.float32))


def _common_time(recordings: Array, pts_seconds: Array) -> npt.NDArray[np.int64]:
    return recordings.astype(np.int64) * RECORDING_MS + np.round(pts_seconds * 1000).astype(np.int64)
