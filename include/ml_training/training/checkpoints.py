"""Checkpoints of one stage of a training: the state after a step, in one file.

    store = CheckpointStore("s3://adbreak/training/<run_id>/checkpoints/upper.npz")
    state = store.load() or the beginning

The state is all that the next step depends on: weights, the optimizer's moments and step, the moving average, the
dropout's random state, and the place in the data. So a training that is killed at any step and started again ends with
the same weights. The file holds plain arrays, is written beside and renamed (or put whole to S3): it is never half
there.
"""

import io
import time
import zipfile
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.cloud.fence import require_newest_attempt
from ml_training.utils.errors import ModelError, ObjectNotFound

Arrays = list[npt.NDArray[Any]]
GROUPS = ("weights", "optimizer", "average", "dropout", "best_weights")


class TrainingState(NamedTuple):
    """What a stage needs to go on as if nothing had happened."""

    epoch: int  # that is under way, from 0
    step: int  # of the epoch, that comes next
    loss_sum: float  # of the epoch's examples so far
    seen: float  # how many examples those are
    best_epoch: int  # from 1; 0: none yet
    best_score: float
    finished: bool
    weights: Arrays
    optimizer: Arrays
    average: Arrays
    dropout: Arrays
    best_weights: Arrays


class CheckpointStore:
    """Keeps the newest state of one stage at one address."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def save(self, state: TrainingState) -> None:
        """Replace the stored state. Raises Superseded on a machine that another one has replaced."""
        require_newest_attempt()
        progress = [state.epoch, state.step, state.loss_sum, state.seen, state.best_epoch, state.best_score]
        arrays: dict[str, npt.NDArray[Any]] = {"progress": np.array([*progress, state.finished], np.float64)}
        for group in GROUPS:
            arrays |= {f"{group}-{number:04d}": array for number, array in enumerate(getattr(state, group))}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        storage.write_bytes(self.uri, buffer.getvalue())

    def load(self) -> TrainingState | None:
        """Return the stored state, or None where there is none. Raises ModelError when the file is broken."""
        try:
            data = storage.read_bytes(self.uri)
        except ObjectNotFound:
            return None
        try:
            with np.load(io.BytesIO(data)) as file:
                groups = {
                    group: [file[name] for name in sorted(file.files) if name.startswith(f"{group}-")]
                    for group in GROUPS
                }
                epoch, step, loss_sum, seen, best_epoch, best_score, finished = file["progress"].tolist()
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{self.uri} is no checkpoint of this version ({error}): remove it to begin anew"
            ) from error
        return TrainingState(
            int(epoch), int(step), loss_sum, seen, int(best_epoch), best_score, bool(finished), **groups
        )


class Timer:
    """Says when the next checkpoint is due: after so many seconds, or so many steps."""

    def __init__(self, seconds: float, steps: int | None) -> None:
        self._seconds, self._steps = seconds, steps
        self.reset()

    def reset(self) -> None:
        """A checkpoint was written."""
        self._since, self._taken = time.monotonic(), 0

    def step(self) -> bool:
        """Count a step; tell whether a checkpoint is due now."""
        self._taken += 1
        enough = self._steps is not None and self._taken >= self._steps
        return enough or time.monotonic() - self._since >= self._seconds
