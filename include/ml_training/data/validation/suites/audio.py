"""The suite ``audio``: the loudness of the index, the stored sound, and whether the two belong together.

found = tables(Scope("s3://adbreak", recordings=["news-0105"]))
found["frames"], found["recordings"]             # a row a frame, a row a recording

A recording without sound breaks no rule; one whose sound is damaged, of another length or not its own does.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml_training.cloud import storage
from ml_training.data.audio.sound import SAMPLE_RATE, Sound, decode_flac, has_sound, shard_name
from ml_training.data.validation.rules import Rules, between, once, zero
from ml_training.data.validation.scope import Scope, Tables, in_parallel, number, recordings_with_frames, spread
from ml_training.data.validation.stored import Stored, read_stored
from ml_training.utils.errors import DataError, StorageError

SHARDS_SAMPLED = 3  # a recording: the first, one in the middle, the last
CLIPPED = 32_700  # of 32767
MOMENT_SECONDS = 0.4  # of BS.1770's momentary loudness
AUDIBLE_LUFS = -50.0  # below it weighting and dither decide, so a comparison says nothing
FEWEST_MOMENTS = 30
LEAST_AGREEMENT = 0.25  # 9 of 10 recordings with another one's sound are below it
USUAL_AGREEMENT = 0.6  # generated recordings have 0.8 to 0.99, with another one's sound -0.3 to 0.5
LEAST_SPREAD = 1.0  # standard deviation in LU; with less the weighting outweighs what is heard
COLUMNS = ["recording_id", "pts_seconds", "loudness_lufs", "is_silent"]


class SoundSample(NamedTuple):
    """What a few stored shards of sound showed. Shares and the rest are NaN where nothing could be measured."""

    bad_files: int = 0
    wrong_lengths: int = 0
    clipped_share: float = np.nan
    offset: float = np.nan  # mean of the samples, of full scale
    agreement: float = np.nan  # of the index's loudness with the sound, -1..1


def tables(scope: Scope) -> Tables:
    """Return ``frames`` (a row a frame) and ``recordings`` (a row a recording) of the newest extractions."""
    names = recordings_with_frames(scope)
    if not names:
        return {}
    loaded = in_parallel(names, lambda name: read_stored(scope.data_dir, name))
    samples = in_parallel(loaded, sample_sound)
    frames = pd.concat([stored.index.reindex(columns=COLUMNS) for stored in loaded], ignore_index=True)
    summaries = [summarise(stored, sample) for stored, sample in zip(loaded, samples, strict=True)]
    return {"frames": frames.assign(silent_lufs=silent_loudness(frames)), "recordings": pd.DataFrame(summaries)}


def silent_loudness(frames: pd.DataFrame) -> pd.Series:
    """Return the loudness of the frames that are flagged as silent, NaN for the others."""
    silent = frames["is_silent"].eq(True).fillna(False).astype(bool)
    return pd.to_numeric(frames["loudness_lufs"], errors="coerce").where(silent)


def sample_sound(stored: Stored) -> SoundSample:
    """Decode a few shards of a recording's sound; one that is missing or damaged is counted."""
    facts = stored.facts
    if not has_sound(facts) or not facts.get("shard_seconds"):
        return SoundSample()
    shards, length = facts["sound"]["shards"], round(facts["shard_seconds"] * SAMPLE_RATE)
    decoded: dict[int, Sound] = {}
    bad = 0
    for at in spread(shards, SHARDS_SAMPLED):
        try:
            path = storage.cached_copy(storage.join(stored.folder, shard_name(at)))
            decoded[at] = decode_flac(path.read_bytes())
        except (StorageError, DataError, OSError):
            bad += 1
    wrong = sum(not _fits(len(sound), length, at == shards - 1) for at, sound in decoded.items())
    together = np.concatenate([*decoded.values(), np.zeros(0, np.int16)])
    if not len(together):
        return SoundSample(bad, wrong)
    return SoundSample(
        bad_files=bad,
        wrong_lengths=wrong,
        clipped_share=float(np.mean(np.abs(together.astype(np.int32)) >= CLIPPED)),
        offset=float(abs(together.mean()) / 32768),
        agreement=loudness_agreement(stored.index, decoded, length),
    )


def _fits(samples: int, shard_samples: int, is_last: bool) -> bool:
    return 0 < samples <= shard_samples if is_last else samples == shard_samples


