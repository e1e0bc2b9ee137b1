"""Recordings to detect breaks in: made up in numbers, and small real ones, with labels and a data root made of them."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from ml_training.config.schema import DataSection
from ml_training.data.collectors import extract
from ml_training.data.creatives.update import update
from ml_training.data.dataset import build
from ml_training.data.labels import import_labels
from ml_training.detection.calibration import UNCHANGED
from ml_training.detection.detector import DetectorCard, store_detector
from ml_training.detection.features import COLUMNS, Cues, RecordingFeatures
from ml_training.detection.lessons import Lesson

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


WIDTH, HEIGHT, RATE, SOUND_RATE = 96, 64, 10, 16_000
ITEMS = ((0, 22, "content"), (22, 32, "ad"), (32, 42, "ad"), (42, 60, "content"))  # seconds
CHANNELS = ("one", "two", "three", "four")


def write_item_recording(
    path: Path, seed: int, items=ITEMS, *, sound: bool = True, keyframe: int = RATE, preset: str = "ultrafast"
) -> Path:
    """Write programme (dull, dark, a hum) and spots (a new picture each second, noise); 0.2 s black between items.

    The second spot is the same in every recording.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"g": str(keyframe), "preset": preset})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if sound else None
        whole, heard = (_sound(seed, items) * 32767).astype(np.int16), 0
        for number in range(items[-1][1] * RATE):
            picture = av.VideoFrame.from_ndarray(_picture(number / RATE, seed, items), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(picture))
            while audio is not None and heard + 1024 <= min(len(whole), (number + 1) * SOUND_RATE // RATE):
                piece = av.AudioFrame.from_ndarray(whole[None, heard : heard + 1024], format="s16", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = SOUND_RATE, heard, Fraction(1, SOUND_RATE)
                container.mux(audio.encode(piece))
                heard += 1024
        for stream in (video, audio) if audio is not None else (video,):
            container.mux(stream.encode(None))
    return path


def _seed_of(seed: int, number: int, items) -> int:
    return 999 if number + 2 == len(items) else 10 * seed + number


def _picture(seconds: float, seed: int, items) -> np.ndarray:
    number = next(n for n, (_, end, _) in enumerate(items) if seconds < end)
    start, end, label = items[number]
    if (number and seconds - start < 0.1) or (number + 1 < len(items) and end - seconds < 0.1):
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    still = label == "content"
    rng = np.random.default_rng([_seed_of(seed, number, items), 0 if still else int(seconds - start)])
    blocks = rng.integers(20, 110 if still else 255, (4, 6, 3), np.uint8)
    image = blocks.repeat(HEIGHT // 4, axis=0).repeat(WIDTH // 6, axis=1)
    image[:6, :14] = 255 if still else image[:6, :14]  # the channel's logo
    return image


def _sound(seed: int, items) -> np.ndarray:
    whole = np.zeros(items[-1][1] * SOUND_RATE)
    for number, (start, end, label) in enumerate(items):
        low, high = round((start + 0.1) * SOUND_RATE), round((end - 0.1) * SOUND_RATE)
        rng = np.random.default_rng(_seed_of(seed, number, items))
        count = high - low
        if label == "content":
            beat = 1 + np.sin(2 * np.pi * (2 + seed % 3) * np.arange(count) / SOUND_RATE)
            whole[low:high] = 0.05 * np.sin(2 * np.pi * 220 * np.arange(count) / SOUND_RATE) * beat
            whole[low:high] += 0.002 * rng.standard_normal(count)
        else:
            loud = np.repeat(rng.uniform(0.1, 1.0, count // 1600 + 1), 1600)[:count]
            whole[low:high] = np.clip(0.15 * loud * rng.standard_normal(count), -0.9, 0.9)
    return whole


@pytest.fixture(scope="session")
def write_recording():
    """Write a small recording: ``write_recording(path, seed, items)``."""
    return write_item_recording


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A data root with a minute of four channels, labels and a catalogue, and its dataset version."""
    root = tmp_path_factory.mktemp("root")
    labels = {}
    for seed, channel in enumerate(CHANNELS):
        write_item_recording(root / "recordings" / channel / "2026-01-05" / f"{channel}.ts", seed)
        labels[channel] = [{"start": start, "end": end, "label": label} for start, end, label in ITEMS]
    (root / "labels.json").write_text(json.dumps(labels))
    extract(str(root / "recordings"), str(root / "frames"), workers=1)
    import_labels(str(root / "labels.json"), str(root), source="file", author="ann")
    update(str(root))
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    return str(root), build(str(root), DataSection(split_shares=shares))["dataset_id"]
