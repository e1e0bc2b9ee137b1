"""The fingerprints of a recording, made from what extraction stored of it, and stored themselves.

    prints = make_fingerprints("s3://adbreak", "news-0105")
    store_fingerprints("s3://adbreak", prints)              # creatives/fingerprints/news-0105/<extraction_id>.v1.npz

They hold all that matching needs: no picture and no sound is read again, unless a person wants to see or hear it.
"""

import io
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.data.audio.sound import SAMPLE_RATE, Sound, has_sound, load_sound
from ml_training.data.creatives.picture_prints import PicturePrints, Thumbs, picture_prints
from ml_training.data.creatives.sound_prints import Bits, Codes, Integers, SoundPrints, sound_prints
from ml_training.data.frames import extraction_folder, load_images, read_extraction, read_index
from ml_training.utils.errors import DataError

FINGERPRINT_VERSION = 1  # changes when the same recording would get others
SOUND_STRETCH_SECONDS = 1024.0  # read at once: 33 MB
MOST_KEPT = 256  # fingerprints that matching keeps in memory: about 2 MB an hour each


@dataclass(frozen=True)
class Fingerprints:
    """Sound and pictures of one recording. Without sound the four fields of sound are empty."""

    recording_id: str
    extraction_id: str
    channel: str
    date: str  # YYYY-MM-DD, or empty
    duration_seconds: float
    bits: Bits = field(repr=False)
    level: npt.NDArray[np.int8] = field(repr=False)
    codes: Codes = field(repr=False)
    code_frames: Integers = field(repr=False)
    pts: npt.NDArray[np.float64] = field(repr=False)  # of each picture
    thumbs: Thumbs = field(repr=False)
    plain: npt.NDArray[np.bool_] = field(repr=False)

    @property
    def has_sound(self) -> bool:
        """Whether there is sound to compare."""
        return len(self.bits) > 0

    def to_bytes(self) -> bytes:
        """Return the fingerprints as an .npz file; the same ones give the same bytes."""
        sink = io.BytesIO()
        arrays: dict[str, Any] = {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}
        np.savez(sink, **arrays)
        return sink.getvalue()

    @classmethod
    def from_file(cls, file: Any) -> Self:
        """Read what ``to_bytes`` gave."""
        with np.load(file, allow_pickle=False) as stored:
            values = {item.name: stored[item.name] for item in fields(cls)}
        texts = {name: str(values[name]) for name in ("recording_id", "extraction_id", "channel", "date")}
        return cls(**{**values, **texts, "duration_seconds": float(values["duration_seconds"])})


def fingerprints_uri(data_dir: str, recording_id: str, extraction_id: str) -> str:
    """Return the address of the fingerprints of an extraction."""
    name = f"{extraction_id}.v{FINGERPRINT_VERSION}.npz"
    return storage.join(data_dir, "creatives", "fingerprints", recording_id, name)


def make_fingerprints(data_dir: str, recording_id: str) -> Fingerprints:
    """Fingerprint the newest extraction of a recording. Raises ObjectNotFound when there is none."""
    extraction = read_extraction(data_dir, recording_id)
    duration = float(extraction["duration_seconds"])
    sound = _whole_sound(data_dir, extraction, duration) if has_sound(extraction) else np.zeros(0, np.int16)
    pts, pictures = _pictures(data_dir, recording_id, str(extraction["extraction_id"]))
    return assemble(extraction, sound_prints(sound), pts, pictures)


def assemble(
    extraction: dict[str, Any], sound: SoundPrints, pts: npt.NDArray[np.float64], pictures: PicturePrints
) -> Fingerprints:
    """Put sound and pictures together under the name of their recording."""
    return Fingerprints(
        recording_id=str(extraction["recording_id"]),
        extraction_id=str(extraction["extraction_id"]),
        channel=str(extraction.get("channel") or "unknown"),
        date=str(extraction.get("date") or ""),
        duration_seconds=float(extraction["duration_seconds"]),
        pts=pts,
        **sound._asdict(),
        **pictures._asdict(),
    )


def _whole_sound(data_dir: str, extraction: dict[str, Any], duration: float) -> Sound:
    sound = np.zeros(round(duration * SAMPLE_RATE), np.int16)
    for start in np.arange(0, duration, SOUND_STRETCH_SECONDS):
        piece = load_sound(data_dir, extraction, start, min(start + SOUND_STRETCH_SECONDS, duration))
        first = round(start * SAMPLE_RATE)
        sound[first : first + len(piece)] = piece[: len(sound) - first]
    return sound


def _pictures(data_dir: str, recording_id: str, extraction_id: str) -> tuple[npt.NDArray[np.float64], PicturePrints]:
    index = read_index(data_dir, recording_id, extraction_id)
    folder = extraction_folder(data_dir, recording_id, extraction_id)
    shards, rows = index["shard"].to_pylist(), index["row"].to_numpy()
    pieces = []
    for shard in sorted(set(shards)):
        own = rows[[name == shard for name in shards]]
        for at in range(0, len(own), 256):
            pieces.append(picture_prints(load_images(storage.join(folder, shard), own[at : at + 256])))
    if not pieces:
        raise DataError(f"{recording_id} has no frames: extract it again")
    joined = PicturePrints(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))
    return index["pts_seconds"].to_numpy(), joined


def store_fingerprints(data_dir: str, prints: Fingerprints) -> None:
    """Store fingerprints under the name of their extraction."""
    storage.write_bytes(fingerprints_uri(data_dir, prints.recording_id, prints.extraction_id), prints.to_bytes())


@lru_cache(maxsize=MOST_KEPT)
def load_fingerprints(data_dir: str, recording_id: str, extraction_id: str) -> Fingerprints:
    """Read stored fingerprints. Raises ObjectNotFound when they were not made."""
    return Fingerprints.from_file(storage.cached_copy(fingerprints_uri(data_dir, recording_id, extraction_id)))
