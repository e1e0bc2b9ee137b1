"""Learns a detector from recordings with features and labels, and says how good it is on channels it left out.

    learned = learn_detector([Lesson(features, spans, "channel-01", repeats), ...])
    learned.detector, learned.scores["alone"]["break_f1"]

The channels are dealt into folds. For each fold a network learns without it and judges it; these judgements choose how
much evidence counts in decoding, and give the scores. All networks together are the detector: nothing is learned again.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ml_training.detection.detector import Detector, Weights
from ml_training.detection.durations import LabelSpan, learn_durations
from ml_training.detection.edges import average, learn_edges
from ml_training.detection.evidence import Repeat, repetition
from ml_training.detection.features import Floats, RecordingFeatures, assemble, matrix
from ml_training.detection.records import Break, spans_of
from ml_training.detection.sequence import SequenceModel
from ml_training.detection.sequence_training import Example, Schedule, learn, statistics
from ml_training.detection.targets import covered, targets_of
from ml_training.statistics.breaks import JudgedBreaks, break_scores, false_minutes_per_hour, judge_found
from ml_training.utils.metrics import Counts

logger = logging.getLogger(__name__)

FOLDS = 5
ARCHIVE_SHARES = (0.5, 0.2)  # of the other recordings that smaller archives have
CONDITIONS: dict[str, tuple[str, ...]] = {  # what is taken away
    "archive": (),
    "alone": ("archive",),
    "alone, silent": ("archive", "sound", "separators"),
}
TUNED_ON = ("archive", "alone")
GRID = {
    "ads": (0.08, 0.15, 0.25, 0.4, 0.6, 1.0),
    "bias": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "edges": (0.0, 0.25, 0.5, 1.0),
    "least_confidence": (0.3, 0.5, 0.65),
}
ROUNDS = 2


@dataclass(frozen=True)
class Lesson:
    """A recording to learn from: features with all of the archive, labels, and what the features' repeats came from."""

    features: RecordingFeatures
    spans: Sequence[LabelSpan]
    channel: str
    repeats: Sequence[Repeat] = ()


class Judgement(NamedTuple):
    """Log odds of an ad and of an edge [T] that a network gave which had not learned the recording."""

    ads: Floats
    edges: Floats


class Learned(NamedTuple):
    """A detector and its scores on channels left out, by condition."""

    detector: Detector
    scores: dict[str, dict[str, float | None]]


def learn_detector(lessons: Sequence[Lesson], *, schedule: Schedule = Schedule(), seed: int = 1) -> Learned:  # noqa: B008 (frozen)
    """Learn networks, durations and weights. Needs recordings of two channels or more, with ads and content."""
    examples = [example_of(lesson, seed + number) for number, lesson in enumerate(lessons)]
    mean, scale = statistics(examples)
    parts = folds([lesson.channel for lesson in lessons], FOLDS)
    members, edges = [], []
    judged: dict[str, dict[int, Judgement]] = {name: {} for name in CONDITIONS}
    for number, left_out in enumerate(parts):
        logger.info("learning network %d of %d, %d recordings left out", number + 1, len(parts), len(left_out))
        others = [examples[i] for i in range(len(examples)) if i not in left_out]
        members.append(learn(others, mean, scale, schedule=schedule, seed=seed + number))
        edges.append(learn_edges([(e.variants[0], e.targets.edges, e.targets.edge_weights) for e in others]))
        alone = SequenceModel(mean, scale, members[-1:], edges[-1])
        for name, without in CONDITIONS.items():
            for i in left_out:
                judged[name][i] = Judgement(*alone.log_odds(matrix(lessons[i].features, without=without)))
    durations = learn_durations([lesson.spans for lesson in lessons])
    detector = Detector(SequenceModel(mean, scale, members, average(edges)), durations)
    detector = replace(detector, weights=tune(detector, lessons, [judged[name] for name in TUNED_ON]))
    scores = {name: score(lessons, decided(detector, lessons, found)) for name, found in judged.items()}
    return Learned(detector, scores)


