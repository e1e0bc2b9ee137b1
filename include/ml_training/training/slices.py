"""Where a model is good and where it is not: the same figures for every channel, genre, show and kind of creative.

    slice_figures(predictions, threshold)["genre=sport"]["f1"]          # {'value': 0.91, 'low': 0.86, ...}

| slice | frames |
| --- | --- |
| `channel=`, `genre=`, `show=` | those that count, of recordings of that name |
| `creatives=seen` | ads that training has seen, beside all content that counts |
| `surroundings=unseen` | those that count, no seen creative within five seconds: what a window or a clip looks at |
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.statistics.intervals import RecordingCounts, count_by_recording, metric_intervals
from ml_training.training.predictions import Predictions
from ml_training.training.split_frames import SplitFrames

Mask = npt.NDArray[np.bool_]

SURROUNDING_SECONDS = 5.0  # the widest view of a model, to either side


def slice_figures(predictions: Predictions, threshold: float) -> dict[str, dict[str, Any]]:
    """Return precision, recall, F1 and MCC with intervals of each slice, its frames and its share of ads."""
    found: dict[str, dict[str, Any]] = {}
    for name, table in slice_counts(predictions, threshold).items():
        frames, ads = int(table.counts.sum()), int(table.counts[:, [0, 2]].sum())
        found[name] = {metric: interval.model_dump() for metric, interval in metric_intervals(table).items()}
        found[name] |= {"frames": frames, "ad_share": ads / frames}
    return found


def slice_counts(predictions: Predictions, threshold: float) -> dict[str, RecordingCounts]:
    """Return right and wrong of each slice that has both ads and content, by recording."""
    frames, called = predictions.frames, predictions.all_scores >= np.float32(threshold)
    return {
        name: count_by_recording(frames.recording_ids[mask], frames.labels[mask], called[mask])
        for name, mask in slice_masks(frames)
        if len(np.unique(frames.labels[mask])) == 2
    }


def slice_masks(frames: SplitFrames) -> Iterator[tuple[str, Mask]]:
    """Yield the name of each slice and its frames, bool [all frames]."""
    scored = frames.scored
    for field, values in (("channel", frames.channels), ("genre", frames.genres), ("show", frames.shows)):
        for value in sorted({str(value) for value in values[scored] if value}):
            yield f"{field}={value}", scored & (values == value)
    if frames.seen.any():
        yield "creatives=seen", (frames.seen & (frames.labels == 1)) | (scored & (frames.labels == 0))
        yield "surroundings=unseen", scored & ~near_seen(frames)


def near_seen(frames: SplitFrames) -> Mask:
    """Tell which frames have a seen creative within five seconds of the same recording."""
    near = np.zeros(len(frames.labels), bool)
    for _, part in frames.recordings():
        pts, seen = frames.pts_seconds[part], frames.seen_creatives[part]
        sums = np.concatenate([[0], np.cumsum(seen)])
        low = np.searchsorted(pts, pts - SURROUNDING_SECONDS, side="left")
        high = np.searchsorted(pts, pts + SURROUNDING_SECONDS, side="right")
        near[part] = sums[high] > sums[low]
    return near
