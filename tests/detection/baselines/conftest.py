"""Small recordings with black and silent moments, made by the encoder."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

RATE, SOUND_RATE = 25, 16_000
SECONDS, FIRST_SECONDS = 24, 40  # the timestamps begin far from zero
GAPS = ((6.0, 6.4), (16.0, 16.4))
SILENT_FROM = 22.0


def within(seconds: float) -> bool:
    """Tell whether a moment lies in a gap."""
    return any(start <= seconds < end for start, end in GAPS)


def write_gapped(path: Path, *, sound: bool) -> Path:
    """Write a recording of 24 s that is black at the gaps and, with sound, silent there and from 22 s on."""
    with av.open(str(path), "w", options={"mpegts_copyts": "1"}) as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if sound else None
        waiting = tone() if sound else iter(())
        for number in range(SECONDS * RATE):
            if audio is not None and number % RATE == 0:  # side by side, as broadcasts have them
                container.mux([packet for frame in islice(waiting, 16) for packet in audio.encode(frame)])
            image = np.full((64, 96, 3), 0 if within(number / RATE) else 90 + number % 60, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number + FIRST_SECONDS * RATE, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux([packet for frame in waiting for packet in audio.encode(frame)])
            container.mux(audio.encode(None))
    return path


def tone():
    """Yield frames of a tone that stops in the gaps and at 22 s."""
    times = np.arange(SECONDS * SOUND_RATE) / SOUND_RATE
    wave = 0.3 * np.sin(2 * np.pi * 440 * times).astype(np.float32)
    for start, end in (*GAPS, (SILENT_FROM, SECONDS)):
        wave[round(start * SOUND_RATE) : round(end * SOUND_RATE)] = 0
    for at in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, at : at + 1024]), "fltp", "mono")
        frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
        frame.pts = at + FIRST_SECONDS * SOUND_RATE
        yield frame


@pytest.fixture(scope="session")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transport stream with two black and silent gaps."""
    return write_gapped(tmp_path_factory.mktemp("gapped") / "gapped.ts", sound=True)


@pytest.fixture(scope="session")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures without a sound track."""
    return write_gapped(tmp_path_factory.mktemp("silent") / "silent.ts", sound=False)
