"""What each second of a recording sounds like, in numbers that no channel's level or equalisation shifts.

    columns, level = sound_cues(read_sound, seconds=3600)       # float32 [3600, 30], int8 [180000]

Speech, music and effects differ in how the level moves, how flat the spectrum is and how it is shaped; commercials are
denser than programmes at the same loudness. Values are relative to the recording's own median, so nothing says which
channel it is. Sound is read in stretches: memory does not grow with the length.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ml_training.data.audio.mfcc import log_mel
from ml_training.detection.features import COLUMNS, Floats

Sound = npt.NDArray[np.int16]
ReadSound = Callable[[float, float], Sound]  # seconds -> int16 at 16 kHz

RATE = 16_000
BANDS = 32
WINDOWS = 100  # of the spectrum, a second
LEVELS = 50  # of the level, a second
LEVEL_SAMPLES = RATE // LEVELS
STRETCH_SECONDS = 60
SHAPES = 9  # cosine coefficients of the spectrum, the mean left out
QUIET_BELOW_MEAN_DB = 10.0
ONSET_DB = 3.0  # rise of all bands together from one window to the next but one
SYLLABLES = (3, 4, 5, 6, 7)  # Hz of the envelope: speech has most of its modulation there (Houtgast & Steeneken 1985)
SILENT_DB, FLOOR_DB = -50.0, -120.0
JUMPS = (1, 3, 8)  # seconds on either side of an edge that are compared
DESCRIBED = len(COLUMNS["sound"]) - len(JUMPS)
ABSOLUTE = frozenset({"level_spread", "quiet_share", "flux", "flux_spread", "onsets", "syllables"})


def sound_cues(read: ReadSound, seconds: int) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Return the columns of the group ``sound``, and the level in dB of full scale, 50 a second."""
    rows = np.zeros((seconds, DESCRIBED), np.float32)
    level = np.full(seconds * LEVELS, FLOOR_DB, np.int8)
    for start in range(0, seconds, STRETCH_SECONDS):
        end = min(start + STRETCH_SECONDS, seconds)
        sound = read(float(start), float(end) + 0.025)  # the last window reaches over the end
        rows[start:end] = describe(sound, end - start)
        level[start * LEVELS : end * LEVELS] = levels_of(sound[: (end - start) * RATE])
    rows = relative(rows)
    return np.concatenate([rows, jumps(rows)], axis=1), level


def jumps(rows: Floats) -> Floats:
    """Return how unlike the sound is before and after each edge of seconds, over 1, 3 and 8 s, float32 [seconds, 3].

    The mean distance of the columns, each in units of its own spread over the recording.
    """
    scaled = rows / np.maximum(rows.std(axis=0), 1e-3)
    total = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(scaled, axis=0, dtype=np.float64)])
    edges = np.arange(len(rows))
    columns = []
    for reach in JUMPS:
        low, high = np.maximum(edges - reach, 0), np.minimum(edges + reach, len(rows))
        before = (total[edges] - total[low]) / np.maximum(edges - low, 1)[:, None]
        after = (total[high] - total[edges]) / (high - edges)[:, None]
        columns.append(np.where(edges > 0, np.abs(after - before).mean(axis=1), 0.0))
    return np.stack(columns, axis=1).astype(np.float32)


def levels_of(sound: Sound) -> npt.NDArray[np.int8]:
    """Return the level of every 20 ms in dB of full scale, int8 [len(sound) // 320]."""
    whole = len(sound) // LEVEL_SAMPLES
    frames = sound[: whole * LEVEL_SAMPLES].reshape(whole, LEVEL_SAMPLES).astype(np.float32) / 32768.0
    return np.maximum(10 * np.log10(np.mean(frames**2, axis=1) + 1e-12), FLOOR_DB).astype(np.int8)


def describe(sound: Sound, seconds: int) -> Floats:
    """Return the columns of so many seconds of sound, as they are: ``relative`` comes later. float32 [seconds, 27]."""
    bands = np.zeros((seconds * WINDOWS, BANDS), np.float32)
    heard = log_mel(sound, BANDS)[: len(bands)]
    bands[:] = heard[-1] if len(heard) else -100.0
    bands[: len(heard)] = heard
    bands = np.maximum(bands, -80.0)  # deeper lies what encoders add
    energy = 10 * np.log10(np.mean(10 ** (bands / 10), axis=1))
    rise = np.diff(bands, axis=0, prepend=bands[:1])
    flux = np.maximum(rise, 0).mean(axis=1)
    shapes = bands @ _cosines()
    by_second = [part.reshape(seconds, WINDOWS, *part.shape[1:]) for part in (energy, flux, shapes, bands)]
    return _columns(*by_second)


def _columns(energy: Floats, flux: Floats, shapes: Floats, bands: Floats) -> Floats:
    loud, quiet = np.percentile(energy, (90, 10), axis=1)
    envelope = np.abs(np.fft.rfft(energy - energy.mean(axis=1, keepdims=True), axis=1)) ** 2
    syllables = envelope[:, list(SYLLABLES)].sum(axis=1) / np.maximum(envelope[:, 1:].sum(axis=1), 1e-3)
    rise = energy[:, 2:] - energy[:, :-2]
    columns = [
        energy.mean(axis=1),
        energy.std(axis=1),
        loud - quiet,
        (energy < energy.mean(axis=1, keepdims=True) - QUIET_BELOW_MEAN_DB).mean(axis=1),
        bands.std(axis=2).mean(axis=1),
        flux.mean(axis=1),
        flux.std(axis=1),
        (rise > ONSET_DB).mean(axis=1),
        syllables,
    ]
    return np.concatenate([np.stack(columns, axis=1), shapes.mean(axis=1), shapes.std(axis=1)], axis=1).astype(
        np.float32
    )


def relative(rows: Floats) -> Floats:
    """Return columns less their median over the recording, but for those that are relative already."""
    if not len(rows):
        return rows
    keep = [name in ABSOLUTE or name.startswith("shape_spread") for name in COLUMNS["sound"]]
    return np.asarray(rows - np.where(keep[:DESCRIBED], 0.0, np.median(rows, axis=0)), np.float32)


def separators(level: npt.NDArray[np.int8], seconds: int) -> Floats:
    """Return how deep the sound dips around each edge of seconds, and for how long, float32 [seconds, 2].

    The first is the lowest level of 60 ms within half a second of ``t``, in units of 20 dB below the recording's
    median; the second the silent share of that second. Zero without sound.
    """
    if not len(level):
        return np.zeros((seconds, 2), np.float32)
    smooth = np.convolve(np.pad(level.astype(np.float32), 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
    half = LEVELS // 2
    around = np.pad(smooth, (half, half), mode="edge")[: seconds * LEVELS].reshape(seconds, LEVELS)
    usual = float(np.median(level))
    dip = np.clip((usual - around.min(axis=1)) / 20.0, 0, 3)
    return np.stack([dip, (around < SILENT_DB).mean(axis=1)], axis=1).astype(np.float32)


def _cosines() -> Floats:
    order, place = np.arange(1, SHAPES + 1)[None], np.arange(BANDS)[:, None]
    return np.asarray(np.sqrt(2.0 / BANDS) * np.cos(np.pi * order * (place + 0.5) / BANDS), np.float32)
