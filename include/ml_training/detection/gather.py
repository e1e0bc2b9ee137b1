"""Gathers what detection looks at: from frames and sound that are stored to the features of every second.

    source = StoredRecording.open("s3://adbreak", "news-0105")
    features = gather(source, score=open_model(path).score)
    features = with_repetition(features, archive.repeats(prints), has_archive=True)

Pictures are read once, a shard at a time: the model of frames scores them while the overlay is watched, so memory
does not grow with the length but for some kB a second.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_training.cloud import storage
from ml_training.data.audio.sound import has_sound, load_sound
from ml_training.data.frames import Image, extraction_folder, load_images, read_extraction, read_index
from ml_training.detection.evidence import Repeat, piece_bounds, repetition
from ml_training.detection.features import Cues, Floats, RecordingFeatures, Times, held, seconds_of
from ml_training.detection.overlay import OverlayWatcher
from ml_training.detection.recurrence import hashes_of, recurrence
from ml_training.detection.sound_cues import ReadSound, separators, sound_cues
from ml_training.inference.stretch import Stretch

Score = Callable[[Stretch], Floats]
SCORE_LIMIT = 1e-4  # scores are kept this far from 0 and 1
CUT = 0.45  # of the picture has other colours: a change of shot
CUT_RATE_SECONDS = 21
BATCH = 128


@dataclass(frozen=True)
class StoredRecording:
    """An extraction of a recording, as ``data.collectors extract`` stored it."""

    root: str
    extraction: dict[str, Any]
    index: pa.Table

    @classmethod
    def open(cls, root: str, recording_id: str, extraction_id: str | None = None) -> Self:
        """Open the newest extraction of a recording, or the one named. Raises ObjectNotFound where there is none."""
        if extraction_id is None:
            extraction = read_extraction(root, recording_id)
        else:
            folder = extraction_folder(root, recording_id, extraction_id)
            extraction = dict(storage.read_json(storage.join(folder, "extraction.json")))
        return cls(root, extraction, read_index(root, recording_id, str(extraction["extraction_id"])))

    @property
    def recording_id(self) -> str:
        """The recording's id."""
        return str(self.extraction["recording_id"])

    @property
    def duration_seconds(self) -> float:
        """How long the recording lasts."""
        return float(self.extraction["duration_seconds"])

    @property
    def has_sound(self) -> bool:
        """Whether sound is stored."""
        return has_sound(self.extraction)

    def images(self, start: int, end: int) -> Image:
        """Read the frames ``start`` to ``end`` of the index, uint8 [n, 224, 224, 3]."""
        rows = self.index.slice(start, end - start)
        shards, places = rows["shard"].to_pylist(), rows["row"].to_numpy()
        folder = extraction_folder(self.root, self.recording_id, str(self.extraction["extraction_id"]))
        parts = []
        for shard in sorted(set(shards)):
            own = places[[name == shard for name in shards]]
            parts.append(load_images(storage.join(folder, shard), own))
        return np.concatenate(parts) if parts else np.zeros((0, 224, 224, 3), np.uint8)

    def stretch(self) -> Stretch:
        """Return the recording as models see it."""
        sound = partial(load_sound, self.root, self.extraction) if self.has_sound else None
        return Stretch(self.index["pts_seconds"].to_numpy(), self.images, sound)


class FrameColumns(NamedTuple):
    """What is known of every frame: [N] each, ``overlay`` [N, 4]; ``log_odds`` are absent without a model of frames."""

    seconds: Times
    change: Floats
    motion: Floats
    luma: Floats
    sharpness: Floats
    black: npt.NDArray[np.bool_]
    hashes: npt.NDArray[np.uint64]
    overlay: Floats
    log_odds: Floats | None


def gather(source: StoredRecording, *, score: Score | None = None) -> RecordingFeatures:
    """Return the features of a recording but for what repeats.

    ``score`` gives each frame the probability of an ad; without it the group ``picture`` is absent. That group has
    plain log odds: ``calibration`` makes those of one model comparable with another's.
    """
    stretch, watcher = source.stretch(), OverlayWatcher()
    scores = None
    if score is not None:
        with _read_ahead(_watched(stretch, watcher)) as watched:
            scores = score(watched)
    if scores is None or len(watcher) != len(stretch):
        watcher = watch(source)
    numbers = {
        name: np.nan_to_num(source.index[column].to_numpy(zero_copy_only=False).astype(np.float32))
        for name, column in (("change", "shot_change"), *((own, own) for own in ("motion", "luma", "sharpness")))
    }
    frames = FrameColumns(
        seconds=stretch.pts_seconds,
        black=source.index["is_black"].to_numpy(zero_copy_only=False),
        hashes=hashes_of(source.index["phash"].to_pylist()),
        overlay=watcher.columns(),
        log_odds=None if scores is None else log_odds(scores),
        **numbers,
    )
    return build(source.recording_id, source.duration_seconds, frames, stretch.sound)


