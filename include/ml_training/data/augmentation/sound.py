"""Sound changed in ways that keep its label true: another level, and noise.

    changed = augment_sound(sound, np.random.default_rng(1))          # int16 [n] -> int16 [n]

Level tells ads from programmes only where nobody measures it (EBU R128), so both are made louder and quieter alike.
Noise is added in proportion to the sound: digital silence stays digital silence.
"""

import functools

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.int16]

GAINS_DB = (-12.0, 6.0)
NOISE_SHARE = 0.5  # of the stretches of sound
SIGNAL_TO_NOISE_DB = (15.0, 40.0)
PEAK = 32_767.0  # a gain that would clip is taken back to this
NOISE_SAMPLES = 1 << 19  # 33 s at 16 kHz
NOISE_SEED = 20_263


def augment_sound(sound: Sound, generator: np.random.Generator) -> Sound:
    """Change the gain, and add white or pink noise to half of the stretches; int16 [n] in and out."""
    gain = 10 ** (generator.uniform(*GAINS_DB) / 20)
    noisy, pink = generator.random(2) < (NOISE_SHARE, 0.5)
    ratio = 10 ** (-generator.uniform(*SIGNAL_TO_NOISE_DB) / 20)
    offset = int(generator.integers(NOISE_SAMPLES))
    changed = sound.astype(np.float32)
    if noisy and len(sound):
        level = ratio * float(np.sqrt(np.mean(np.square(changed))))
        changed += level * np.take(_noise()[int(pink)], np.arange(offset, offset + len(sound)), mode="wrap")
    loudest = float(np.max(np.abs(changed), initial=0.0))
    gain = min(gain, PEAK / max(loudest, 1.0))
    return np.asarray(np.round(changed * np.float32(gain)), np.int16)


@functools.cache
def _noise() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return white and pink noise of unit power, float32 [NOISE_SAMPLES], the same in every process."""
    white = np.random.default_rng(NOISE_SEED).normal(size=NOISE_SAMPLES)
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    pink = np.fft.irfft(spectrum, NOISE_SAMPLES)
    return white.astype(np.float32), (pink / pink.std()).astype(np.float32)
