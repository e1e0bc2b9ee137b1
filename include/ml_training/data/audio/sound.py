"""The stored sound of a recording: 16 kHz, mono, 16 bit, in media time.

    extraction = read_extraction("s3://adbreak", "news-0105")
    sound = load_sound("s3://adbreak", extraction, 120.0, 130.0)     # int16 [160000]

Beside each shard of frames lies ``sound-NNNNN.flac`` with exactly the shard's stretch of media time: sample ``i`` of
shard ``k`` is at ``k * shard_seconds + i / 16000``. FLAC loses nothing and every tool reads it. Where a recording has
no sound for a while, the samples are zero.
"""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from ml_training.cloud import storage
from ml_training.data.frames import extraction_folder
from ml_training.utils.errors import DataError

Sound = npt.NDArray[np.int16]

SAMPLE_RATE = 16_000  # samples a second: what speech and music classifiers take, and a fifth of a broadcast's bytes
FLAC_BLOCK = 4096
FLAC_MARK = b"fLaC"
SHARDS_KEPT = 8  # decoded shards that readers keep: 8 MB each for 256 s


def has_sound(extraction: Mapping[str, Any]) -> bool:
    """Tell whether an extraction (its ``extraction.json``) has stored sound."""
    return bool(extraction.get("sound"))


def shard_name(number: int) -> str:
    """Return the name of a shard's sound file."""
    return f"sound-{number:05d}.flac"


def load_sound(root: str, extraction: Mapping[str, Any], start_seconds: float, end_seconds: float) -> Sound:
    """Return int16 [round((end - start) * 16000)] of media time; zeros outside the recording.

    Raises DataError when the extraction has no sound, ObjectNotFound when a shard is not there.
    """
    if not has_sound(extraction):
        raise DataError(f"{extraction['recording_id']} has no stored sound: see has_sound()")
    first = round(start_seconds * SAMPLE_RATE)
    sound = np.zeros(max(0, round((end_seconds - start_seconds) * SAMPLE_RATE)), np.int16)
    folder = extraction_folder(root, extraction["recording_id"], extraction["extraction_id"])
    length = round(extraction["shard_seconds"] * SAMPLE_RATE)
    for number in range(max(0, first // length), extraction["sound"]["shards"]):
        begin = number * length
        if begin >= first + len(sound):
            break
        shard = _read_shard(storage.join(folder, shard_name(number)))
        left, right = max(first, begin), min(first + len(sound), begin + len(shard))
        if right > left:
            sound[left - first : right - first] = shard[left - begin : right - begin]
    return sound


@lru_cache(maxsize=SHARDS_KEPT)
def _read_shard(uri: str) -> Sound:
    return decode_flac(storage.cached_copy(uri).read_bytes())


def encode_flac(sound: Sound) -> bytes:
    """Encode int16 [n] at 16 kHz as FLAC; the same samples give the same bytes."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="flac", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE)
        stream.layout, stream.format = "mono", "s16"
        stream.codec_context.options = {"compression_level": "5", "flags": "+bitexact"}
        for at in range(0, len(sound), FLAC_BLOCK):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[None, at : at + FLAC_BLOCK]), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = SAMPLE_RATE, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


def decode_flac(data: bytes) -> Sound:
    """Decode FLAC, as ``encode_flac`` writes it, to int16 [n]. Raises DataError when it is none."""
    if not data.startswith(FLAC_MARK):
        raise DataError(f"expected FLAC, received {len(data)} bytes that begin otherwise")
    try:
        with av.open(io.BytesIO(data), "r", format="flac") as container:
            pieces = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    except FFmpegError as error:
        raise DataError(f"expected FLAC, received {len(data)} bytes that do not decode: {error}") from error
    return np.concatenate(pieces).astype(np.int16, copy=False) if pieces else np.zeros(0, np.int16)
