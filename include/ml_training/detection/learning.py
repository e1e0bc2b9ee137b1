"""Learns a detector from recordings with features and labels, and says how good it is on channels it left out.

    learned = learn_detector([Lesson(features, spans, "channel-01", repeats), ...])
    learned.detector, learned.scores["alone"]["break_f1"]

The channels are dealt into folds. For each fold a network learns without it and judges it; these judgements choose how
much evidence counts in decoding, and give the scores. All networks together are the detector: nothing is learned again.

Each recording is learned and judged with a frame a second and with keyframes alone; and judged again with its breaks
cut out, since a recording without ads has to come back empty.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ml_training.data.workers import WorkerPool
from ml_training.detection.detector import Detector, Weights
from ml_training.detection.durations import LabelSpan, learn_durations
from ml_training.detection.edges import average, learn_edges
from ml_training.detection.evidence import repetition
from ml_training.detection.features import Floats, RecordingFeatures, assemble, matrix
from ml_training.detection.lessons import CONDITIONS, TUNED_ON, Condition, Lesson
from ml_training.detection.records import Break, spans_of
from ml_training.detection.sequence import SequenceModel
from ml_training.detection.sequence_training import Example, Schedule, learn, statistics
from ml_training.detection.targets import covered, targets_of
from ml_training.statistics.breaks import JudgedBreaks, break_scores, false_minutes_per_hour, judge_found
from ml_training.utils.metrics import Counts

logger = logging.getLogger(__name__)

FOLDS = 5
ARCHIVE_SHARES = (0.5, 0.2)  # of the other recordings that smaller archives have
GRID = {
    "ads": (0.08, 0.15, 0.25, 0.4, 0.6, 1.0),
    "bias": (-1.0, -0.5, 0.0, 0.5, 1.0),
    "edges": (0.0, 0.25, 0.5, 1.0),
    "least_confidence": (0.3, 0.5, 0.65),
}
ROUNDS = 2
SHARE = 16  # recordings that a worker takes at a time


class Judged(NamedTuple):
    """A recording, and the log odds of an ad and of an edge [T] that a network gave which had not learned it."""

    features: RecordingFeatures
    spans: Sequence[LabelSpan]
    ads: Floats
    edges: Floats

    def breaks(self, detector: Detector) -> list[Break]:
        """Return the breaks that a detector's durations and weights make of it."""
        return detector.decide(self.features, self.ads, self.edges).breaks


class Learned(NamedTuple):
    """A detector and its scores on channels left out, by condition."""

    detector: Detector
    scores: dict[str, dict[str, float | None]]


def learn_detector(
    lessons: Sequence[Lesson],
    *,
    schedule: Schedule = Schedule(),  # noqa: B008 (frozen)
    seed: int = 1,
    cores: int = 1,
) -> Learned:
    """Learn networks, durations and weights. Needs recordings of two channels or more, with ads and content.

    ``cores`` share the decoding that chooses the weights; the result does not depend on them.
    """
    examples = [example_of(lesson, seed + number) for number, lesson in enumerate(lessons)]
    mean, scale = statistics(examples)
    edge_lessons = [_edge_lessons(lesson, example) for lesson, example in zip(lessons, examples, strict=True)]
    quiet = [lesson.without_ads() for lesson in lessons]
    parts = folds([lesson.channel for lesson in lessons], FOLDS)
    members, edges = [], []
    judged: dict[str, list[Judged]] = {name: [] for name in CONDITIONS}
    for number, left_out in enumerate(parts):
        logger.info("learning network %d of %d, %d recordings left out", number + 1, len(parts), len(left_out))
        others = [i for i in range(len(lessons)) if i not in left_out]
        members.append(learn([examples[i] for i in others], mean, scale, schedule=schedule, seed=seed + number))
        edges.append(learn_edges([lesson for i in others for lesson in edge_lessons[i]]))
        model = SequenceModel(mean, scale, members[-1:], edges[-1])
        for name, condition in CONDITIONS.items():
            shown = [quiet[i] if condition.cut else lessons[i] for i in left_out]
            judged[name] += [_judge(model, lesson, condition) for lesson in shown if lesson is not None]
    durations = learn_durations([lesson.spans for lesson in lessons])
    detector = Detector(SequenceModel(mean, scale, members, average(edges)), durations)
    chosen_by = [one for name in TUNED_ON for one in judged[name]]
    detector = replace(detector, weights=tune(detector, chosen_by, cores=cores))
    scores = {name: score(detector, found) for name, found in judged.items()}
    return Learned(detector, scores)


