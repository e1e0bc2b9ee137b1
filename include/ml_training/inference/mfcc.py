"""The one MFCC that training and devices share, in NumPy alone.

    mfcc(sound, bands=40)            # int16 [n] at 16 kHz -> float32 [1 + (n - 400) // 160, 40]
    log_mel(sound, bands=32)         # the same before the cosine transform, in dB

Windows of 25 ms every 10 ms, periodic Hann, power spectrum of 512 points, Slaney's mel bands of equal area from 0 to
8 kHz, 10 log10 with a floor of 1e-10, orthonormal DCT-II. These are librosa's definitions with ``n_fft=512,
win_length=400, hop_length=160, center=False, top_db=None``, but a window begins where its sound begins: librosa puts it
into the middle of the 512 points. Tests hold both together.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
WINDOW = 400  # 25 ms: shorter than a syllable, longer than a pitch period
HOP = 160  # 10 ms
FFT_POINTS = 512
BANDS = (32, 40)
FLOOR = 1e-10  # -100 dB of full scale
WINDOWS_AT_ONCE = 4096  # 40 s: bounds the memory for long sound

Floats = npt.NDArray[np.float32]


def mfcc(sound: npt.NDArray[Any], bands: int = 40, coefficients: int | None = None) -> Floats:
    """Return float32 [windows, coefficients] (default: as many as bands) of int16 [n], or float [n] within -1..1."""
    return np.asarray(log_mel(sound, bands) @ _cosines(bands)[: coefficients or bands].T, np.float32)


def log_mel(sound: npt.NDArray[Any], bands: int = 40) -> Floats:
    """Return the energy of mel bands in dB, float32 [windows, bands]; no window where there is less than 25 ms.

    Raises ValueError for another number of bands than 32 or 40, or sound that is not one channel.
    """
    if bands not in BANDS or sound.ndim != 1:
        raise ValueError(f"expected 32 or 40 bands and sound of shape [n], received {bands} and {sound.shape}")
    scale = 32_768.0 if sound.dtype == np.int16 else 1.0
    windows = max(0, 1 + (len(sound) - WINDOW) // HOP)
    result = np.empty((windows, bands), np.float32)
    for first in range(0, windows, WINDOWS_AT_ONCE):
        count = min(WINDOWS_AT_ONCE, windows - first)
        piece = sound[first * HOP : (first + count - 1) * HOP + WINDOW].astype(np.float64) / scale
        framed = np.lib.stride_tricks.sliding_window_view(piece, WINDOW)[::HOP]
        power = np.abs(np.fft.rfft(framed * _hann(), FFT_POINTS)) ** 2
        result[first : first + count] = 10.0 * np.log10(np.maximum(power @ mel_bands(bands).T, FLOOR))
    return result


@lru_cache(maxsize=len(BANDS))
def mel_bands(bands: int) -> npt.NDArray[np.float64]:
    """Return the weights of the bands, float64 [bands, 257]: triangles on Slaney's mel scale, each of the same area."""
    frequencies = np.arange(FFT_POINTS // 2 + 1) * SAMPLE_RATE / FFT_POINTS
    edges = _hertz(np.linspace(0.0, _mel(SAMPLE_RATE / 2), bands + 2))
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * area[:, None], np.float64)


# Slaney's Auditory Toolbox, 1998: linear below 1 kHz (200/3 Hz a mel), logarithmic above.
_LINEAR, _BREAK_HERTZ, _STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27.0


def _mel(hertz: float) -> float:
    if hertz < _BREAK_HERTZ:
        return hertz / _LINEAR
    return float(_BREAK_HERTZ / _LINEAR + np.log(hertz / _BREAK_HERTZ) / _STEP)


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    high = _BREAK_HERTZ * np.exp(_STEP * (mel - _BREAK_HERTZ / _LINEAR))
    return np.where(mel < _BREAK_HERTZ / _LINEAR, mel * _LINEAR, high)


@lru_cache(maxsize=1)
def _hann() -> npt.NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


@lru_cache(maxsize=len(BANDS))
def _cosines(bands: int) -> npt.NDArray[np.float64]:
    order, place = np.arange(bands)[:, None], np.arange(bands)
    table = np.sqrt(2.0 / bands) * np.cos(np.pi * order * (place + 0.5) / bands)
    table[0] /= np.sqrt(2.0)
    return np.asarray(table, np.float64)
