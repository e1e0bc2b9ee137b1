"""What a detector is learned from, and under which conditions it is judged.

    lesson = Lesson(features, spans, "channel-01", repeats, sparse)
    lesson.seen(keyframes=True)           # the features of its keyframes
    lesson.without_ads()                  # the same recording with its breaks cut out

A recording without ads has to come back empty. Few archives hold labelled ones, so recordings without their breaks
stand in for them: trailers, idents and title sequences stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.detection.durations import LabelSpan
from ml_training.detection.evidence import Repeat
from ml_training.detection.features import Cues, RecordingFeatures
from ml_training.detection.targets import targets_of
from ml_training.statistics.breaks import breaks_of

LEAST_QUIET_SECONDS = 30  # what is left of a recording without its breaks, if it is to be judged


class Condition(NamedTuple):
    """How a recording is judged: from keyframes alone, without some groups of features, without its breaks."""

    keyframes: bool = False
    without: tuple[str, ...] = ()
    cut: bool = False


CONDITIONS = {
    "archive": Condition(),
    "alone": Condition(without=("archive",)),
    "archive, keyframes": Condition(keyframes=True),
    "alone, keyframes": Condition(keyframes=True, without=("archive",)),
    "alone, silent": Condition(without=("archive", "sound", "separators")),
    "without ads, archive": Condition(cut=True),
    "without ads, alone": Condition(without=("archive",), cut=True),
    "without ads, archive, keyframes": Condition(keyframes=True, cut=True),
    "without ads, alone, keyframes": Condition(keyframes=True, without=("archive",), cut=True),
}
TUNED_ON = tuple(name for name, condition in CONDITIONS.items() if "sound" not in condition.without)


@dataclass(frozen=True)
class Lesson:
    """A recording to learn from: features with all of the archive, labels, and what the features' repeats came from.

    ``sparse`` are the features that its keyframes give; None where they are no others.
    """

    features: RecordingFeatures
    spans: Sequence[LabelSpan]
    channel: str
    repeats: Sequence[Repeat] = ()
    sparse: RecordingFeatures | None = None

    @property
    def views(self) -> list[RecordingFeatures]:
        """The features of all frames and, where they are others, those of keyframes."""
        return [view for view in (self.features, self.sparse) if view is not None]

    def seen(self, *, keyframes: bool) -> RecordingFeatures:
        """Return the features of all frames, or those of keyframes."""
        return self.sparse if keyframes and self.sparse is not None else self.features

    def without_ads(self) -> "Lesson | None":
        """Return the recording without its breaks; None where hardly anything is left.

        Cues within seconds are gone, so its boundaries are not snapped.
        """
        kept = targets_of(self.spans, self.features.seconds).ads < 0.5
        if kept.sum() < LEAST_QUIET_SECONDS:
            return None
        full, sparse = (cut(self.seen(keyframes=keyframes), kept) for keyframes in (False, True))
        breaks = breaks_of(self.spans)
        spans = [
            (earlier(start, breaks), earlier(end, breaks), label)
            for start, end, label in self.spans
            if not any(low <= start and end <= high for low, high in breaks)
        ]
        return Lesson(full, spans, self.channel, sparse=sparse)


def cut(features: RecordingFeatures, kept: npt.NDArray[np.bool_]) -> RecordingFeatures:
    """Return the features of the seconds ``kept`` [T] as those of a recording of its own, without exact cues."""
    groups = {name: rows[kept] for name, rows in features.groups.items()}
    nothing = Cues(np.zeros(0), np.zeros(0, np.float32), np.zeros(0, bool), np.zeros(0, np.int8))
    return RecordingFeatures(features.recording_id, float(kept.sum()), groups, nothing)


def earlier(time: float, breaks: Sequence[tuple[float, float]]) -> float:
    """Return where a time lies once the breaks before it are cut out."""
    return time - sum(max(0.0, min(end, time) - start) for start, end in breaks if start < time)
