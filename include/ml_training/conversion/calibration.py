"""The calibration set: the training frames that int8 ranges come from, the same number of each channel, written down.

    chosen = balanced(samples.channels, 160, seed=1)               # places, in order
    calibration = CalibrationSet.of(samples.take(chosen), dataset_id=..., seed=1)
    calibration.calibration_id                                     # the hash of what it lists

A channel with twice the recordings would else give twice the frames, and its pictures' ranges be those of all.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ml_training.cloud import storage
from ml_training.training.samples import Samples
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Record

CALIBRATION_NAME = "calibration.json"

Array = npt.NDArray[Any]


class CalibrationFrame(Record):
    """One frame, or the judged frame of an example that shows several."""

    recording_id: str
    channel: str
    pts_seconds: float


class CalibrationSet(Record):
    """The frames that a conversion looked at."""

    version: Literal[1] = 1
    dataset_id: str
    seed: int
    frames: list[CalibrationFrame]  # pictures
    head: list[CalibrationFrame] = Field(default_factory=list)  # examples of a head

    @property
    def calibration_id(self) -> str:
        """The hash of all that it lists."""
        return short_hash(self.model_dump(mode="json"))

    @classmethod
    def of(
        cls, frames: Samples, *, dataset_id: str, seed: int, head: list[CalibrationFrame] | None = None
    ) -> "CalibrationSet":
        """Return the set of some frames, and perhaps of a head's examples."""
        return cls(dataset_id=dataset_id, seed=seed, frames=frames_of(frames), head=head or [])

    def store(self, folder: str) -> None:
        """Write it into a folder, its name inside."""
        content = {"calibration_id": self.calibration_id, **self.model_dump(mode="json")}
        storage.write_json(storage.join(folder, CALIBRATION_NAME), content)


def frames_of(samples: Samples) -> list[CalibrationFrame]:
    """Return what a calibration set says of some frames."""
    rows = zip(samples.recording_ids, samples.channels, samples.pts_seconds, strict=True)
    return [CalibrationFrame(recording_id=str(r), channel=str(c), pts_seconds=float(s)) for r, c, s in rows]


def balanced(groups: Array, count: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the places of at most ``count`` entries of ``groups`` [N], as many of each group as there are; in order.

    ``seed`` draws them. A group that is too small gives all it has, and the others more.
    """
    drawn = np.random.default_rng(seed).permutation(len(groups))
    _, numbers, sizes = np.unique(groups[drawn].astype(str), return_inverse=True, return_counts=True)
    by_group = np.argsort(numbers, kind="stable")
    ranks = np.empty(len(drawn), np.int64)  # the how-manieth of its group a draw is
    ranks[by_group] = np.arange(len(drawn)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(drawn[np.argsort(ranks, kind="stable")[:count]])


def choose_frames(samples: Samples, count: int, *, seed: int) -> Samples:
    """Return at most ``count`` frames, the same number of each channel, in the order of recording and time."""
    return samples.take(balanced(samples.channels, count, seed=seed))
