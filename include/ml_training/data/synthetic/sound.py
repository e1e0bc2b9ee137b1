"""Sound: voices, music beds, crowds and rooms, mixed and brought to a level.

    samples = mix_sound(SoundPlan(voice="channel-03-voice-02", music="channel-03-music-05"), seed=7, samples=480_000)

Float32 mono at 48 kHz. Voices and beds belong to a channel (or to none), and its programmes and its ads both use them.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml_training.data.synthetic.randomness import between, chance, pick, stream

SAMPLE_RATE = 48_000
LOOP_SECONDS = 8
FADE_SAMPLES = 480  # 10 ms against clicks at cuts
PROGRAMME_LEVEL_DB = -23.0  # RMS, near the target of EBU R128
FORMANTS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
)  # Peterson & Barney 1952
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundPlan:
    """What is heard in an item. Levels are linear, ``density`` (0..1) squeezes the dynamics, ``gain_db`` is added."""

    voice: str | None = None
    music: str | None = None
    room: str = "room"
    voice_level: float = 1.0
    music_level: float = 0.5
    room_level: float = 0.1
    density: float = 0.3
    gain_db: float = 0.0


@functools.lru_cache(maxsize=24)
def music_loop(seed: int, key: str) -> Samples:
    """Return a bed of eight seconds: chords, bass, a tune and drums."""
    rng = stream(seed, "music", key)
    beats = pick(rng, (12, 14, 16, 20))
    length = SAMPLE_RATE * LOOP_SECONDS // beats
    root, minor = int(rng.integers(40, 56)), chance(rng, 0.4)
    steps = (0, 2, 3, 5, 7, 8, 10) if minor else (0, 2, 4, 5, 7, 9, 11)
    chords = rng.integers(0, 6, 4)
    drums = between(rng, 0, 0.5) if chance(rng, 0.6) else 0.0
    decay = np.exp(-np.arange(length, dtype=np.float32) / (SAMPLE_RATE * between(rng, 0.1, 0.6)))
    harmonics = rng.random(5) ** 2
    hit = (rng.standard_normal(length) * np.exp(-np.arange(length) / (SAMPLE_RATE * 0.03))).astype(np.float32)
    out = np.zeros(length * beats, np.float32)
    for beat in range(beats):
        chord = int(chords[beat * 4 // beats])
        notes = [
            root - 12 + steps[chord],
            *(root + 12 + steps[(chord + i) % 7] for i in (0, 2, 4)),
            root + 24 + steps[int(rng.integers(7))],
        ]
        block = sum((_tone(note, length, harmonics) for note in notes), np.zeros(length, np.float32)) * decay
        out[beat * length : (beat + 1) * length] = block * 0.12 + hit * drums * (0.5 + beat % 2)
    return out


def _tone(note: int, length: int, harmonics: npt.NDArray[np.float64]) -> Samples:
    base = 440 * 2 ** ((note - 69) / 12)
    phase = (np.arange(length, dtype=np.float32) * np.float32(2 * np.pi * base / SAMPLE_RATE)).astype(np.float32)
    tone = np.sin(phase)
    for index, weight in enumerate(harmonics[:3]):
        tone = tone + np.float32(weight) * np.sin(phase * (index + 2))
    return tone.astype(np.float32)


@functools.lru_cache(maxsize=24)
def voice_loop(seed: int, key: str) -> Samples:
    """Return eight seconds of a voice that speaks no language: syllables, consonants and pauses."""
    rng = stream(seed, "voice", key)
    pitch, rate = between(rng, 85, 230), between(rng, 3.5, 6.0)
    out = np.zeros(SAMPLE_RATE * LOOP_SECONDS, np.float32)
    at = 0
    while at < len(out) - SAMPLE_RATE // 2:
        length = int(SAMPLE_RATE / rate * between(rng, 0.7, 1.3))
        if chance(rng, 0.12):
            at += int(SAMPLE_RATE * between(rng, 0.15, 0.6))
            continue
        syllable = _syllable(rng, pitch * between(rng, 0.85, 1.2), length)
        out[at : at + length] = syllable[: len(out) - at]
        at += length
    return out


def _syllable(rng: np.random.Generator, pitch: float, length: int) -> Samples:
    time = np.arange(length, dtype=np.float32) / SAMPLE_RATE
    bend = 2 * np.pi * pitch * (time + between(rng, -0.15, 0.15) * time**2)
    formants = pick(rng, FORMANTS)
    out = np.zeros(length, np.float32)
    for harmonic in range(1, int(3600 / pitch)):
        frequency = harmonic * pitch
        weight = sum(1 / (1 + ((frequency - f) / 110) ** 2) for f in formants) / harmonic**0.4
        if weight > 0.05:
            out += np.float32(weight) * np.sin(bend * harmonic)
    consonant = min(int(SAMPLE_RATE * 0.05), length // 4)
    out[:consonant] += rng.standard_normal(consonant).astype(np.float32) * between(rng, 0, 0.8)
    return out * np.sin(np.pi * np.arange(length) / length).astype(np.float32) ** 0.6


@functools.lru_cache(maxsize=8)
def room_loop(seed: int, kind: str) -> Samples:
    """Return eight seconds of a place: ``room``, ``street``, ``crowd`` (which swells) or ``applause``."""
    rng = stream(seed, "place", kind)
    white = rng.standard_normal(SAMPLE_RATE * LOOP_SECONDS + 256).astype(np.float32)
    width = {"room": 200, "street": 60, "crowd": 24, "applause": 4}[kind]
    total = np.cumsum(white, dtype=np.float64)
    soft = ((total[width:] - total[:-width])[: SAMPLE_RATE * LOOP_SECONDS] / np.sqrt(width)).astype(np.float32)
    if kind in ("crowd", "applause"):
        points = rng.uniform(0.3, 1.6, 12)
        soft *= np.interp(np.linspace(0, 12, len(soft)), np.arange(13), [*points, points[0]]).astype(np.float32)
    return soft


def mix_sound(plan: SoundPlan, seed: int, samples: int, offset: int = 0) -> Samples:
    """Return ``samples`` samples of what ``plan`` says, from ``offset`` samples into its loops, at its level."""
    out = np.zeros(samples, np.float32)
    if plan.voice:
        out += plan.voice_level * _repeated(_unit(voice_loop(seed, plan.voice)), samples, offset)
    if plan.music:
        out += plan.music_level * _repeated(_unit(music_loop(seed, plan.music)), samples, offset)
    out += plan.room_level * _repeated(_unit(room_loop(seed, plan.room)), samples, offset)
    out = _unit(out)
    if plan.density > 0:
        out = _unit(np.tanh(out * (0.3 + 2.5 * plan.density)))
    out *= np.float32(10 ** ((PROGRAMME_LEVEL_DB + plan.gain_db) / 20))
    ramp = np.linspace(0, 1, min(FADE_SAMPLES, samples // 2), dtype=np.float32)
    if len(ramp):
        out[: len(ramp)] *= ramp
        out[-len(ramp) :] *= ramp[::-1]
    return out


def _unit(samples: Samples) -> Samples:
    return samples / np.float32(np.sqrt(np.mean(samples**2)) + 1e-6)


def _repeated(loop: Samples, samples: int, offset: int) -> Samples:
    start = offset % len(loop)
    return np.tile(loop, (start + samples) // len(loop) + 1)[start : start + samples]
