"""The first look at a recording: keyframes where they are close enough, its sound, and nothing else of it.

    with FirstPass(mode="auto") as first:
        source = first.store(recording)             # StoredRecording in a folder that goes away

What is stored is what ``data.collectors extract`` stores, so everything that judges an archive judges a file as well.
Of a recording whose keyframes are farther apart than detectors learn, a frame every two seconds is decoded.
"""

import math
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import av
import numpy as np

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.data.extraction import Mode, Opened, Settings, extract_recording
from ml_training.data.media_file import MediaFile
from ml_training.data.parts import PART_SECONDS
from ml_training.data.recordings import Recording
from ml_training.data.timeline import Timeline, read_timeline
from ml_training.data.workers import WorkerPool, available_cores
from ml_training.detection.gather import StoredRecording
from ml_training.utils.errors import RecordingUnreadable
from ml_training.utils.scratch import scratch_folder

Choice = Literal["auto", "keyframes", "sparse", "exact"]


class Reading(NamedTuple):
    """Which frames are candidates, and how many a second are taken."""

    candidates: Mode
    frames_per_second: float


READINGS: dict[Choice, Reading] = {
    "keyframes": Reading("keyframes", 1.0),
    "sparse": Reading("exact", 0.5),
    "exact": Reading("exact", 1.0),
}
FARTHEST_SECONDS = 2.0  # between most keyframes, as detectors learn it
ROUNDING_SECONDS = 0.05  # keyframes two seconds apart may be a frame farther
MOST = 0.9  # of the keyframes
SHORT_SECONDS = 2 * PART_SECONDS
EVEN = 4  # parts of a long recording are a multiple of it: two or four workers end together
LEAST_SECONDS = 30.0  # of a part: to begin one costs a group of pictures


class FirstPass:
    """A folder for what the first look finds; it is removed at the end."""

    def __init__(self, *, mode: Choice = "auto", workers: int | None = None) -> None:
        self._mode = mode
        cores = available_cores() if workers is None else workers
        self._processes, self._threads = WorkerPool(cores), WorkerPool(cores, threads=True)

    def __enter__(self) -> Self:
        self._folder = scratch_folder(read_settings().work_dir, "detect")
        self.root = str(self._folder.__enter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.__exit__(kind, error, trace)
        self._threads.__exit__(kind, error, trace)
        self._folder.__exit__(kind, error, trace)

    def store(self, recording: Recording) -> StoredRecording:
        """Extract a recording and open what was stored. Raises RecordingUnreadable with the reason."""
        with MediaFile(recording.uri) as media:
            pool, part_seconds = self._shared(rough_duration(media))
            pool.prepare()
            opened = Opened(media, read_timeline(media))
            reading = READINGS[self._mode if self._mode != "auto" else choose_mode(opened.timeline)]
            outcome = extract_recording(
                recording,
                Settings(reading.frames_per_second, reading.candidates, stream=True, part_seconds=part_seconds),
                output_dir=storage.join(self.root, "frames"),
                quarantine_dir=storage.join(self.root, "quarantine"),
                pool=pool,
                opened=opened,
            )
        if outcome.status == "quarantined":
            raise RecordingUnreadable(f"{recording.recording_id} cannot be read: {outcome.reason}", uri=recording.uri)
        return StoredRecording.open(self.root, recording.recording_id)

    def _shared(self, seconds: float) -> tuple[WorkerPool, float]:
        """Return who works on a recording, and on how much at a time: for a short one processes start too slowly.

        How it is divided does not depend on the machine: the sound of two parts differs a little where they meet.
        """
        if seconds >= SHORT_SECONDS:
            parts = EVEN * math.ceil(seconds / (EVEN * PART_SECONDS))
            return self._processes, 2.0 * math.ceil(seconds / (2 * parts))  # whole frames, also of sparse reading
        return self._threads, max(LEAST_SECONDS, float(math.ceil(seconds / 2)))

    def forget(self, source: StoredRecording) -> None:
        """Remove what is stored of a recording."""
        for item in list(storage.list_objects(storage.join(self.root, "frames", source.recording_id) + "/")):
            storage.delete(item.uri)


def rough_duration(media: MediaFile) -> float:
    """Return how long a file says that it lasts, in seconds; 0 where it does not say."""
    return float((media.container.duration or 0) / av.time_base)


def choose_mode(timeline: Timeline | None) -> Choice:
    """Return ``keyframes`` where nine in ten of them are near enough to the next, else ``sparse``.

    A recording that is damaged or irregular is decoded whole anyway: then ``exact``.
    """
    if timeline is None:
        return "exact"
    shown = timeline.shown()
    seconds = timeline.seconds(shown[timeline.is_key[shown]])
    if len(seconds) < 2:
        return "sparse"
    near = float(np.quantile(np.diff(seconds), MOST)) <= FARTHEST_SECONDS + ROUNDING_SECONDS
    return "keyframes" if near else "sparse"


def mode_of(extraction: dict[str, Any]) -> Choice:
    """Return how a recording was read, from what its extraction says."""
    known = Reading(extraction["mode"], extraction["frames_per_second"])
    return next(mode for mode, reading in READINGS.items() if reading == known)
