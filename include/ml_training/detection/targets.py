"""What the labels of a recording say of each second: the targets of the sequence model.

    targets = targets_of([(0.0, 300.0, "content"), (300.0, 330.0, "ad"), ...], seconds=3600)

A second belongs to a break as ``statistics.breaks`` counts them, so a promo between two spots is part of it. What is
neither ad nor content at the ends of a break weighs nothing, nor does a second that holds a boundary, in proportion.
"""

from collections.abc import Sequence

import numpy as np

from ml_training.detection.durations import LabelSpan
from ml_training.detection.features import Floats
from ml_training.detection.sequence_training import Targets
from ml_training.statistics.breaks import breaks_of
from ml_training.utils.records import Segment

AD_WEIGHT = 1.5  # ads are the smaller part of television
NEAR_EDGE_SECONDS = 1  # seconds beside an edge that are neither taught as one nor as none


def spans_of_labels(segments: Sequence[Segment]) -> list[LabelSpan]:
    """Return segments as (start, end, label)."""
    return [(segment.start_seconds, segment.end_seconds, segment.label) for segment in segments]


def targets_of(spans: Sequence[LabelSpan], seconds: int) -> Targets:
    """Return values and weights, float32 [seconds] each."""
    ads = covered([(start, end) for start, end in breaks_of(spans)], seconds)
    scored = np.maximum(covered([(s, e) for s, e, label in spans if label in ("ad", "content")], seconds), ads)
    clear = np.abs(ads - 0.5) * 2
    weights = scored * clear * np.where(ads > 0.5, AD_WEIGHT, 1.0)
    edges, edge_weights = _edges(spans, seconds)
    return Targets((ads > 0.5).astype(np.float32), weights.astype(np.float32), edges, edge_weights * (scored > 0))


def _edges(spans: Sequence[LabelSpan], seconds: int) -> tuple[Floats, Floats]:
    values, weights = np.zeros(seconds, np.float32), np.ones(seconds, np.float32)
    for start, end, label in spans:
        for time in (start, end):
            place = round(time)
            if 0 < place < seconds:
                near = slice(max(0, place - NEAR_EDGE_SECONDS), place + NEAR_EDGE_SECONDS + 1)
                weights[near] = np.where(values[near] > 0, weights[near], 0.0)
                if label == "ad":
                    values[place] = weights[place] = 1.0
    return values, weights


def covered(spans: Sequence[tuple[float, float]], seconds: int) -> Floats:
    """Return the share of each second that spans cover, float32 [seconds]; spans do not overlap."""
    share = np.zeros(seconds + 1, np.float64)
    grid = np.arange(seconds + 1, dtype=np.float64)
    for start, end in spans:
        share[:-1] += np.clip(np.minimum(grid[1:], end) - np.maximum(grid[:-1], start), 0, 1)
    return np.minimum(share[:-1], 1).astype(np.float32)