def example_of(lesson: Lesson, seed: int) -> Example:
    """Return what the network learns from: the features as they are, and as smaller archives would give them."""
    rng = np.random.default_rng(seed)
    others = sorted({repeat.other for repeat in lesson.repeats if repeat.other != lesson.features.recording_id})
    variants = []
    for features in lesson.views:
        variants.append(matrix(features))
        for share in ARCHIVE_SHARES if "archive" in features.groups else ():
            kept = [name for name in others if rng.random() < share]
            columns = repetition(features.recording_id, lesson.repeats, features.seconds, within=False, others=kept)
            variants.append(assemble({**features.groups, "archive": columns}, features.seconds))
    return Example(variants, targets_of(lesson.spans, lesson.features.seconds), lesson.channel)


def _edge_lessons(lesson: Lesson, example: Example) -> list[tuple[Floats, Floats, Floats]]:
    """Return what edges are learned from: rows of all frames and of keyframes."""
    targets = example.targets
    return [(matrix(features), targets.edges, targets.edge_weights) for features in lesson.views]


def folds(channels: Sequence[str], count: int) -> list[list[int]]:
    """Deal the channels into at most ``count`` folds of like size; returns the numbers of the recordings in each."""
    names = sorted(set(channels), key=lambda name: (-channels.count(name), name))
    parts: list[list[int]] = [[] for _ in range(min(count, len(names)))]
    for name in names:
        smallest = min(parts, key=len)
        smallest += [number for number, channel in enumerate(channels) if channel == name]
    return parts


def _judge(model: SequenceModel, lesson: Lesson, condition: Condition) -> Judged:
    features = lesson.seen(keyframes=condition.keyframes)
    log_odds = model.log_odds(matrix(features, without=condition.without))
    return Judged(replace(features, groups={}), lesson.spans, *log_odds)


def tune(detector: Detector, judged: Sequence[Judged], *, cores: int = 1) -> Weights:
    """Choose the weights of decoding, one after the other, by frame F1 and break F1 together."""
    best, tried = detector.weights, dict[Weights, float]()
    with WorkerPool(cores) as pool:
        for _ in range(ROUNDS):
            before = best
            for name, values in GRID.items():
                for weights in (best, *(best.model_copy(update={name: value}) for value in values)):
                    if weights not in tried:
                        tried[weights] = _worth(replace(detector, weights=weights), judged, pool)
                    if tried[weights] > tried[best] + 1e-6:
                        best = weights
            if best == before:
                break
    logger.info("weights of decoding: %s, worth %.4f", best, tried[best])
    return best


def _worth(detector: Detector, judged: Sequence[Judged], pool: WorkerPool) -> float:
    shares = [judged[start : start + SHARE] for start in range(0, len(judged), SHARE)]
    found = [breaks for share in pool.map(partial(_decided, detector), shares) for breaks in share]
    pairs = wrong = 0
    for one, breaks in zip(judged, found, strict=True):
        matches = _matched(one, breaks).matches
        pairs += 2 * len(matches.pairs)
        wrong += len(matches.missed) + len(matches.false)
    return 0.6 * _counts(judged, found).f1 + 0.4 * pairs / max(1, pairs + wrong)


def _decided(detector: Detector, judged: Sequence[Judged]) -> list[list[Break]]:
    return [one.breaks(detector) for one in judged]


def score(detector: Detector, judged: Sequence[Judged]) -> dict[str, float | None]:
    """Return frame and break figures of the breaks found; without ads only how many minutes are false."""
    found = [one.breaks(detector) for one in judged]
    matched = [_matched(one, breaks) for one, breaks in zip(judged, found, strict=True)]
    durations = [one.features.duration_seconds for one in judged]
    false = false_minutes_per_hour([one.false_seconds for one in matched], durations).value if matched else None
    figures: dict[str, float | None] = {"false_minutes_per_hour": false}
    if any(label == "ad" for one in judged for _, _, label in one.spans):
        counts, events = _counts(judged, found), break_scores([one.matches for one in matched])
        figures |= {f"frame_{name}": getattr(counts, name) for name in ("precision", "recall", "f1", "mcc")}
        figures |= {f"break_{name}": getattr(events, name).value for name in ("precision", "recall", "f1")}
        median = events.median_boundary_error_seconds
        figures["median_boundary_error_seconds"] = median.value if median else None
    return {name: None if value is None else round(float(value), 4) for name, value in figures.items()}


def _matched(one: Judged, breaks: list[Break]) -> JudgedBreaks:
    return judge_found(one.spans, spans_of(breaks), one.features.duration_seconds)


def _counts(judged: Sequence[Judged], found: Sequence[list[Break]]) -> Counts:
    """Count seconds: those that a label says are mostly ad or content, against the breaks."""
    labels, said = [], []
    for one, breaks in zip(judged, found, strict=True):
        seconds = one.features.seconds
        ad, content = (
            covered([(s, e) for s, e, label in one.spans if label == wanted], seconds) for wanted in ("ad", "content")
        )
        scored = np.maximum(ad, content) > 0.5
        labels.append((ad > 0.5)[scored])
        said.append((covered(spans_of(breaks), seconds) > 0.5)[scored])
    return Counts.of(np.concatenate(labels), np.concatenate(said))
