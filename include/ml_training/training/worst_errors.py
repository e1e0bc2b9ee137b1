"""The frames that a model got most wrong, each from another moment, to look at.

    chosen = worst_errors(predictions, threshold, missed=False)      # content that was called an ad
    pictures = load_pictures(predictions, chosen, data_dir)

Neighbours show the same shot: of ten seconds of a recording only the worst frame is chosen.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.data.pipeline.reading import ShardStore
from ml_training.training.predictions import Predictions
from ml_training.training.split_frames import SHARDS_KEPT

Array = npt.NDArray[Any]

APART_SECONDS = 10.0


def wrong_frames(predictions: Predictions, threshold: float, *, missed: bool) -> npt.NDArray[np.int64]:
    """Return which frames are ads that were ``missed``, or content called an ad; the most wrong first."""
    frames, scores = predictions.frames, predictions.all_scores
    called = scores >= np.float32(threshold)
    wrong = frames.scored & ((frames.labels == 1) & ~called if missed else (frames.labels == 0) & called)
    places = np.flatnonzero(wrong)
    distance = scores[places] if missed else -scores[places]
    return places[np.argsort(distance, kind="stable")]


def worst_errors(predictions: Predictions, threshold: float, *, missed: bool, count: int = 24) -> npt.NDArray[np.int64]:
    """Return at most ``count`` frames [n] that are most wrong, ten seconds or more apart."""
    frames = predictions.frames
    chosen: list[int] = []
    taken: dict[str, list[float]] = {}
    for place in wrong_frames(predictions, threshold, missed=missed):
        recording, seconds = str(frames.recording_ids[place]), float(frames.pts_seconds[place])
        if all(abs(seconds - other) >= APART_SECONDS for other in taken.get(recording, ())):
            taken.setdefault(recording, []).append(seconds)
            chosen.append(int(place))
        if len(chosen) == count:
            break
    return np.array(chosen, np.int64)


def load_pictures(predictions: Predictions, chosen: Array, data_dir: str) -> list[npt.NDArray[np.uint8]]:
    """Return the pictures of some frames, uint8 [224, 224, 3] each."""
    frames = predictions.frames
    store = ShardStore(pictures=SHARDS_KEPT, sounds=0)
    pictures: dict[int, npt.NDArray[np.uint8]] = {}
    for place in sorted(int(place) for place in chosen):  # a shard at a time
        pictures[place] = store.picture(storage.join(data_dir, str(frames.shard_uris[place])), int(frames.rows[place]))
    return [pictures[int(place)] for place in chosen]


def captions(predictions: Predictions, chosen: Array) -> list[str]:
    """Return recording and time of each frame, what it is and how it was scored; in two lines."""
    frames = predictions.frames
    return [
        f"{frames.recording_ids[place]} {clock(float(frames.pts_seconds[place]))}\n"
        f"is {'ad' if frames.labels[place] == 1 else 'content'}, scored {predictions.all_scores[place]:.2f}"
        for place in chosen
    ]


def clock(seconds: float) -> str:
    """Return seconds as ``h:mm:ss``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
