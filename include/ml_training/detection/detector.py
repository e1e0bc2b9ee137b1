"""From the features of a recording to its ad breaks.

    detector, card = load_detector("s3://adbreak/detectors/general")
    breaks = detector.detect(features)                       # list[Break], in order
    verdict = detector.judge(features)                       # beside the breaks: the chance of an ad in every second

A detector is a folder: ``detector.json`` (durations, how much the evidence counts, what it was learned from),
``sequence.npz`` (the sequence model) and, as a rule, ``frame_model/``, the model of frames that it learned with.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from ml_training.cloud import storage
from ml_training.detection.boundaries import CloseLook, snap
from ml_training.detection.calibration import Calibration
from ml_training.detection.decode import Course, Run, decode
from ml_training.detection.durations import DurationModel, customary
from ml_training.detection.features import Floats, RecordingFeatures, matrix
from ml_training.detection.plain import PlainSequence
from ml_training.detection.records import Break
from ml_training.detection.sequence import SequenceModel
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.records import Record

CARD_NAME, SEQUENCE_NAME, FRAME_MODEL = "detector.json", "sequence.npz", "frame_model"
EDGE_LIMIT = 4.0  # log odds of an edge count no more than this, either way
LEAST_SECONDS = 3.0  # a shorter break is none

LookCloser = Callable[[Sequence[float]], list[CloseLook | None]]  # at boundaries, in seconds


class Weights(Record):
    """How much the evidence counts in decoding; chosen on recordings that the sequence model did not learn."""

    ads: float = Field(0.3, gt=0)  # of the log odds of each second: neighbours say the same thing again
    bias: float = 0.0  # taken from those log odds
    edges: float = Field(0.5, ge=0)  # of the log odds of an edge
    least_confidence: float = Field(0.5, ge=0, le=1)  # a break below it is left out


WEIGHTS = Weights()


class DetectorCard(Record):
    """What is known of a detector."""

    version: Literal[1] = 1
    durations: DurationModel
    weights: Weights
    calibration: Calibration  # of the model of frames
    dataset_id: str
    frame_model: str | None  # address of the model of frames that it was learned with; None: without pictures' scores
    recordings: int
    scores: dict[str, dict[str, float | None]]  # on channels left out in turn, with all groups of features and without
    identity: str  # hash of all that it was learned from
    created_at: datetime


class Verdict(NamedTuple):
    """What a detector says of a recording. ``ad_share`` [T] is the chance of an ad in each second."""

    breaks: list[Break]
    ad_share: Floats
    course: Course


@dataclass(frozen=True)
class Detector:
    """Sequence model, durations and weights; the same recording always gives the same breaks."""

    sequence: SequenceModel | PlainSequence
    durations: DurationModel
    weights: Weights = WEIGHTS

    def detect(self, features: RecordingFeatures, *, look: LookCloser | None = None) -> list[Break]:
        """Return the breaks of a recording; none is an answer. ``look`` shows every frame around a boundary."""
        return self.judge(features, look=look).breaks

    def judge(
        self, features: RecordingFeatures, *, look: LookCloser | None = None, without: Collection[str] = ()
    ) -> Verdict:
        """Return breaks and the chance of an ad in each second; ``without`` leaves groups of columns out."""
        ads, edges = self.sequence.log_odds(matrix(features, without=without))
        return self.decide(features, ads, edges, look=look)

    def decide(
        self, features: RecordingFeatures, ads: Floats, edges: Floats, *, look: LookCloser | None = None
    ) -> Verdict:
        """Return the verdict that log odds of an ad and of an edge [T] give, whoever computed them."""
        evidence = self.weights.ads * (ads - self.weights.bias)
        if features.known is not None:
            evidence = evidence + features.known
        changes = self.weights.edges * np.clip(edges, -EDGE_LIMIT, EDGE_LIMIT)
        course = decode(evidence, changes, self.durations)
        likely = [
            (spots, confidence)
            for spots in spots_of_breaks(course.runs)
            if (confidence := float(course.ad_share[spots[0].start : spots[-1].end].mean()))
            >= self.weights.least_confidence
        ]
        looks = _look_closer([spots for spots, _ in likely], features, look)
        breaks = [made for spots, confidence in likely if (made := _break(features, spots, confidence, looks))]
        return Verdict(without_overlaps(breaks), course.ad_share.astype(np.float32), course)


def _look_closer(
    breaks: Sequence[Sequence[Run]], features: RecordingFeatures, look: LookCloser | None
) -> dict[float, CloseLook | None]:
    """Return the frames around the outer boundaries of breaks, but for the ends of the recording."""
    outer = {float(time) for spots in breaks for time in (spots[0].start, spots[-1].end)}
    times = sorted(outer - {0.0, float(features.seconds)})
    return dict(zip(times, look(times), strict=True)) if look is not None else {}


def _break(
    features: RecordingFeatures, spots: Sequence[Run], confidence: float, looks: Mapping[float, CloseLook | None]
) -> Break | None:
    times = [float(spot.start) for spot in spots] + [float(spots[-1].end)]
    outer = snapped(times, features, looks)
    start, end, inner = outer[0], outer[-1], outer[1:-1]
    if end - start < LEAST_SECONDS:
        return None
    kept = sorted({round(time, 3) for time in inner if start + 1 < time < end - 1})
    return Break(
        start_seconds=round(start, 3),
        end_seconds=round(end, 3),
        confidence=round(min(1.0, confidence), 4),
        spots=(round(start, 3), *kept),
    )


def snapped(
    times: Sequence[float], features: RecordingFeatures, looks: Mapping[float, CloseLook | None]
) -> list[float]:
    """Return the boundaries of a break where they are; the ends of the recording stay. Only the outer two are looked at
    closely."""
    ends = {0.0, float(features.seconds)}
    last = len(times) - 1
    exact = snap(times, features.cues, [looks.get(t) if n in (0, last) else None for n, t in enumerate(times)])
    moved = [t if t in ends else e for t, e in zip(times, exact, strict=True)]
    return [float(np.clip(t, 0.0, features.duration_seconds)) for t in moved]


def spots_of_breaks(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs of ads that follow each other without programme between, break by break."""
    found: list[list[Run]] = []
    for before, run in zip([None, *runs], runs, strict=False):
        if run.is_ad and before is not None and before.is_ad:
            found[-1].append(run)
        elif run.is_ad:
            found.append([run])
    return found


