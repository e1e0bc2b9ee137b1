"""Checkpoints of one stage of a training: the state after an epoch, in one file.

    store = CheckpointStore("s3://adbreak/training/<run_id>/checkpoints/upper.npz")
    state = store.load() or TrainingState.start(model)

The file holds plain arrays, is written beside and renamed (or put whole to S3), and so is never half there.
"""

import io
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.utils.errors import ObjectNotFound

Arrays = list[npt.NDArray[Any]]


class TrainingState(NamedTuple):
    """What a stage needs to go on as if nothing had happened."""

    epochs_done: int
    best_score: float
    weights: Arrays
    optimizer: Arrays
    best_weights: Arrays


class CheckpointStore:
    """Keeps the newest state of one stage at one address."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def save(self, state: TrainingState) -> None:
        """Replace the stored state."""
        arrays: dict[str, npt.NDArray[Any]] = {"progress": np.array([state.epochs_done, state.best_score])}
        for group in ("weights", "optimizer", "best_weights"):
            arrays |= {f"{group}-{i:04d}": array for i, array in enumerate(getattr(state, group))}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        storage.write_bytes(self.uri, buffer.getvalue())

    def load(self) -> TrainingState | None:
        """Return the stored state, or None where there is none."""
        try:
            data = storage.read_bytes(self.uri)
        except ObjectNotFound:
            return None
        with np.load(io.BytesIO(data)) as file:
            groups = {
                group: [file[name] for name in sorted(file.files) if name.startswith(f"{group}-")]
                for group in ("weights", "optimizer", "best_weights")
            }
            epochs_done, best_score = file["progress"]
        return TrainingState(int(epochs_done), float(best_score), **groups)
