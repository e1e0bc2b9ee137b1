"""A stored recording as its keyframes alone would show it: what a detector learns, so that it works with few frames.

    fewer = as_keyframes(source, seconds=2.0, first=0.5)         # StoredRecording of every second frame or so
    fewer.rows                                                   # int64 [n]: which frames of the source they are

Broadcasters set a keyframe every half to two seconds. What is measured between a frame and the one before (motion,
change of shot) is measured again, since the one before is another.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_training.data.frames import Seen, measure
from ml_training.detection.gather import BATCH, StoredRecording

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FewerFrames(StoredRecording):
    """Some frames of a stored recording; ``rows`` are their places in its index."""

    rows: Rows

    @classmethod
    def of(cls, source: StoredRecording, rows: Rows) -> Self:
        """Take frames of a recording, at least one, and measure them again."""
        chosen = cls(source.root, source.extraction, source.index.take(pa.array(rows)), rows)
        measured: dict[str, list[Any]] = {"motion": [], "shot_change": []}
        seen: Seen | None = None
        for start in range(0, len(rows), BATCH):
            for image in chosen.images(start, min(start + BATCH, len(rows))):
                appearance, seen = measure(image, seen)
                for name, values in measured.items():
                    values.append(getattr(appearance, name))
        index = chosen.index
        for name, values in measured.items():
            place = index.schema.get_field_index(name)
            index = index.set_column(place, index.schema.field(place), pa.array(values, pa.float32()))
        return replace(chosen, index=index)


def as_keyframes(source: StoredRecording, *, seconds: float, first: float = 0.0) -> FewerFrames:
    """Return a recording with its first frame, and one every so many seconds from ``first`` on."""
    times = source.index["pts_seconds"].to_numpy()
    numbers = np.floor((times - first) / seconds)
    return FewerFrames.of(source, np.flatnonzero(np.diff(numbers, prepend=-np.inf) > 0))
