"""Sound and pictures with airings in them, small enough to be fingerprinted in a moment."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from ml_training.data.creatives.fingerprints import Fingerprints, assemble
from ml_training.data.creatives.picture_prints import picture_prints
from ml_training.data.creatives.sound_prints import sound_prints

RATE = 16_000
Item = tuple[int, float]  # seed, seconds


def make_sound(seed: int, seconds: float) -> np.ndarray:
    """Notes of random pitch and length over a little noise, int16."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 0.01, round(seconds * RATE))
    at = 0
    while at < len(sound):
        length = int(rng.uniform(0.12, 0.6) * RATE)
        time = np.arange(min(length, len(sound) - at)) / RATE
        chord = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(200, 4000, 4))
        sound[at : at + length] += 0.08 * chord * np.exp(-time * rng.uniform(1, 6))
        at += length
    return np.round(sound.clip(-1, 1) * 32767).astype(np.int16)


def make_pictures(seed: int, seconds: float, start: float = 0.0) -> np.ndarray:
    """One picture a second: a scene of random blobs that changes every three seconds. uint8 [n, 224, 224, 3]."""
    pictures = []
    for second in range(round(start), round(start + seconds)):
        rng = np.random.default_rng([seed, second // 3])
        scene = cv2.resize(rng.integers(0, 256, (7, 9, 3)).astype(np.uint8), (224, 224), interpolation=cv2.INTER_CUBIC)
        pictures.append(np.roll(scene, 2 * (second % 3), axis=1))
    return np.stack(pictures)


def make_prints(
    name: str,
    items: Sequence[Item],
    *,
    change_sound: Callable[[np.ndarray], np.ndarray] = lambda sound: sound,
    change_pictures: Callable[[np.ndarray], np.ndarray] = lambda pictures: pictures,
    has_sound: bool = True,
    channel: str = "one",
) -> Fingerprints:
    """Fingerprint a recording of items, one after the other; an item of the same seed is the same film."""
    sound = change_sound(np.concatenate([make_sound(seed, seconds) for seed, seconds in items]))
    pictures = change_pictures(np.concatenate([make_pictures(seed, seconds) for seed, seconds in items]))
    facts = {"recording_id": name, "extraction_id": "x", "channel": channel, "date": "2026-01-05"}
    sound = sound if has_sound else sound[:0]
    return assemble(
        facts | {"duration_seconds": float(len(pictures))},
        sound_prints(sound),
        np.arange(len(pictures), dtype=np.float64),
        picture_prints(pictures),
    )


@pytest.fixture
def prints() -> Callable[..., Fingerprints]:
    """``make_prints``: fingerprints of a recording made of items (seed, seconds)."""
    return make_prints