def loudness_agreement(index: pd.DataFrame, decoded: Mapping[int, Sound], shard_samples: int) -> float:
    """Return the correlation, over frames, of the index's loudness with the level of the stored sound: 1 is the same.

    NaN where too few frames are audible, or all are about as loud. A level is not weighted and channels are mixed, so
    the two differ by some LU; but they rise and fall together, which the sound of another recording does not.
    """
    rows = index.reindex(columns=COLUMNS).dropna(subset=["loudness_lufs"])
    pairs = []
    for seconds, lufs in zip(rows["pts_seconds"].astype(float), rows["loudness_lufs"].astype(float), strict=True):
        shard, at = divmod(round(seconds * SAMPLE_RATE), shard_samples)
        level = _level(decoded[shard], at) if shard in decoded else -math.inf
        if lufs > AUDIBLE_LUFS and level > AUDIBLE_LUFS:
            pairs.append((lufs, level))
    if len(pairs) < FEWEST_MOMENTS or np.std(pairs, axis=0).min() < LEAST_SPREAD:
        return np.nan
    return float(np.corrcoef(np.array(pairs).T)[0, 1])


def _level(sound: Sound, at: int) -> float:
    """Return the level around a sample in dB of full scale."""
    half = round(MOMENT_SECONDS * SAMPLE_RATE / 2)
    moment: npt.NDArray[np.float64] = sound[max(0, at - half) : at + half].astype(np.float64) / 32768
    power = float(np.mean(moment**2)) if len(moment) else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf


def summarise(stored: Stored, sample: SoundSample) -> dict[str, Any]:
    """Return one recording's row of the table ``recordings``; without sound most of it is NaN."""
    facts = stored.facts
    sounding = has_sound(facts)
    index = stored.index.reindex(columns=COLUMNS)
    loudness = pd.to_numeric(index["loudness_lufs"], errors="coerce")
    measured = sounding and len(index) > 0
    return {
        "recording_id": stored.recording_id,
        "not_stored": int(bool(facts.get("has_audio")) and not sounding) if "sound" in facts else np.nan,
        "missing_shards": missing_shards(facts) if sounding else np.nan,
        "unmeasured_share": float(loudness.isna().mean()) if measured else np.nan,
        "silent_share": float(index["is_silent"].eq(True).mean()) if measured else np.nan,
        "median_lufs": float(loudness.median()) if measured and loudness.notna().any() else np.nan,
        **sample._asdict(),
    }


def missing_shards(facts: Mapping[str, Any]) -> float:
    """Return how many files of sound are missing, or too many, for the recording's length."""
    length, shard = number(facts, "duration_seconds"), number(facts, "shard_seconds")
    if not (length > 0 and shard > 0):
        return np.nan
    return abs(math.ceil(round(length / shard, 6)) - int(facts["sound"]["shards"]))


def rules() -> Rules:
    """Return the rules of the suite, by table."""
    frames = [
        between(
            "loudness_lufs",
            "loudness_range",
            "quarantine",
            "momentary loudness is within -200..20 LUFS",
            min_value=-200,
            max_value=20,
        ),
        between(
            "silent_lufs",
            "silence_is_silent",
            "quarantine",
            "what is flagged as silent is below -40 LUFS",
            max_value=-40,
        ),
    ]
    return {"frames": frames, "recordings": [*_files(), *_levels()]}


def _files() -> list[Any]:
    return [
        once("recording_id", "recording_once", "stop", "each recording is there once"),
        zero("not_stored", "sound_stored", "quarantine", "a recording with sound has it stored"),
        zero("missing_shards", "all_shards", "quarantine", "there is sound for the whole recording"),
        zero("bad_files", "sound_decodes", "quarantine", "sampled files of sound decode"),
        zero("wrong_lengths", "shard_length", "quarantine", "sampled files of sound are as long as their shard"),
        between(
            "agreement",
            "sound_is_its_own",
            "quarantine",
            "the stored sound rises and falls with the loudness of the index",
            min_value=LEAST_AGREEMENT,
        ),
        between(
            "agreement",
            "sound_follows",
            "warn",
            "its level and the loudness of the index correlate by 0.6",
            min_value=USUAL_AGREEMENT,
        ),
        between(
            "unmeasured_share",
            "loudness_measured",
            "warn",
            "90 % of the frames with sound have a loudness",
            max_value=0.1,
        ),
    ]


def _levels() -> list[Any]:
    return [
        between("silent_share", "not_silent", "warn", "at most 95 % of a recording is silent", max_value=0.95),
        between(
            "median_lufs",
            "usual_loudness",
            "warn",
            "the median loudness is within -45..-8 LUFS",
            min_value=-45,
            max_value=-8,
        ),
        between("clipped_share", "rarely_clipped", "warn", "at most 1 % of the samples are clipped", max_value=0.01),
        between("offset", "no_offset", "warn", "the sound swings around zero within 2 % of full scale", max_value=0.02),
    ]
