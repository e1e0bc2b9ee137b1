"""The profile of a dataset version: how its features are spread, small enough to compare versions years apart.

    now = read_profile("s3://adbreak", "4be1…")                  # datasets/4be1…/profile.json, made when it is missing
    drift_rows(now, read_profile("s3://adbreak", champions))     # a row a feature, with its stability index

Only frames that are scored count. Numbers are counted in fixed bins, so that two profiles can always be compared.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.data.validation.dataset_frames import FrameColumns, ManifestView, read_coded, read_frames, size_name
from ml_training.data.validation.scope import in_parallel
from ml_training.data.validation.stability import by_chance, decile_groups, grouped, stability_index
from ml_training.utils.errors import DataError, StorageError
from ml_training.utils.records import Record

PROFILE_FILE = "profile.json"
MIXTURE = frozenset({"channel", "genre", "show", "source_size", "label_name"})  # these move as an archive grows


class Bins(NamedTuple):
    """Fixed bins from ``low`` to ``high``; what lies outside counts in the outermost."""

    low: float
    high: float
    bins: int
    logarithmic: bool = False  # of log2(1 + value)

    def counts(self, values: npt.NDArray[np.float64]) -> list[int]:
        """Return the counts of the bins, and last how many values are missing."""
        there = values[~np.isnan(values)]
        scaled = np.log2(1 + np.maximum(there, 0)) if self.logarithmic else there
        edges = np.linspace(self.low, self.high, self.bins + 1)
        counts = np.histogram(np.clip(scaled, self.low, self.high), edges)[0]
        return [*(int(count) for count in counts), len(values) - len(there)]


NUMBERS = {
    "luma": Bins(0, 255, 85),
    "sharpness": Bins(0, 16, 80, logarithmic=True),
    "motion": Bins(0, 8, 80, logarithmic=True),
    "shot_change": Bins(0, 1, 50),
    "loudness_lufs": Bins(-80, 0, 80),
}
FLAGS = ("is_black", "is_silent")
FLAG_NAMES = {1: "true", 0: "false", -1: "missing"}


class Profile(Record):
    """``datasets/<dataset_id>/profile.json``. The last count of a number is that of frames without a value."""

    version: Literal[1] = 1
    dataset_id: str
    recordings: int
    frames: int
    numbers: dict[str, list[int]]
    categories: dict[str, dict[str, int]]


def read_profile(data_dir: str, dataset_id: str) -> Profile:
    """Return the profile of a dataset version, made and stored when it is missing.

    Raises DatasetUnusable when there is no such version, DataError when its frames are no longer there.
    """
    uri = storage.join(data_dir, "datasets", dataset_id, PROFILE_FILE)
    try:
        return Profile.model_validate(storage.read_json(uri))
    except StorageError:
        view = ManifestView(read_coded(data_dir, dataset_id))
    frames = in_parallel(range(len(view.recordings)), lambda at: read_frames(data_dir, view, at))
    if missing := [name for name, one in zip(view.recordings, frames, strict=True) if one.unknown]:
        raise DataError(f"the frames that dataset {dataset_id} lists are not there, of {', '.join(missing[:5])}")
    return store_profile(data_dir, make_profile(dataset_id, view, frames))


def store_profile(data_dir: str, profile: Profile) -> Profile:
    """Store a profile beside its dataset version and return it."""
    uri = storage.join(data_dir, "datasets", profile.dataset_id, PROFILE_FILE)
    storage.write_json(uri, profile.model_dump(mode="json"))
    return profile


def make_profile(dataset_id: str, view: ManifestView, frames: list[FrameColumns]) -> Profile:
    """Return the profile of a manifest, from the columns of its frames, one entry a recording."""
    scored = view.main
    used = [one for one in frames if one.scored.any()]
    numbers = {
        name: sum_counts([bins.counts(one.numbers[name][one.scored]) for one in used], bins.bins + 1)
        for name, bins in NUMBERS.items()
    }
    categories: dict[str, dict[str, int]] = {
        name: view.counts(name, scored) for name in ("channel", "genre", "show", "label_name")
    }
    categories["label"] = {str(value): int(np.sum(view.label[scored] == value)) for value in (0, 1)}
    for name in (*FLAGS, "source_size"):
        categories[name] = count_codes([one.categories[name][one.scored] for one in used], name)
    return Profile(
        dataset_id=dataset_id,
        recordings=len(used),
        frames=int(scored.sum()),
        numbers=numbers,
        categories=categories,
    )


def count_codes(parts: list[npt.NDArray[np.int64]], name: str) -> dict[str, int]:
    """Return how often each flag or size occurs."""
    codes, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True)
    say = size_name if name == "source_size" else lambda code: FLAG_NAMES[code]
    return {say(int(code)): int(count) for code, count in zip(codes, counts, strict=True)}


def sum_counts(parts: list[list[int]], length: int) -> list[int]:
    """Return the sums of counts over the same bins."""
    return [int(count) for count in np.array([[0] * length, *parts], np.int64).sum(axis=0)]


def drift_rows(now: Profile, before: Profile) -> list[dict[str, Any]]:
    """Return a row for each feature: ``psi``, what chance alone gives, and the excess of the one over the other.

    ``shift`` is that excess for features of the frames themselves, NaN for the mixture of channels, genres and sources,
    which moves when an archive grows.
    """
    rows = []
    for name in sorted({*now.numbers, *now.categories}):
        pair = _number_pair(now, before, name) if name in now.numbers else _category_pair(now, before, name)
        if pair is None:
            continue
        psi = stability_index(*pair)
        used = int(np.sum((np.array(pair[0]) > 0) | (np.array(pair[1]) > 0)))
        chance = by_chance(bins=used, recordings=now.recordings, recordings_before=before.recordings)
        excess = max(psi - chance, 0.0) if not np.isnan(psi) else np.nan
        row = {"feature": name, "psi": psi, "by_chance": chance, "excess": excess}
        rows.append(row | {"shift": np.nan if name in MIXTURE else excess})
    return rows


def _number_pair(now: Profile, before: Profile, name: str) -> tuple[list[int], list[int]] | None:
    own, others = now.numbers[name], before.numbers.get(name)
    if others is None or len(others) != len(own):
        return None
    groups = decile_groups(others[:-1])
    return ([*grouped(own[:-1], groups), own[-1]], [*grouped(others[:-1], groups), others[-1]])


def _category_pair(now: Profile, before: Profile, name: str) -> tuple[list[int], list[int]] | None:
    own, others = now.categories[name], before.categories.get(name)
    if others is None:
        return None
    names = sorted({*own, *others})
    return _listed(own, names), _listed(others, names)


def _listed(counts: Mapping[str, int], names: list[str]) -> list[int]:
    return [counts.get(name, 0) for name in names]