def without_overlaps(breaks: Sequence[Break]) -> list[Break]:
    """Return breaks of which none overlaps the one before: two that do become one."""
    kept: list[Break] = []
    for found in breaks:
        if kept and found.start_seconds <= kept[-1].end_seconds:
            last = kept[-1]
            weights = (last.duration_seconds, found.duration_seconds)
            kept[-1] = Break(
                start_seconds=last.start_seconds,
                end_seconds=max(last.end_seconds, found.end_seconds),
                confidence=round(float(np.average([last.confidence, found.confidence], weights=weights)), 4),
                spots=tuple(sorted({*last.spots, *(s for s in found.spots if s > last.start_seconds)})),
            )
        else:
            kept.append(found)
    return kept


def store_detector(folder: str, detector: Detector, card: DetectorCard) -> None:
    """Write a detector, the card last."""
    assert isinstance(detector.sequence, SequenceModel)
    storage.write_bytes(storage.join(folder, SEQUENCE_NAME), detector.sequence.to_bytes())
    storage.write_json(storage.join(folder, CARD_NAME), card.model_dump(mode="json"))


def load_detector(folder: str) -> tuple[Detector, DetectorCard]:
    """Read a detector and its card. Raises ModelError when the folder holds none."""
    try:
        card = DetectorCard.model_validate(storage.read_json(storage.join(folder, CARD_NAME)))
        sequence = SequenceModel.from_bytes(storage.read_bytes(storage.join(folder, SEQUENCE_NAME)))
    except ObjectNotFound as error:
        raise ModelError(f"{folder} is no detector: expected {CARD_NAME} and {SEQUENCE_NAME} in it") from error
    except ValidationError as error:
        raise ModelError(f"{folder}/{CARD_NAME} is not a detector's card: learn it again: {error}") from error
    return Detector(sequence, card.durations, card.weights), card


def plain_detector() -> Detector:
    """Return a detector that has learned nothing: for a model of frames without a detector of its own."""
    return Detector(PlainSequence(), customary(), Weights(ads=0.15, edges=0.5))
