"""What a recording sounds like, in a form that survives another encode and another level.

    prints = sound_prints(sound)              # int16 [n] at 16 kHz
    prints.bits                               # uint32 [frames], 50 a second: compared bit by bit, they align to 20 ms
    prints.codes, prints.code_frames          # uint8 [landmarks, 32]: what the index over the archive searches

``bits`` are the sub-fingerprints of Haitsma and Kalker (ISMIR 2002): whether the difference of neighbouring bands rises
or falls. ``codes`` are taken only at landmarks, the sharpest rise of energy within a second, so that two airings are
sampled at the same moments: 256 signs of the cosine transform of the spectrogram around each.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

from ml_training.data.audio.sound import SAMPLE_RATE, Sound

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint32]
Codes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

HOP = 320  # samples from frame to frame
FRAME_RATE = SAMPLE_RATE / HOP  # frames a second: 50
WINDOW = 1024  # samples of a frame
BANDS = 33  # the differences of neighbours give 32 bits
LOWEST_HZ, HIGHEST_HZ = 250.0, 5200.0  # what every broadcast chain keeps
FLOOR = 1e-3  # of the frame's mean energy is added to each band: what lies deeper is noise of the encoder
RISE = 2  # frames on either side over which energy rises
LANDMARK_REACH = 20  # frames on either side in which a landmark is the largest
CODE_BEFORE, CODE_FRAMES = 10, 80  # a code covers 0.2 s before the landmark and 1.4 s after it
CODE_IN_TIME, CODE_IN_BANDS = 16, 16  # 16 x 16 cosines: 256 bits
CODE_BYTES = CODE_IN_TIME * CODE_IN_BANDS // 8
BLOCK_FRAMES = 3000
QUIET_DB = -60.0  # of full scale: no evidence for or against


class SoundPrints(NamedTuple):
    """The sound of a recording; frame ``k`` is centred on ``k / 50`` seconds of media time."""

    bits: Bits  # [frames]
    level: npt.NDArray[np.int8]  # [frames], dB of full scale, -120 for digital silence
    codes: Codes  # [landmarks, 32]
    code_frames: Integers  # [landmarks], the frame of each landmark, in order


def sound_prints(sound: Sound) -> SoundPrints:
    """Fingerprint int16 [n] at 16 kHz."""
    energies, level = spectrogram(sound)
    frames = landmarks(energies, level)
    return SoundPrints(sub_fingerprints(energies), level, codes_at(energies, frames), frames)


def spectrogram(sound: Sound) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Return the log energy of each band, float32 [frames, 33], and the level of each frame in dB, int8 [frames]."""
    count = len(sound) // HOP
    energies, level = np.empty((count, BANDS), np.float32), np.empty(count, np.int8)
    for first, frames in _blocks(sound, count):
        power = np.abs(scipy.fft.rfft(frames * _window(), axis=1)) ** 2
        bands = power @ _filters()
        mean_square = np.mean(frames**2, axis=1)
        energies[first : first + len(frames)] = np.log(bands + FLOOR * bands.mean(axis=1, keepdims=True) + 1e-9)
        level[first : first + len(frames)] = np.maximum(10 * np.log10(mean_square + 1e-12), -120)
    return energies, level


def _blocks(sound: Sound, count: int) -> Iterator[tuple[int, Floats]]:
    half = WINDOW // 2
    for first in range(0, count, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, count)
        begin, end = first * HOP - half, (last - 1) * HOP + half
        piece = np.zeros(end - begin, np.float32)
        left, right = max(0, begin), min(len(sound), end)
        piece[left - begin : right - begin] = sound[left:right] / np.float32(32768)
        yield first, np.lib.stride_tricks.sliding_window_view(piece, WINDOW)[::HOP]


@lru_cache(maxsize=1)
def _window() -> Floats:
    return np.hanning(WINDOW).astype(np.float32)


@lru_cache(maxsize=1)
def _filters() -> Floats:
    """Return triangles on a logarithmic scale, float32 [513, 33], each of area one."""
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 2)
    hertz = np.arange(WINDOW // 2 + 1) * SAMPLE_RATE / WINDOW
    rising = (hertz[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) + 1e-6
    return (filters / filters.sum(axis=0)).astype(np.float32)


def sub_fingerprints(energies: Floats) -> Bits:
    """Return 32 bits a frame: whether the difference of two neighbouring bands rises over 80 ms. uint32 [frames]."""
    if not len(energies):
        return np.zeros(0, np.uint32)
    slope = np.diff(_smooth(energies), axis=1)
    rises = _ahead(slope, RISE) - _ahead(slope, -RISE) > 0
    return np.packbits(rises, axis=1).view(">u4").ravel().astype(np.uint32)


def _smooth(energies: Floats) -> Floats:
    return np.asarray(scipy.ndimage.uniform_filter1d(energies, 3, axis=0, mode="nearest"), np.float32)


def _ahead(values: Floats, frames: int) -> Floats:
    at = np.clip(np.arange(len(values)) + frames, 0, len(values) - 1)
    return np.asarray(values[at], np.float32)


def landmarks(energies: Floats, level: npt.NDArray[np.int8]) -> Integers:
    """Return the frames where energy rises most within 0.4 s on either side; none in silence or at the edges."""
    if len(energies) <= CODE_FRAMES:
        return np.zeros(0, np.int64)
    smooth = _smooth(energies)
    rise = np.maximum(_ahead(smooth, RISE) - _ahead(smooth, -RISE), 0).sum(axis=1)
    rise = scipy.ndimage.gaussian_filter1d(rise, 1.5)
    largest = rise == scipy.ndimage.maximum_filter1d(rise, 2 * LANDMARK_REACH + 1)
    frames = np.flatnonzero(largest & (rise > 0) & (scipy.ndimage.maximum_filter1d(level, 9) > QUIET_DB))
    inside = (frames >= CODE_BEFORE) & (frames + CODE_FRAMES - CODE_BEFORE <= len(energies))
    return frames[inside].astype(np.int64)


def codes_at(energies: Floats, frames: Integers) -> Codes:
    """Return the code of the spectrogram around each frame, uint8 [len(frames), 32]."""
    codes = np.empty((len(frames), CODE_BYTES), np.uint8)
    in_time, in_bands = _cosines(CODE_FRAMES, CODE_IN_TIME), _cosines(BANDS, CODE_IN_BANDS, first=0)
    reach = np.arange(CODE_FRAMES) - CODE_BEFORE
    for at in range(0, len(frames), BLOCK_FRAMES):
        patches = energies[frames[at : at + BLOCK_FRAMES, None] + reach]  # [n, 80, 33]
        transformed = np.einsum("nfb,ft,bc->ntc", patches, in_time, in_bands, optimize=True)
        codes[at : at + BLOCK_FRAMES] = np.packbits(transformed.reshape(len(patches), -1)[:, _order()] > 0, axis=1)
    return codes


@lru_cache(maxsize=4)
def _cosines(length: int, count: int, first: int = 1) -> Floats:
    at = (np.arange(length) + 0.5) / length
    return np.cos(np.pi * at[:, None] * np.arange(first, first + count)).astype(np.float32)


@lru_cache(maxsize=1)
def _order() -> Integers:
    """The order of a code's bits: first sixteen slow and wide cosines, which other encodes change least."""
    grid = np.arange(CODE_IN_TIME * CODE_IN_BANDS).reshape(CODE_IN_TIME, CODE_IN_BANDS)
    key = grid[:4, 1:5].ravel()
    return np.concatenate([key, np.setdiff1d(grid.ravel(), key)])
