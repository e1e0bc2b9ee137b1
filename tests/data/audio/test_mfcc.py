"""The MFCC of training and devices is librosa's, window by window."""

import librosa
import numpy as np
import pytest
from ml_training.data.audio.mfcc import FFT_POINTS, HOP, SAMPLE_RATE, WINDOW, log_mel, mel_bands, mfcc

TOLERANCE_DB = 0.01


def sound(seconds: float = 3.0) -> np.ndarray:
    """A voice-like tone that glides, with noise: int16."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * k * (120 * time + 30 * time**2)) / k for k in range(1, 20))
    return (3000 * voice + np.random.default_rng(5).normal(0, 300, len(time))).astype(np.int16)


@pytest.mark.parametrize("bands", [32, 40])
def test_bands_are_librosas(bands: int) -> None:
    expected = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=FFT_POINTS, n_mels=bands, dtype=np.float64)
    assert np.allclose(mel_bands(bands), expected, atol=1e-9)


@pytest.mark.parametrize(("bands", "coefficients"), [(32, 32), (40, 40), (40, 13)])
def test_coefficients_are_librosas(bands: int, coefficients: int) -> None:
    ours = mfcc(sound(), bands, coefficients)
    shifted = np.pad(sound() / 32_768.0, ((FFT_POINTS - WINDOW) // 2, FFT_POINTS))
    options = {"n_fft": FFT_POINTS, "win_length": WINDOW, "hop_length": HOP, "center": False, "n_mels": bands}
    mel = librosa.feature.melspectrogram(y=shifted, sr=SAMPLE_RATE, **options)
    expected = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=None), n_mfcc=coefficients).T
    assert ours.shape == (1 + (3 * SAMPLE_RATE - WINDOW) // HOP, coefficients)
    assert np.allclose(ours, expected[: len(ours)], atol=TOLERANCE_DB)


def test_float_sound_gives_the_same_and_long_sound_too() -> None:
    one = sound(50.0)
    assert np.allclose(log_mel(one), log_mel(one / 32_768.0), atol=1e-4)
    assert np.array_equal(log_mel(one)[4500], log_mel(one[4500 * HOP :][:WINDOW])[0])


def test_silence_is_the_floor_and_what_is_no_sound_is_refused() -> None:
    assert np.all(log_mel(np.zeros(1600, np.int16)) == -100.0)
    assert mfcc(np.zeros(399, np.int16)).shape == (0, 40)
    with pytest.raises(ValueError, match="32 or 40 bands"):
        mfcc(np.zeros(1600, np.int16), bands=20)
    with pytest.raises(ValueError, match=r"shape \[n\]"):
        mfcc(np.zeros((2, 1600), np.int16))
