"""The one encode chain: every picture of a recording goes through the same scaling, grain, codec and bit rate.

    write_recording(plan, Path("channel-03_2026-01-05_2000.ts"))

H.264 (x264 ultrafast, one thread: recordings are made side by side) and AAC in an MPEG transport stream, 25 frames a
second. Timestamps start where the plan says and jump where it says; both streams jump together.
"""

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from ml_training.data.synthetic.pictures import Picture
from ml_training.data.synthetic.randomness import stream
from ml_training.data.synthetic.render import pictures, soundtrack
from ml_training.data.synthetic.schedule import FRAMES_PER_TICK, TICKS_PER_SECOND, Plan
from ml_training.data.synthetic.shots import HEIGHT, WIDTH
from ml_training.data.synthetic.sound import SAMPLE_RATE

FRAME_RATE = 25
AUDIO_FRAME = 1024  # samples of one AAC frame
AUDIO_BIT_RATE = 64_000
KEYFRAME_INTERVAL = 50


def write_recording(plan: Plan, path: Path) -> None:
    """Draw, mix and encode ``plan`` into the transport stream ``path``; nothing is at ``path`` unless it is whole."""
    partial = path.with_name(f".{path.name}.part")
    try:
        with av.open(str(partial), "w", format="mpegts") as container:
            _encode(plan, container)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(plan: Plan, container: Any) -> None:
    video = container.add_stream("libx264", rate=FRAME_RATE)
    video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", plan.profile.bit_rate
    video.codec_context.time_base = Fraction(1, FRAME_RATE)
    video.options = {
        "preset": "ultrafast",
        "threads": "1",
        "g": str(KEYFRAME_INTERVAL),
        "bufsize": "2M",
        "maxrate": "3M",
    }
    audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
    audio.bit_rate = AUDIO_BIT_RATE
    samples = soundtrack(plan)
    done, last = 0, None
    for tick, picture in enumerate(pictures(plan)):
        if picture is not last:
            plane, last = finished(picture, plan, tick), picture
        for repeat in range(FRAMES_PER_TICK):
            frame = av.VideoFrame.from_ndarray(plane, format="yuv420p")
            frame.pts, frame.time_base = _video_pts(plan, tick) + repeat, Fraction(1, FRAME_RATE)
            container.mux(video.encode(frame))
        while done + AUDIO_FRAME <= (tick + 1) * SAMPLE_RATE / TICKS_PER_SECOND:
            container.mux(audio.encode(_audio_frame(plan, samples, done)))
            done += AUDIO_FRAME
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


def finished(picture: Picture, plan: Plan, tick: int) -> Picture:
    """Return a picture as the channel sends it, scaled and with grain: planes of yuv420p [540, 640]."""
    width = plan.profile.source_width
    if width < WIDTH:
        small = cv2.resize(picture, (width, width * HEIGHT // WIDTH), interpolation=cv2.INTER_LINEAR)
        picture = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    grains = _grain(plan.seed, plan.profile.channel, plan.profile.grain)
    planes[:HEIGHT] = cv2.add(planes[:HEIGHT], grains[tick * 5 % len(grains)], dtype=cv2.CV_8U)
    return planes


@functools.lru_cache(maxsize=2)
def _grain(seed: int, channel: str, strength: float) -> list[npt.NDArray[np.int16]]:
    rng = stream(seed, "grain", channel)
    return [np.round(rng.normal(0, strength, (HEIGHT, WIDTH))).astype(np.int16) for _ in range(7)]


def _video_pts(plan: Plan, tick: int) -> int:
    return round((plan.first_timestamp_seconds + plan.media_seconds(tick)) * FRAME_RATE)


def _audio_frame(plan: Plan, samples: npt.NDArray[np.float32], start: int) -> av.AudioFrame:
    tick = int(start * TICKS_PER_SECOND / SAMPLE_RATE)
    jump = plan.media_seconds(tick) - tick / TICKS_PER_SECOND
    frame = av.AudioFrame.from_ndarray(samples[None, start : start + AUDIO_FRAME], format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    frame.time_base = Fraction(1, SAMPLE_RATE)
    frame.pts = round((plan.first_timestamp_seconds + jump) * SAMPLE_RATE) + start
    return frame
