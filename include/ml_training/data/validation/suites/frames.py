"""The suite ``frames``: the index of each recording's frames, row by row and as a whole, and samples of the pictures.

found = tables(Scope("s3://adbreak", recordings=["news-0105"]))
found["frames"], found["recordings"]             # a row a frame, a row a recording

Rules of one row are columns of the first table (``step_seconds`` is the time since the frame before); rules about a
recording as a whole are columns of the second. A value that does not apply is NaN, which no rule looks at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.frames import FRAME_SIZE, decode_jpeg
from ml_training.data.validation.rules import Rules, between, filled, matches, once, once_together, zero
from ml_training.data.validation.scope import Scope, Tables, in_parallel, number, recordings_with_frames, spread
from ml_training.data.validation.stored import Stored, read_stored
from ml_training.utils.errors import DataError, StorageError
from ml_training.utils.hashing import sha256_bytes

PICTURES_SAMPLED = 8  # a recording, spread over its shards
STILL_MOTION = 0.5  # of 255: what an encoder makes of a picture that does not change
ROUNDING_SECONDS = 0.01
END_SECONDS = 1.0  # the last frame is shown for a while


def tables(scope: Scope) -> Tables:
    """Return ``frames`` (a row a frame) and ``recordings`` (a row a recording) of the newest extractions."""
    names = recordings_with_frames(scope)
    if not names:
        return {}
    loaded = in_parallel(names, lambda name: read_stored(scope.data_dir, name))
    samples = in_parallel(loaded, sample_pictures)
    frames = pd.concat([stored.index for stored in loaded], ignore_index=True)
    summaries = [summarise(stored, *sample) for stored, sample in zip(loaded, samples, strict=True)]
    return {"frames": add_steps(frames), "recordings": pd.DataFrame(summaries)}


def sample_pictures(stored: Stored) -> tuple[int, int]:
    """Return how many of a few stored pictures do not decode to 224x224 RGB, and how many are not as indexed."""
    chosen = stored.index.iloc[spread(len(stored.index), PICTURES_SAMPLED)]
    bad = altered = 0
    for shard, rows in chosen.groupby("shard"):
        for data, said in zip(_pictures(stored, str(shard), rows["row"]), _hashes(rows), strict=True):
            bad += not _is_a_picture(data)
            altered += said is not None and sha256_bytes(data) != said
    return bad, altered


def _pictures(stored: Stored, shard: str, rows: Sequence[int]) -> list[bytes]:
    try:
        path = storage.cached_copy(storage.join(stored.folder, shard))
        column = pq.read_table(path, columns=["jpeg"]).column("jpeg")
    except (StorageError, pa.ArrowException, OSError):
        return [b""] * len(rows)
    return [column[int(row)].as_py() if 0 <= row < len(column) else b"" for row in rows]


def _hashes(rows: pd.DataFrame) -> list[str | None]:
    given = rows["sha256"] if "sha256" in rows else [None] * len(rows)
    return [said if isinstance(said, str) else None for said in given]


def _is_a_picture(data: bytes) -> bool:
    try:
        return decode_jpeg(data).shape == (FRAME_SIZE, FRAME_SIZE, 3)
    except DataError:
        return False


def add_steps(frames: pd.DataFrame) -> pd.DataFrame:
    """Add ``step_seconds`` and ``step_frames``: from the recording's frame before, NaN for its first."""
    grouped = frames.groupby("recording_id", sort=False)
    return frames.assign(
        step_seconds=grouped["pts_seconds"].diff(),
        step_frames=grouped["frame_index"].diff(),
    )


def summarise(stored: Stored, bad_pictures: int = 0, altered_pictures: int = 0) -> dict[str, Any]:
    """Return one recording's row of the table ``recordings``."""
    facts, index = stored.facts, stored.index
    count = len(index)
    repeats = index["phash"].eq(index["phash"].shift()) & (index["motion"] < STILL_MOTION)
    times = index["pts_seconds"].to_numpy(np.float64)
    return {
        "recording_id": stored.recording_id,
        "index_mistakes": len(stored.index_mistakes),
        "mistake": "; ".join(stored.index_mistakes) or None,
        "frames": count,
        "first_number": index["frame_index"].iloc[0] if count else np.nan,
        "missing_rows": abs(number(facts, "frame_count") - count),
        "bad_pictures": bad_pictures,
        "altered_pictures": altered_pictures,
        "past_end_seconds": float(times[-1]) - number(facts, "duration_seconds") if count else np.nan,
        "black_share": float(index["is_black"].mean()) if count else np.nan,
        "frozen_share": float(repeats.mean()) if count else np.nan,
        "rate_share": rate_share(facts, count),
        "unexplained_gap_seconds": unexplained_gap(facts, times),
    }


def rate_share(facts: Mapping[str, Any], count: int) -> float:
    """Return how many of the frames asked for are there; NaN for keyframes, and where there are too few to say."""
    if facts.get("mode") == "keyframes" or not facts.get("frames_per_second"):
        return np.nan
    lost = sum(gap["length_seconds"] for gap in facts.get("gaps", []))
    expected = (number(facts, "duration_seconds") - lost) * facts["frames_per_second"]
    return count / expected if expected >= 10 else np.nan


