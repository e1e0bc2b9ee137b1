"""What a validation is about, and the small tools with which suites read it.

scope = Scope("s3://adbreak", recordings=["news-0105"])
recordings_with_frames(scope)            # of those named (none: of all) the ones that have frames
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from ml_training.cloud import storage
from ml_training.utils.errors import DataError

PARALLEL_REQUESTS = 8  # small objects: the bucket's answer time counts, not its bandwidth

Tables = dict[str, pd.DataFrame]  # empty: none of what was named is there to be checked
Item = TypeVar("Item")
Result = TypeVar("Result")


class Scope(NamedTuple):
    """What is validated: recordings (None: all), a dataset version, or the telemetry of some devices and days."""

    data_dir: str
    recordings: Sequence[str] | None = None
    dataset_id: str | None = None  # None: the newest
    reference: str | None = None  # the dataset version that drift is measured against
    accept_drift: bool = False
    devices: Sequence[str] | None = None
    from_date: str | None = None  # YYYY-MM-DD, included
    to_date: str | None = None


def extracted_recordings(data_dir: str) -> list[str]:
    """Return the ids of the recordings that have frames, sorted."""
    prefix = storage.join(data_dir, "frames") + "/"
    return sorted(o.uri.split("/")[-2] for o in storage.list_objects(prefix) if o.uri.endswith("/current.json"))


def recordings_with_frames(scope: Scope) -> list[str]:
    """Return the recordings to check: those named that have frames, or all. Raises DataError when all are none."""
    there = extracted_recordings(scope.data_dir)
    if scope.recordings is not None:
        return sorted(set(scope.recordings) & set(there))
    if not there:
        raise DataError(f"there are no frames in {scope.data_dir} to validate: extract some recordings first")
    return there


def in_parallel(items: Sequence[Item], work: Callable[[Item], Result]) -> list[Result]:
    """Return ``work`` of each item, in order; several requests wait at the same time."""
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        return list(pool.map(work, items))


def number(facts: Mapping[str, Any], name: str) -> float:
    """Return a number among facts, NaN where there is none."""
    value = facts.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else np.nan


def spread(length: int, count: int) -> list[int]:
    """Return at most ``count`` positions of ``length``, spread evenly from the first to the last."""
    return [int(at) for at in np.unique(np.linspace(0, max(length - 1, 0), count).astype(int))] if length else []
