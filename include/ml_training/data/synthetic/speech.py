"""Voices that speak no language: sentences of syllables through a glottis and four formants.

    samples = speak(seed=7, voice="channel-03-voice-02", utterance="spot/channel-03-ad-004-10s", samples=480_000)

A voice keeps its pitch, its vocal tract, its pace and its breath; an utterance fixes what is said. Sentences fall in
pitch, carry accents and end in pauses; vowels glide into each other; stops, fricatives and nasals stand between them.
Formants of vowels: Peterson & Barney 1952; glottal pulse after Rosenberg 1971.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

from ml_training.data.synthetic.randomness import between, chance, pick, stream

SAMPLE_RATE = 48_000
RATE = 16_000  # at which voices are made
BLOCK = 240  # samples between two settings of the formants: 15 ms
VOWELS = (
    (730, 1090, 2440), (660, 1720, 2410), (530, 1840, 2480), (390, 1990, 2550), (270, 2290, 3010),
    (300, 870, 2240), (440, 1020, 2240), (570, 840, 2410), (640, 1190, 2390), (490, 1350, 1690),
)  # fmt: skip
NASAL = (270, 1100, 2300)
BANDWIDTHS = (70.0, 100.0, 150.0, 250.0)
Samples = npt.NDArray[np.float32]
Track = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Voice:
    """Pitch in hertz, size of the vocal tract (1 is a man's), syllables a second, breath and liveliness 0..1."""

    pitch: float
    tract: float
    pace: float
    breath: float
    lively: float


def draw_voice(seed: int, name: str) -> Voice:
    """Draw the voice of this name."""
    rng = stream(seed, "voice", name)
    high = chance(rng, 0.45)
    return Voice(
        pitch=between(rng, 165, 240) if high else between(rng, 85, 150),
        tract=between(rng, 1.08, 1.25) if high else between(rng, 0.9, 1.08),
        pace=between(rng, 3.6, 6.2),
        breath=between(rng, 0.01, 0.12),
        lively=between(rng, 0.1, 0.4),
    )


def speak(seed: int, voice: str, utterance: str, samples: int) -> Samples:
    """Return ``samples`` samples at 48 kHz of what ``voice`` says in ``utterance``."""
    who, rng = draw_voice(seed, voice), stream(seed, "utterance", voice, utterance)
    blocks = samples * RATE // SAMPLE_RATE // BLOCK + 2
    tracks = _said(who, rng, blocks)
    sound = _voiced(who, rng, tracks) + _noises(rng, tracks)
    return signal.resample_poly(sound, SAMPLE_RATE // RATE, 1)[:samples].astype(np.float32)


@dataclass
class _Tracks:
    """What the mouth does, fifteen milliseconds a row: pitch, loudness of voice, hiss and rush, three formants."""

    pitch: Track
    voiced: Track
    hiss: Track
    rush: Track
    formants: Track


def _said(who: Voice, rng: np.random.Generator, blocks: int) -> _Tracks:
    """Return the tracks of sentences that fill ``blocks``."""
    pitch, voiced, hiss, rush = np.zeros((4, blocks))
    tracks = _Tracks(pitch, voiced, hiss, rush, np.zeros((blocks, 3)))
    at = 0
    while at < blocks:
        syllables = int(rng.integers(5, 16))
        for number in range(syllables):
            fall = 1.18 - 0.32 * number / syllables
            accent = 1 + who.lively * between(rng, -0.5, 1.0) * (number % 3 == 0)
            at = _syllable(who, rng, tracks, at, who.pitch * fall * accent)
        at += int(between(rng, 12, 47))
    _smooth(tracks)
    return tracks


def _syllable(who: Voice, rng: np.random.Generator, tracks: _Tracks, at: int, pitch: float) -> int:
    """Write a consonant and a vowel at block ``at``; return the block after them."""
    kind, length = int(rng.integers(5)), int(between(rng, 2, 6))
    onset, vowel = np.s_[at : at + length], max(4, int(67 / who.pace * between(rng, 0.45, 1.0)))
    tracks.pitch[at : at + length + vowel] = pitch
    first, second = (np.array(pick(rng, VOWELS)) * who.tract for _ in range(2))
    tracks.formants[onset] = np.array(NASAL) * who.tract if kind == 3 else first
    if kind == 0:  # a stop: closed, then a burst
        tracks.rush[at + length - 1 : at + length] = between(rng, 0.3, 0.9)
    elif kind == 1:
        tracks.hiss[onset] = between(rng, 0.15, 0.5)
    elif kind == 2:
        tracks.rush[onset] = between(rng, 0.1, 0.35)
        tracks.voiced[onset] = 0.3
    else:
        tracks.voiced[onset] = 0.45
    body = np.s_[at + length : at + length + vowel]
    room = len(tracks.voiced[body])
    glide = np.linspace(0, 1 if chance(rng, 0.3) else 0, room)[:, None]
    tracks.formants[body] = first * (1 - glide) + second * glide
    tracks.voiced[body] = np.hanning(vowel + 4)[2:-2][:room] ** 0.4 * between(rng, 0.7, 1.0)
    return at + length + vowel


def _smooth(tracks: _Tracks) -> None:
    """Let pitch, loudness and formants move as a mouth moves, not at once."""
    tracks.formants[:] = signal.lfilter([0.45], [1, -0.55], np.where(tracks.formants > 0, tracks.formants, 500), axis=0)
    tracks.pitch[:] = signal.lfilter([0.25], [1, -0.75], np.where(tracks.pitch > 0, tracks.pitch, tracks.pitch.max()))
    tracks.voiced[:] = signal.lfilter([0.6], [1, -0.4], tracks.voiced)


def _voiced(who: Voice, rng: np.random.Generator, tracks: _Tracks) -> Track:
    """Return the voice: pulses and breath through formants that change every fifteen milliseconds."""
    pitch = np.repeat(tracks.pitch, BLOCK) * (1 + 0.008 * rng.standard_normal(len(tracks.pitch)).repeat(BLOCK))
    phase = np.cumsum(pitch / RATE) % 1.0
    flow = np.where(phase < 0.55, 0.5 - 0.5 * np.cos(np.pi * phase / 0.55 * 1.5), 0.0)
    source = np.diff(flow, prepend=0.0) * 6 + who.breath * 0.3 * rng.standard_normal(len(flow))
    source *= np.interp(np.arange(len(flow)) / BLOCK, np.arange(len(tracks.voiced)), tracks.voiced)
    sections = _resonators(tracks.formants, who)
    out, state = np.empty_like(source), np.zeros((4, 2))
    for number, section in enumerate(sections):
        part = np.s_[number * BLOCK : (number + 1) * BLOCK]
        out[part], state = signal.sosfilt(section, source[part], zi=state)
    return out / (np.sqrt(np.mean(out[out != 0] ** 2)) + 1e-9) if out.any() else out


def _resonators(formants: Track, who: Voice) -> Track:
    """Return second-order sections [blocks, 4, 6] of the four formants (the fourth stands still)."""
    fourth = np.full((len(formants), 1), 3400.0 * who.tract)
    centre = np.minimum(np.concatenate([formants, fourth], axis=1), 0.46 * RATE) / RATE * 2 * np.pi
    radius = np.exp(-np.pi * np.array(BANDWIDTHS) / RATE)[None, :]
    first, second = -2 * radius * np.cos(centre), np.broadcast_to(radius**2, centre.shape)
    sections = np.zeros((*centre.shape, 6))
    sections[..., 0] = 1 + first + second
    sections[..., 3], sections[..., 4], sections[..., 5] = 1.0, first, second
    return sections


def _noises(rng: np.random.Generator, tracks: _Tracks) -> Track:
    """Return what is not voiced: hiss above 4 kHz, rush between 1.5 and 4 kHz."""
    count, at = len(tracks.hiss) * BLOCK, np.arange(len(tracks.hiss))
    white, fine = rng.standard_normal(count), np.arange(count) / BLOCK
    high = signal.sosfilt(signal.butter(2, 4000, "high", fs=RATE, output="sos"), white)
    middle = signal.sosfilt(signal.butter(2, (1500, 4000), "band", fs=RATE, output="sos"), white)
    return high * np.interp(fine, at, tracks.hiss) * 1.2 + middle * np.interp(fine, at, tracks.rush) * 1.2
