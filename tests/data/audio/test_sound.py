import numpy as np
import pytest
from ml_training.cloud import storage
from ml_training.data.audio.sound import SAMPLE_RATE, decode_flac, encode_flac, load_sound, shard_name
from ml_training.utils.errors import DataError, ObjectNotFound

SHARD_SECONDS = 2.0


@pytest.fixture
def stored(tmp_path):
    """Five seconds in shards of two: the last one is short."""
    sound = np.random.default_rng(1).integers(-20_000, 20_000, 5 * SAMPLE_RATE).astype(np.int16)
    length = round(SHARD_SECONDS * SAMPLE_RATE)
    for number, at in enumerate(range(0, len(sound), length)):
        uri = storage.join(str(tmp_path), "frames", "a", "x1", shard_name(number))
        storage.write_bytes(uri, encode_flac(sound[at : at + length]))
    extraction = {"recording_id": "a", "extraction_id": "x1", "shard_seconds": SHARD_SECONDS, "sound": {"shards": 3}}
    return str(tmp_path), extraction, sound


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 40_000])
def test_flac_gives_back_every_sample(length):
    sound = np.random.default_rng(length).integers(-32_768, 32_768, length).astype(np.int16)
    assert np.array_equal(decode_flac(encode_flac(sound)), sound)
    assert encode_flac(sound) == encode_flac(sound)


@pytest.mark.parametrize(("start", "end"), [(0, 5), (1.5, 2.5), (3.25, 4.999), (0.1, 0.1), (4, 5)])
def test_a_stretch_is_cut_to_the_sample_across_shards(stored, start, end):
    root, extraction, sound = stored
    expected = sound[round(start * SAMPLE_RATE) :][: round((end - start) * SAMPLE_RATE)]
    assert np.array_equal(load_sound(root, extraction, start, end), expected)


def test_outside_the_recording_there_are_zeros(stored):
    root, extraction, sound = stored
    before = load_sound(root, extraction, -1, 1)
    assert not before[:SAMPLE_RATE].any()
    assert np.array_equal(before[SAMPLE_RATE:], sound[:SAMPLE_RATE])
    after = load_sound(root, extraction, 4, 7)
    assert np.array_equal(after[:SAMPLE_RATE], sound[4 * SAMPLE_RATE :])
    assert not after[SAMPLE_RATE:].any()
    assert len(after) == 3 * SAMPLE_RATE


def test_what_is_not_there_is_said(stored):
    root, extraction, _ = stored
    with pytest.raises(DataError, match="no stored sound"):
        load_sound(root, {**extraction, "sound": None}, 0, 1)
    with pytest.raises(ObjectNotFound):
        load_sound(root, {**extraction, "extraction_id": "other"}, 0, 1)
    with pytest.raises(DataError, match="expected FLAC"):
        decode_flac(b"no sound at all")