def build(
    recording_id: str, duration_seconds: float, frames: FrameColumns, read_sound: ReadSound | None
) -> RecordingFeatures:
    """Return features made of the columns of frames, and of sound where there is some."""
    seconds = seconds_of(duration_seconds)
    groups: dict[str, Floats] = {
        "shots": shot_columns(frames, seconds),
        "overlay": held_columns(frames.seconds, frames.overlay, seconds),
    }
    if frames.log_odds is not None:
        groups["picture"] = held_columns(frames.seconds, frames.log_odds[:, None], seconds)
    level = np.zeros(0, np.int8)
    if read_sound is not None:
        groups["sound"], level = sound_cues(read_sound, seconds)
    groups["separators"] = np.concatenate([separators(level, seconds), black_columns(frames, seconds)], axis=1)
    cues = Cues(frames.seconds, frames.change, frames.black, level)
    return RecordingFeatures(recording_id, duration_seconds, groups, cues)


def _watched(stretch: Stretch, watcher: OverlayWatcher) -> Stretch:
    """Return a stretch whose pictures the watcher sees, too, as long as they are read in order and once."""

    def images(start: int, end: int) -> Image:
        found = stretch.images(start, end)
        if start == len(watcher):
            for image in found:
                watcher.add(image)
        return found

    return replace(stretch, images=images)


@contextmanager
def _read_ahead(stretch: Stretch) -> Iterator[Stretch]:
    """Give a stretch whose next pictures are read while a model looks at these."""
    waiting: dict[tuple[int, int], Future[Image]] = {}

    def images(start: int, end: int) -> Image:
        asked = waiting.pop((start, end), None) or reader.submit(stretch.images, start, end)
        waiting.clear()
        after = end, min(2 * end - start, len(stretch))
        if after[0] < after[1]:
            waiting[after] = reader.submit(stretch.images, *after)
        return asked.result()

    with ThreadPoolExecutor(1) as reader:
        yield replace(stretch, images=images)


def with_repetition(
    features: RecordingFeatures, repeats: Sequence[Repeat], *, has_archive: bool, known: Floats | None = None
) -> RecordingFeatures:
    """Return features with what airs again in the recording and, where there is one, in the archive.

    ``has_archive`` says whether there was anything to compare with: nothing found in an archive is evidence, too.
    ``known`` are log odds of an ad [T] from creatives that somebody labelled.
    """
    name, seconds = features.recording_id, features.seconds
    groups = {**features.groups, "within": repetition(name, repeats, seconds, within=True)}
    counted = repeats if has_archive else [repeat for repeat in repeats if repeat.other == name]
    if has_archive:
        groups["archive"] = repetition(name, repeats, seconds, within=False)
    cues = replace(features.cues, pieces=piece_bounds(counted))
    return replace(features, groups=groups, cues=cues, known=known if has_archive else None)


def log_odds(scores: Floats) -> Floats:
    """Return log odds of probabilities, at most 9.2 either way."""
    clipped = np.clip(np.asarray(scores, np.float64), SCORE_LIMIT, 1 - SCORE_LIMIT)
    return np.log(clipped / (1 - clipped)).astype(np.float32)


def held_columns(times: Times, values: npt.NDArray[Any], seconds: int) -> Floats:
    """Return columns [N, k] of frames as columns of seconds, float32 [seconds, k]."""
    return np.asarray(held(times, values, seconds), np.float32)


def watch(source: StoredRecording) -> OverlayWatcher:
    """Return a watcher that has seen every frame."""
    watcher = OverlayWatcher()
    for start in range(0, len(source.index), BATCH):
        for image in source.images(start, min(start + BATCH, len(source.index))):
            watcher.add(image)
    return watcher


def shot_columns(frames: FrameColumns, seconds: int) -> Floats:
    """Return the columns of the group ``shots``, relative to the recording where it matters."""
    sharpness = np.log1p(frames.sharpness)
    columns = np.column_stack(
        [
            frames.change,
            np.log1p(frames.motion),
            (frames.luma - np.median(frames.luma)) / 64,
            sharpness - np.median(sharpness),
        ]
    )
    by_second = held_columns(frames.seconds, columns, seconds)
    cuts = np.pad((by_second[:, 0] > CUT).astype(np.float32), CUT_RATE_SECONDS // 2, mode="edge")
    rate = np.convolve(cuts, np.full(CUT_RATE_SECONDS, 1 / CUT_RATE_SECONDS), mode="valid")
    hashes = held(frames.seconds, frames.hashes, seconds)
    return np.column_stack([by_second, rate[:seconds], recurrence(hashes)]).astype(np.float32)


def black_columns(frames: FrameColumns, seconds: int) -> Floats:
    """Return whether the second's frame is black, and whether one within a second of it is. float32 [seconds, 2]."""
    own = held_columns(frames.seconds, frames.black[:, None], seconds)[:, 0]
    padded = np.pad(own, 1)
    return np.column_stack([own, np.maximum(padded[:-2], padded[2:])]).astype(np.float32)
