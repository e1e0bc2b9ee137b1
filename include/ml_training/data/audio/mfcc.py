"""The MFCC by the name that ingestion and pipelines know it by; ``inference.mfcc`` holds it, beside the scorers.

mfcc(sound, bands=40)            # int16 [n] at 16 kHz -> float32 [1 + (n - 400) // 160, 40]
"""

from ml_training.inference.mfcc import FFT_POINTS, HOP, SAMPLE_RATE, WINDOW, log_mel, mel_bands, mfcc

__all__ = ["FFT_POINTS", "HOP", "SAMPLE_RATE", "WINDOW", "log_mel", "mel_bands", "mfcc"]