def unexplained_gap(facts: Mapping[str, Any], seconds: npt.NDArray[np.float64]) -> float:
    """Return the longest time without a frame beyond the asked distance that no gap on record accounts for."""
    if facts.get("mode") == "keyframes" or not facts.get("frames_per_second") or not len(seconds):
        return np.nan
    distance = 1 / facts["frames_per_second"]
    bounds = np.concatenate([[0.0], seconds, [max(number(facts, "duration_seconds"), seconds[-1])]])
    beyond = np.diff(bounds) - 2 * distance  # a frame may come late by a source frame, the next one on time
    for gap in facts.get("gaps", []):
        at, end = gap["at_seconds"], gap["at_seconds"] + gap["length_seconds"]
        overlap = np.minimum(bounds[1:], end + ROUNDING_SECONDS) - np.maximum(bounds[:-1], at - ROUNDING_SECONDS)
        beyond -= np.maximum(overlap, 0)
    return float(max(beyond.max(), 0.0))


def rules() -> Rules:
    """Return the rules of the suite, by table."""
    return {"frames": [*_order(), *_measures()], "recordings": [*_completeness(), *_content()]}


def _order() -> list[Any]:
    increases = {"min_value": 0, "strict_min": True}
    return [
        filled("recording_id", "stop"),
        filled("pts_seconds", "quarantine"),
        between("pts_seconds", "time_not_negative", "quarantine", "no frame lies before the first", min_value=0),
        between("step_seconds", "time_increases", "quarantine", "timestamps increase strictly", **increases),
        between(
            "step_frames", "numbers_follow", "quarantine", "frames are numbered one by one", min_value=1, max_value=1
        ),
        matches("shard", "shard_form", "quarantine", "a shard is a file of frames", r"^frames-\d{5,}\.parquet$"),
        between("row", "row_not_negative", "quarantine", "rows of a shard are counted from 0", min_value=0),
        once_together(
            ["recording_id", "shard", "row"], "one_picture_a_frame", "quarantine", "no picture serves two frames"
        ),
    ]


def _measures() -> list[Any]:
    brightness, pixels = {"min_value": 0, "max_value": 255}, {"min_value": 16, "max_value": 8192}
    return [
        between("luma", "luma_range", "quarantine", "luma is within 0..255", **brightness),
        between("motion", "motion_range", "quarantine", "motion is within 0..255", **brightness),
        between("sharpness", "sharpness_range", "quarantine", "sharpness is not negative", min_value=0),
        between(
            "shot_change", "shot_change_range", "quarantine", "a shot change is scored 0..1", min_value=0, max_value=1
        ),
        between("width", "width_range", "quarantine", "the source is 16 to 8192 pixels wide", **pixels),
        between("height", "height_range", "quarantine", "the source is 16 to 8192 pixels high", **pixels),
        matches("phash", "phash_form", "quarantine", "a perceptual hash is 16 hexadecimal digits", "^[0-9a-f]{16}$"),
        matches("sha256", "sha256_form", "quarantine", "a SHA-256 is 64 hexadecimal digits", "^[0-9a-f]{64}$"),
    ]


def _completeness() -> list[Any]:
    return [
        once("recording_id", "recording_once", "stop", "each recording is there once"),
        zero("index_mistakes", "index_readable", "quarantine", "the index can be read and has the columns of a reader"),
        zero("first_number", "numbers_from_0", "quarantine", "the first frame has the number 0"),
        zero("missing_rows", "all_rows", "quarantine", "the index has all frames of the extraction"),
        between("frames", "has_frames", "quarantine", "a recording has frames", min_value=1),
        zero("bad_pictures", "pictures_decode", "quarantine", "sampled pictures decode to 224x224 RGB"),
        zero("altered_pictures", "pictures_unaltered", "quarantine", "sampled pictures have the SHA-256 of the index"),
        between(
            "past_end_seconds",
            "within_recording",
            "quarantine",
            "no frame lies past the recording's end",
            max_value=END_SECONDS,
        ),
        between(
            "rate_share",
            "frame_rate",
            "warn",
            "90 to 110 % of the frames asked for are there",
            min_value=0.9,
            max_value=1.1,
        ),
        between(
            "unexplained_gap_seconds",
            "gaps_on_record",
            "warn",
            "times without frames are among the recorded gaps",
            max_value=1.0,
        ),
    ]


def _content() -> list[Any]:
    return [
        between("black_share", "not_all_black", "quarantine", "at most 95 % of the frames are black", max_value=0.95),
        between("black_share", "rarely_black", "warn", "at most 30 % of the frames are black", max_value=0.30),
        between(
            "frozen_share",
            "not_frozen",
            "quarantine",
            "at most 95 % of the frames repeat the one before",
            max_value=0.95,
        ),
        between(
            "frozen_share", "rarely_frozen", "warn", "at most 50 % of the frames repeat the one before", max_value=0.5
        ),
    ]
