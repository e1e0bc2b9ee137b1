"""Made-up recordings in numbers: programme and spots that differ in what a detector looks at."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from ml_training.detection.calibration import UNCHANGED
from ml_training.detection.detector import DetectorCard, store_detector
from ml_training.detection.features import COLUMNS, Cues, RecordingFeatures
from ml_training.detection.learning import Lesson

SPOTS = (10, 15, 20, 30)


def _made_up_lesson(seed: int, *, seconds: int = 240, has_ads: bool = True, strength: float = 1.5) -> Lesson:
    """A recording with one break of three or four spots; some columns tell ads, some edges, the others nothing."""
    rng = np.random.default_rng(seed)
    lengths = rng.choice(SPOTS, rng.integers(3, 5)) if has_ads else np.zeros(0, int)
    start = int(rng.integers(60, seconds - 60 - lengths.sum())) if has_ads else seconds
    times = [float(t) + 0.4 for t in start + np.concatenate([[0], np.cumsum(lengths)])]
    spans = [(0.0, times[0] if has_ads else float(seconds), "content")]
    spans += [(low, high, "ad") for low, high in itertools.pairwise(times)]
    spans += [(times[-1], float(seconds), "content")] if has_ads else []
    groups = {name: rng.standard_normal((seconds, len(own))).astype(np.float32) for name, own in COLUMNS.items()}
    groups["within"][:], groups["archive"][:] = 0, 0
    inside = slice(round(times[0]), round(times[-1])) if has_ads else slice(0, 0)
    groups["picture"][inside] += strength
    groups["sound"][inside, :4] += strength
    groups["archive"][inside, 0] = 1
    edges = [round(t) for t in times] if has_ads else []
    groups["sound"][edges, COLUMNS["sound"].index("jump_3")] += 4
    groups["separators"][edges, 0] += 4
    cues = Cues(
        np.arange(seconds, dtype=float), np.zeros(seconds, np.float32), np.zeros(seconds, bool), _level(seconds, times)
    )
    features = RecordingFeatures(f"made-up-{seed}", float(seconds), groups, cues)
    return Lesson(features, spans, f"channel-{seed % 5}")


def _level(seconds: int, times: list[float]) -> np.ndarray:
    level = np.full(seconds * 50, -20, np.int8)
    for time in times:
        level[round(time * 50) - 3 : round(time * 50) + 3] = -80
    return level


def _without_groups(lesson: Lesson, *names: str) -> Lesson:
    """The same recording without some groups."""
    groups = {name: values for name, values in lesson.features.groups.items() if name not in names}
    return replace(lesson, features=replace(lesson.features, groups=groups))


def _stored(detector, folder):
    """Store a detector with a card and return its folder."""
    card = DetectorCard(
        durations=detector.durations,
        weights=detector.weights,
        calibration=UNCHANGED,
        dataset_id="0" * 16,
        frame_model=None,
        recordings=1,
        scores={},
        identity="1" * 16,
        created_at=datetime.now(UTC),
    )
    store_detector(str(folder), detector, card)
    return str(folder)


@pytest.fixture(scope="session")
def made_up_lesson():
    """Make a recording: ``made_up_lesson(seed, seconds=240, has_ads=True, strength=1.5)``."""
    return _made_up_lesson


@pytest.fixture(scope="session")
def without_groups():
    """Take groups of features away from a lesson."""
    return _without_groups


@pytest.fixture(scope="session")
def stored():
    """Store a detector with a card in a folder and return its address."""
    return _stored
