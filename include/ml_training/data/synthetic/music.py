"""Music beds: real tracks that a package carries, sound of one's own, and beds that are put together from notes.

    samples = music("channel-03-music-05", seed=7, samples=480_000, offset=0)      # about unit level

The name tells the owner: a channel or ``national``. Programmes and ads of an owner use the same beds.
"""

import functools

import av
import av.error
import numpy as np
import numpy.typing as npt

from ml_training.data.synthetic.randomness import between, chance, pick, stream
from ml_training.data.synthetic.sources import BOTH, Sources, path_of
from ml_training.utils.errors import DataError

SAMPLE_RATE = 48_000
BARS = 4  # of four beats each before a made bed repeats itself, with another tune each time
REAL_SHARE = 0.6
LONGEST_SECONDS = 90.0
Samples = npt.NDArray[np.float32]


def music(name: str, seed: int, samples: int, offset: int = 0, *, media: str | None = None, use: str = BOTH) -> Samples:
    """Return ``samples`` samples of the bed of this name, from ``offset`` samples into it."""
    rng = stream(seed, "bed", name)
    if chance(rng, REAL_SHARE):
        track = _track(Sources(seed, name.partition("-music-")[0], media).draw(rng, "bed", use))
        offset += int(between(rng, 0, 1) * len(track))
    else:
        track = made_bed(seed, name)
    start = offset % len(track)
    return np.tile(track, (start + samples) // len(track) + 1)[start : start + samples]


@functools.lru_cache(maxsize=4)
def _track(name: str) -> Samples:
    """Return the first minute and a half of a track, mono at 48 kHz and unit level."""
    path, parts, count = path_of(name), [], 0
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    parts.append(part.to_ndarray()[0])
                    count += part.samples
                if count > LONGEST_SECONDS * SAMPLE_RATE:
                    break
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise DataError(f"no sound can be read from {path}: {error}; take it out of --media", path=str(path)) from error
    sound: Samples = np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
    if len(sound) < SAMPLE_RATE or not sound.any():
        raise DataError(f"expected at least a second of sound in {path}; take it out of --media", path=str(path))
    return (sound / (np.sqrt(np.mean(sound**2)) + 1e-6)).astype(np.float32)


@functools.lru_cache(maxsize=8)
def made_bed(seed: int, name: str) -> Samples:
    """Return a bed of four bars four times over: chords, bass and drums stay, the tune changes."""
    rng = stream(seed, "music", name)
    length = int(SAMPLE_RATE * between(rng, 0.3, 0.65))
    root, minor = int(rng.integers(40, 56)), chance(rng, 0.4)
    steps = (0, 2, 3, 5, 7, 8, 10) if minor else (0, 2, 4, 5, 7, 9, 11)
    chords = rng.integers(0, 6, BARS)
    drums = between(rng, 0, 0.5) if chance(rng, 0.6) else 0.0
    decay = np.exp(-np.arange(length, dtype=np.float32) / (SAMPLE_RATE * between(rng, 0.1, 0.6)))
    harmonics = rng.random(5) ** 2
    hit = (rng.standard_normal(length) * np.exp(-np.arange(length) / (SAMPLE_RATE * 0.03))).astype(np.float32)
    blocks, tones = [], dict[int, Samples]()
    for beat in range(4 * BARS * BARS):
        chord = int(chords[beat // 4 % BARS])
        notes = [root - 12 + steps[chord], *(root + 12 + steps[(chord + i) % 7] for i in (0, 2, 4))]
        notes += [root + 24 + pick(rng, steps)] if chance(rng, 0.8) else []
        tones.update({note: _tone(note, length, harmonics) for note in notes if note not in tones})
        block = sum((tones[note] for note in notes), np.zeros(length, np.float32)) * decay
        blocks.append(block * 0.12 + hit * drums * (0.5 + beat % 2))
    bed = np.concatenate(blocks).astype(np.float32)
    return bed / np.float32(np.sqrt(np.mean(bed**2)) + 1e-6)


def _tone(note: int, length: int, harmonics: npt.NDArray[np.float64]) -> Samples:
    base = 440 * 2 ** ((note - 69) / 12)
    phase = (np.arange(length, dtype=np.float32) * np.float32(2 * np.pi * base / SAMPLE_RATE)).astype(np.float32)
    tone = np.sin(phase)
    for index, weight in enumerate(harmonics[:3]):
        tone = tone + np.float32(weight) * np.sin(phase * (index + 2))
    return tone.astype(np.float32)
