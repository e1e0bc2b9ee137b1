"""The suite ``audio``: every rule holds for good sound, and each is broken by what it is there for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ml_training.data.audio.sound import SAMPLE_RATE, Sound, encode_flac, shard_name
from ml_training.data.validation.stored import Stored
from ml_training.data.validation.suites.audio import (
    SoundSample,
    missing_shards,
    rules,
    sample_sound,
    silent_loudness,
    summarise,
)

SHARD_SECONDS = 10
FACTS: dict[str, Any] = {
    "recording_id": "a",
    "duration_seconds": 25.0,
    "has_audio": True,
    "shard_seconds": SHARD_SECONDS,
    "sound": {"shards": 3},
}


def loudness_of_second(second: int) -> float:
    """Levels that rise and fall, in dB of full scale."""
    return -20.0 - float((second * second * 7 + 3) % 17)


def sound() -> Sound:
    """Noise whose level changes every second, 25 s of it."""
    noise = np.random.default_rng(1).standard_normal(25 * SAMPLE_RATE)
    gains = np.repeat([10 ** (loudness_of_second(second) / 20) for second in range(25)], SAMPLE_RATE)
    return np.clip(noise * gains * 32768, -32768, 32767).astype(np.int16)


def index(**columns: Any) -> pd.DataFrame:
    seconds = np.arange(50) / 2 + 0.25
    return pd.DataFrame(
        {
            "recording_id": "a",
            "pts_seconds": seconds,
            "loudness_lufs": [loudness_of_second(int(second)) - 0.7 for second in seconds],
            "is_silent": False,
        }
    ).assign(**columns)


def store(folder: Path, samples: Sound) -> Stored:
    length = SHARD_SECONDS * SAMPLE_RATE
    for number in range(3):
        (folder / shard_name(number)).write_bytes(encode_flac(samples[number * length : (number + 1) * length]))
    return Stored("a", FACTS, index(), [], [], str(folder))


def rows(**columns: Any) -> pd.DataFrame:
    table = index(**columns)
    return table.assign(silent_lufs=silent_loudness(table))


def summary(sample: SoundSample | None = None, table: pd.DataFrame | None = None, **facts: Any) -> pd.DataFrame:
    stored = Stored("a", FACTS | facts, index() if table is None else table, [], [], "")
    return pd.DataFrame([summarise(stored, sample or SoundSample(0, 0, 0.0, 0.0, 0.9))])


BROKEN: dict[tuple[str, str], Callable[[], pd.DataFrame]] = {
    ("frames", "loudness_range"): lambda: rows(loudness_lufs=[35.0, *([-20.0] * 49)]),
    ("frames", "silence_is_silent"): lambda: rows(is_silent=True),
    ("recordings", "recording_once"): lambda: pd.concat([summary(), summary()], ignore_index=True),
    ("recordings", "sound_stored"): lambda: summary(sound=None),
    ("recordings", "all_shards"): lambda: summary(sound={"shards": 2}),
    ("recordings", "sound_decodes"): lambda: summary(SoundSample(bad_files=1)),
    ("recordings", "shard_length"): lambda: summary(SoundSample(wrong_lengths=1)),
    ("recordings", "sound_is_its_own"): lambda: summary(SoundSample(agreement=0.1)),
    ("recordings", "sound_follows"): lambda: summary(SoundSample(agreement=0.5)),
    ("recordings", "loudness_measured"): lambda: summary(table=index(loudness_lufs=np.nan)),
    ("recordings", "not_silent"): lambda: summary(table=index(is_silent=True)),
    ("recordings", "usual_loudness"): lambda: summary(table=index(loudness_lufs=-3.0)),
    ("recordings", "rarely_clipped"): lambda: summary(SoundSample(clipped_share=0.02)),
    ("recordings", "no_offset"): lambda: summary(SoundSample(offset=0.1)),
}


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert [(table, rule.meta["name"]) for table, found in rules().items() for rule in found] == list(BROKEN)


@pytest.mark.parametrize("case", BROKEN, ids="-".join)
def test_a_rule_holds_for_good_data_and_not_for_bad(case: tuple[str, str], check_rule: Any) -> None:
    good = rows() if case[0] == "frames" else summary()
    check_rule(rules()[case[0]], case[1], good, BROKEN[case]())


def test_good_sound_is_measured(tmp_path: Path) -> None:
    sample = sample_sound(store(tmp_path, sound()))
    assert (sample.bad_files, sample.wrong_lengths) == (0, 0)
    assert sample.clipped_share < 0.001
    assert sample.offset < 0.001
    assert sample.agreement > 0.95


def test_the_sound_of_another_recording_is_noticed(tmp_path: Path) -> None:
    assert sample_sound(store(tmp_path, np.roll(sound(), 4 * SAMPLE_RATE))).agreement < 0.25


def test_damaged_clipped_and_shortened_files_are_counted(tmp_path: Path) -> None:
    stored = store(tmp_path, np.full(25 * SAMPLE_RATE, 32767, np.int16))
    (tmp_path / shard_name(1)).write_bytes(b"no sound")
    (tmp_path / shard_name(0)).write_bytes(encode_flac(np.full(SAMPLE_RATE, 32767, np.int16)))
    sample = sample_sound(stored)
    assert (sample.bad_files, sample.wrong_lengths, sample.clipped_share) == (1, 1, 1.0)
    assert sample.offset == pytest.approx(1, abs=1e-3)
    (tmp_path / shard_name(2)).unlink()
    assert sample_sound(stored).bad_files == 2


def test_a_recording_without_sound_breaks_nothing(check_rule: Any) -> None:
    silent = Stored("a", FACTS | {"has_audio": False, "sound": None}, index(loudness_lufs=np.nan), [], [], "")
    table = pd.DataFrame([summarise(silent, sample_sound(silent))])
    for (name, rule), broken in BROKEN.items():
        if name == "recordings":
            check_rule(rules()[name], rule, table, broken())


def test_shards_are_counted_to_the_end() -> None:
    assert missing_shards(FACTS) == 0
    assert missing_shards(FACTS | {"duration_seconds": 30.0}) == 0
    assert missing_shards(FACTS | {"duration_seconds": 30.5}) == 1