def example_of(lesson: Lesson, seed: int) -> Example:
    """Return what the network learns from: the features as they are, and as smaller archives would give them."""
    features, rng = lesson.features, np.random.default_rng(seed)
    variants = [matrix(features)]
    others = sorted({repeat.other for repeat in lesson.repeats if repeat.other != features.recording_id})
    for share in ARCHIVE_SHARES if "archive" in features.groups else ():
        kept = [name for name in others if rng.random() < share]
        columns = repetition(features.recording_id, lesson.repeats, features.seconds, within=False, others=kept)
        variants.append(assemble({**features.groups, "archive": columns}, features.seconds))
    return Example(variants, targets_of(lesson.spans, features.seconds), lesson.channel)


def folds(channels: Sequence[str], count: int) -> list[list[int]]:
    """Deal the channels into at most ``count`` folds of like size; returns the numbers of the recordings in each."""
    names = sorted(set(channels), key=lambda name: (-channels.count(name), name))
    parts: list[list[int]] = [[] for _ in range(min(count, len(names)))]
    for name in names:
        smallest = min(parts, key=len)
        smallest += [number for number, channel in enumerate(channels) if channel == name]
    return parts


def decided(detector: Detector, lessons: Sequence[Lesson], judged: dict[int, Judgement]) -> list[list[Break]]:
    """Return the breaks of every recording, from what networks said that had not learned it."""
    return [detector.decide(lesson.features, *judged[number]).breaks for number, lesson in enumerate(lessons)]


def tune(detector: Detector, lessons: Sequence[Lesson], judged: Sequence[dict[int, Judgement]]) -> Weights:
    """Choose the weights of decoding, one after the other, by frame F1 and break F1 together."""
    best, best_worth = detector.weights, -1.0
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            for value in values:
                weights = best.model_copy(update={name: value})
                worth = _worth(replace(detector, weights=weights), lessons, judged)
                if worth > best_worth + 1e-6:
                    best, best_worth = weights, worth
    logger.info("weights of decoding: %s, worth %.4f", best, best_worth)
    return best


def _worth(detector: Detector, lessons: Sequence[Lesson], judged: Iterable[dict[int, Judgement]]) -> float:
    found = [_quick(lessons, decided(detector, lessons, own)) for own in judged]
    return float(np.mean(found))


def _quick(lessons: Sequence[Lesson], found: Sequence[list[Break]]) -> float:
    counts = _counts(lessons, found)
    pairs = wrong = 0
    for lesson, breaks in zip(lessons, found, strict=True):
        matches = _judged(lesson, breaks).matches
        pairs += 2 * len(matches.pairs)
        wrong += len(matches.missed) + len(matches.false)
    return 0.6 * counts.f1 + 0.4 * pairs / max(1, pairs + wrong)


def score(lessons: Sequence[Lesson], found: Sequence[list[Break]]) -> dict[str, float | None]:
    """Return frame and break figures of the breaks found in every recording."""
    counts = _counts(lessons, found)
    judged = [_judged(lesson, breaks) for lesson, breaks in zip(lessons, found, strict=True)]
    durations = [lesson.features.duration_seconds for lesson in lessons]
    figures: dict[str, float | None] = {
        "frame_precision": counts.precision,
        "frame_recall": counts.recall,
        "frame_f1": counts.f1,
        "frame_mcc": counts.mcc,
        "false_minutes_per_hour": false_minutes_per_hour([one.false_seconds for one in judged], durations).value,
    }
    events = break_scores([one.matches for one in judged])
    median = events.median_boundary_error_seconds
    figures |= {"break_precision": events.precision.value, "break_recall": events.recall.value}
    figures |= {"break_f1": events.f1.value, "median_boundary_error_seconds": median.value if median else None}
    return {name: None if value is None else round(float(value), 4) for name, value in figures.items()}


def _judged(lesson: Lesson, breaks: list[Break]) -> JudgedBreaks:
    return judge_found(lesson.spans, spans_of(breaks), lesson.features.duration_seconds)


def _counts(lessons: Sequence[Lesson], found: Sequence[list[Break]]) -> Counts:
    """Count seconds: those that a label says are mostly ad or content, against the breaks."""
    labels, said = [], []
    for lesson, breaks in zip(lessons, found, strict=True):
        seconds = lesson.features.seconds
        ad, content = (
            covered([(s, e) for s, e, label in lesson.spans if label == wanted], seconds)
            for wanted in ("ad", "content")
        )
        scored = np.maximum(ad, content) > 0.5
        labels.append((ad > 0.5)[scored])
        said.append((covered(spans_of(breaks), seconds) > 0.5)[scored])
    return Counts.of(np.concatenate(labels), np.concatenate(said))
