"""The sound of clips as a head learns it: scaled MFCC, computed once for neighbours, and changed with the pictures.

    tables = compute_sound(examples, bands=40, copies=2, seed=1, folder=work_dir)
    sound = ClipSound(tables, examples, numbers, copies)         # sound[chosen]: float16 [n, 998, 40]

Clips of neighbouring seconds share nine tenths of their sound. So it is computed for stretches of 60 seconds, with a
margin, on the grid of 10 ms that ``inference.sound.hear`` uses; a changed copy changes each stretch in its own way.
"""

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.data.audio.sound import load_sound
from ml_training.data.augmentation.sound import augment_sound
from ml_training.data.pipeline.examples import CLIPS, Examples
from ml_training.inference.mfcc import SAMPLE_RATE, WINDOW, mfcc
from ml_training.inference.sound import HOP_SECONDS, clip_windows, scale_mfcc
from ml_training.training.activations import STRETCH_SECONDS, stretch_numbers
from ml_training.utils.hashing import short_hash

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

START_SECONDS, END_SECONDS = CLIPS.sound_seconds or (0.0, 0.0)
MARGIN_SECONDS = 6.0  # on both sides of a stretch: a clip around any of its frames lies within


class Stretch(NamedTuple):
    """60 seconds of one recording, in one copy."""

    recording: int
    number: int
    copy: int


class SoundTables(NamedTuple):
    """Scaled MFCC float16 [windows, bands] of all stretches, one behind the other, and where each begins."""

    table: Array
    starts: dict[Stretch, int]


def compute_sound(examples: Examples, *, bands: int, copies: int, seed: int, folder: Path) -> SoundTables:
    """Compute the sound around all examples, in each copy. What is on disk is gone as soon as nobody uses it."""
    places = np.stack([examples.recording_numbers, stretch_numbers(examples.pts_seconds)], axis=1)
    stretches = [
        Stretch(int(recording), int(number), copy)
        for copy in range(copies)
        for recording, number in np.unique(places, axis=0)
    ]
    windows = round((STRETCH_SECONDS + 2 * MARGIN_SECONDS) / HOP_SECONDS)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".sound-{os.getpid()}-{copies}.npy"
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(windows * len(stretches), bands))
    path.unlink()
    starts = {}
    for place, stretch in enumerate(stretches):
        starts[stretch] = place * windows
        table[place * windows : (place + 1) * windows] = _hear(examples, stretch, bands, seed, windows)
    logger.info("sound: %d stretches of %.0f seconds", len(stretches), STRETCH_SECONDS)
    return SoundTables(table, starts)


class ClipSound:
    """The sound of M examples, [M, 998, bands], cut out only when it is asked for."""

    def __init__(self, tables: SoundTables, examples: Examples, numbers: Array, copies: Array) -> None:
        recordings, pts = examples.recording_numbers[numbers], examples.pts_seconds[numbers]
        stretches = stretch_numbers(pts)
        starts = [
            tables.starts[Stretch(int(recording), int(number), int(copy))]
            for recording, number, copy in zip(recordings, stretches, copies, strict=True)
        ]
        begins = np.rint((pts + START_SECONDS) / HOP_SECONDS).astype(np.int64)
        self._table = tables.table
        self._begins = np.array(starts, np.int64) + begins - _first_window(stretches)
        self._windows = np.arange(clip_windows(END_SECONDS - START_SECONDS))

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, chosen: Any) -> Array:
        return np.asarray(self._table[self._begins[chosen][:, None] + self._windows])


def _first_window(stretches: Any) -> Any:
    """Return the window, of 10 ms, that a stretch with its margin begins at."""
    return np.rint((stretches * STRETCH_SECONDS - MARGIN_SECONDS) / HOP_SECONDS).astype(np.int64)


def _hear(examples: Examples, stretch: Stretch, bands: int, seed: int, windows: int) -> Array:
    start = int(_first_window(np.array(stretch.number))) * HOP_SECONDS
    end = start + (windows - 1) * HOP_SECONDS + WINDOW / SAMPLE_RATE
    sound = load_sound(examples.data_dir, examples.extractions[stretch.recording], start, end)
    if stretch.copy:
        recording = int(short_hash(examples.recordings[stretch.recording]), 16)
        sound = augment_sound(sound, np.random.default_rng([seed, stretch.copy, recording, stretch.number]))
    return scale_mfcc(mfcc(sound, bands)).astype(np.float16)
