"""Frame scores judged as ad breaks: which breaks they make, which of those are there, how far their edges are off.

    judged = judge_breaks(predictions, threshold, listing)
    break_figures(judged)["f1"]                                # {'value': 0.83, 'low': 0.71, ...}

Breaks are made by the plainest rule that works, the same for every model, so that models can be compared as events: a
second belongs to a break when most frames of the 15 s around it are scored as ads. ``detection`` does this much better;
what is judged here is the model. True breaks come from the labels, at their exact times.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.data.dataset_listing import Listing
from ml_training.statistics.breaks import (
    BreakMatches,
    Span,
    break_scores,
    false_minutes_per_hour,
    false_seconds,
    judge_found,
)
from ml_training.training.predictions import Predictions
from ml_training.training.split_frames import SplitFrames
from ml_training.utils.records import Interval

Array = npt.NDArray[Any]

WINDOW_SECONDS = 15.0  # of the majority vote: a spot's usual length
SHORTEST_BREAK_SECONDS = 10.0  # the shortest spot
SLICES = ("channel", "genre", "show")


class RecordingBreaks(NamedTuple):
    """The breaks of one recording; ``unscored`` is its time that is neither ad nor content."""

    recording_id: str
    channel: str
    genre: str
    show: str
    duration_seconds: float
    true: list[Span]
    found: list[Span]
    unscored: list[Span]
    matches: BreakMatches
    seen_shares: list[float]  # of each true break: the share of its ads whose creative training has seen

    @property
    def false_seconds(self) -> float:
        """Seconds of found breaks that are content."""
        return false_seconds(self.true, self.found, self.unscored)


def plain_breaks(pts_seconds: Array, scores: Array, threshold: float, spacing_seconds: float = 1.0) -> list[Span]:
    """Return the breaks that scores [N] of one recording make; times [N] in order.

    A majority vote, not a mean: its edges lie where the votes change, whatever the threshold.
    """
    votes = np.concatenate([[0], np.cumsum(scores >= np.float32(threshold))])
    half = WINDOW_SECONDS / 2
    low = np.searchsorted(pts_seconds, pts_seconds - half, side="left")
    high = np.searchsorted(pts_seconds, pts_seconds + half, side="right")
    ads = 2 * (votes[high] - votes[low]) > high - low
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ads, [False]]).astype(np.int8)))
    spans = [
        (float(pts_seconds[first]), float(pts_seconds[end - 1]) + spacing_seconds)
        for first, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    return [(start, end) for start, end in spans if end - start >= SHORTEST_BREAK_SECONDS]


def judge_breaks(predictions: Predictions, threshold: float, listing: Listing) -> list[RecordingBreaks]:
    """Judge every recording of a split; ``listing`` is the dataset version's, whose labels are exact."""
    spacing = predictions.frames.spacing_seconds()
    return [
        _judge_recording(
            predictions.frames.take(part),
            predictions.all_scores[part],
            threshold,
            labels=_labels(listing, name),
            spacing=spacing,
        )
        for name, part in predictions.frames.recordings()
    ]


def break_figures(judged: Sequence[RecordingBreaks]) -> dict[str, Any]:
    """Return the figures of all recordings as JSON has them, and the F1 of each channel, genre and show with breaks."""
    scores = break_scores([recording.matches for recording in judged])
    wrong = [recording.false_seconds for recording in judged]
    return {
        "true_breaks": sum(len(recording.true) for recording in judged),
        "found_breaks": sum(len(recording.found) for recording in judged),
        **scores.as_dict(),
        "false_minutes_per_hour": false_minutes_per_hour(
            wrong, [recording.duration_seconds for recording in judged]
        ).model_dump(),
        "recall_by_creatives": {name: value.model_dump() for name, value in recall_by_creatives(judged).items()},
        "by_slice": {name: value.model_dump() for name, value in break_slices(judged)},
    }


def break_slices(judged: Sequence[RecordingBreaks]) -> Iterable[tuple[str, Interval]]:
    """Yield the break F1 of every channel, genre and show, by ``channel=name``; those without breaks are left out."""
    for field in SLICES:
        for value in sorted({getattr(recording, field) for recording in judged} - {""}):
            chosen = [recording for recording in judged if getattr(recording, field) == value]
            if any(recording.true for recording in chosen):
                yield f"{field}={value}", break_scores([recording.matches for recording in chosen]).f1


def recall_by_creatives(judged: Sequence[RecordingBreaks]) -> dict[str, Interval]:
    """Return how many breaks are found of those whose ads training has mostly seen, and of the others."""
    found = {}
    for name, wanted in (("seen", True), ("unseen", False)):
        parts = [_only(recording, seen=wanted) for recording in judged]
        if any(part.pairs or part.missed for part in parts):
            found[name] = break_scores(parts).recall
    return found


def as_rows(judged: Sequence[RecordingBreaks]) -> list[dict[str, Any]]:
    """Return what is stored of each recording: its breaks, true and found, and what came of them."""
    return [
        {
            "recording_id": recording.recording_id,
            "channel": recording.channel,
            "duration_seconds": round(recording.duration_seconds, 3),
            "true": _rounded(recording.true),
            "found": _rounded(recording.found),
            "missed": _rounded(recording.matches.missed),
            "false": _rounded(recording.matches.false),
            "false_seconds": round(recording.false_seconds, 3),
        }
        for recording in judged
    ]


def _judge_recording(
    frames: SplitFrames, scores: Array, threshold: float, *, labels: list[tuple[float, float, str]], spacing: float
) -> RecordingBreaks:
    duration = float(frames.pts_seconds[-1]) + spacing
    judged = judge_found(labels, plain_breaks(frames.pts_seconds, scores, threshold, spacing), duration)
    return RecordingBreaks(
        recording_id=str(frames.recording_ids[0]),
        channel=str(frames.channels[0]),
        genre=str(frames.genres[0]),
        show=str(frames.shows[0]),
        duration_seconds=duration,
        seen_shares=[_seen_share(frames, span) for span in judged.true],
        **judged._asdict(),
    )


def _labels(listing: Listing, recording_id: str) -> list[tuple[float, float, str]]:
    """Return the labels of a recording as the dataset's config takes them: ad, content or ignore."""
    classes: dict[str, str] = {str(label): taken for label, taken in listing.data.label_classes.items()}
    segments = listing.recordings[recording_id].labels
    return [(s.start_seconds, s.end_seconds, classes.get(s.label, "ignore")) for s in segments]


def _seen_share(frames: SplitFrames, span: Span) -> float:
    first, end = np.searchsorted(frames.pts_seconds, span)
    ads = frames.labels[first:end] == 1
    return float(np.mean(frames.seen_creatives[first:end][ads])) if ads.any() else 0.0


def _only(recording: RecordingBreaks, *, seen: bool) -> BreakMatches:
    """Return the matches of true breaks of seen or of unseen creatives; false ones belong to neither."""
    wanted = {span for span, share in zip(recording.true, recording.seen_shares, strict=True) if (share >= 0.5) == seen}
    matches = recording.matches
    pairs = [pair for pair in matches.pairs if pair[0] in wanted]
    return BreakMatches(pairs, [span for span in matches.missed if span in wanted], [])


def _rounded(spans: Iterable[Span]) -> list[list[float]]:
    return [[round(start, 3), round(end, 3)] for start, end in spans]
