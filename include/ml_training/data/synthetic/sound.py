"""Sound: voices, music beds, crowds and rooms, mixed and brought to a level.

    plan = SoundPlan(voice="channel-03-voice-02", utterance="a", music="channel-03-music-05")
    samples = mix_sound(plan, Sources(7, "channel-03"), 480_000)

Float32 mono at 48 kHz. Voices and beds belong to a channel (or to all), and its programmes and its ads both use them.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml_training.data.synthetic.music import music
from ml_training.data.synthetic.randomness import stream
from ml_training.data.synthetic.sources import BOTH, Sources
from ml_training.data.synthetic.speech import speak

SAMPLE_RATE = 48_000
LOOP_SECONDS = 8
FADE_SAMPLES = 480  # 10 ms against clicks at cuts
PROGRAMME_LEVEL_DB = -23.0  # RMS, near the target of EBU R128
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundPlan:
    """What is heard in an item. Levels are linear, ``density`` (0..1) squeezes the dynamics, ``gain_db`` is added."""

    voice: str | None = None
    utterance: str = ""
    music: str | None = None
    room: str = "room"
    voice_level: float = 1.0
    music_level: float = 0.5
    room_level: float = 0.1
    density: float = 0.3
    gain_db: float = 0.0


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


def mix_sound(plan: SoundPlan, sources: Sources, samples: int, *, offset: int = 0, use: str = BOTH) -> Samples:
    """Return ``samples`` samples of what ``plan`` says, at its level; ``offset`` is how far into beds and rooms.

    ``sources`` names the world and the folder of one's own sound, ``use`` the class that the sound is for.
    """
    out = np.zeros(samples, np.float32)
    seed = sources.seed
    if plan.voice:
        out += plan.voice_level * _unit(speak(seed, plan.voice, plan.utterance, samples))
    if plan.music:
        out += plan.music_level * _unit(music(plan.music, seed, samples, offset, media=sources.media, use=use))
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
