"""The one encode chain: every picture of a recording goes through the same scaling, grain, codec and bit rate.

    write_recording(plan, Path("channel-03_2026-01-05_2000.ts"))

The channel's format says which: H.264 (x264 ultrafast) with AAC or MPEG-2 with MPEG audio; a transport stream, MP4 or
Matroska; 25, 29.97 or 50 frames a second, or a variable rate. One thread: recordings are made side by side. Timestamps
start where the plan says and jump where it says; both streams jump together.
"""

import functools
from collections.abc import Iterator
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
from ml_training.data.synthetic.schedule import Plan
from ml_training.data.synthetic.shots import HEIGHT, WIDTH
from ml_training.data.synthetic.sound import SAMPLE_RATE, Samples

KEYFRAME_SECONDS = 2
MUXERS = {"ts": "mpegts", "mp4": "mp4", "mkv": "matroska"}
ENCODERS = {"h264": ("libx264", "aac"), "mpeg2video": ("mpeg2video", "mp2")}
AUDIO_FRAME = {"aac": 1024, "mp2": 1152}  # samples of one frame of sound
AUDIO_BIT_RATE = {"aac": 64_000, "mp2": 96_000}
OPTIONS = {
    "h264": {"preset": "ultrafast", "threads": "1", "bufsize": "2M", "maxrate": "3M"},
    "mpeg2video": {"threads": "1", "bf": "2", "b_strategy": "0", "bufsize": "2M", "maxrate": "6M"},
}
MPEG2_RATE = 2.2  # bits that MPEG-2 takes for what H.264 takes one for
VARIABLE_BASE = Fraction(1, 1000)  # clock of a stream without a constant rate
VARIABLE_KEEP = 0.5  # share of the repeating frames that such a stream keeps
VARIABLE_JITTER = 8  # by how many milliseconds those may be off


def write_recording(plan: Plan, path: Path) -> None:
    """Draw, mix and encode ``plan`` into ``path``; nothing is at ``path`` unless it is whole."""
    partial = path.with_name(f".{path.name}.part")
    try:
        muxer = MUXERS[plan.profile.form.container]
        with av.open(str(partial), "w", format=muxer, options={"fflags": "bitexact"}) as container:
            _encode(plan, container)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(plan: Plan, container: Any) -> None:
    video, audio = _video_stream(plan, container), _audio_stream(plan, container)
    samples, form = soundtrack(plan), plan.profile.form
    frame_of_sound = AUDIO_FRAME[ENCODERS[form.codec][1]]
    base = VARIABLE_BASE if form.variable else 1 / form.frame_rate
    done, last = 0, None
    for tick, picture in enumerate(pictures(plan)):
        if picture is not last:
            frame, last = av.VideoFrame.from_ndarray(finished(picture, plan, tick), format="yuv420p"), picture
        for pts in _timestamps(plan, tick):
            frame.pts, frame.time_base = pts, base
            container.mux(video.encode(frame))
        heard = form.seconds_of(form.frame_of(tick + 1)) * SAMPLE_RATE
        while done + frame_of_sound <= heard:
            container.mux(audio.encode(_audio_frame(plan, samples[done : done + frame_of_sound], done)))
            done += frame_of_sound
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


def _video_stream(plan: Plan, container: Any) -> Any:
    form, bits = plan.profile.form, plan.profile.bit_rate
    video = container.add_stream(ENCODERS[form.codec][0], rate=form.frame_rate)
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    video.bit_rate = bits if form.codec == "h264" else int(bits * MPEG2_RATE)
    video.codec_context.time_base = VARIABLE_BASE if form.variable else 1 / form.frame_rate
    interval = round(KEYFRAME_SECONDS * form.frame_rate) if form.codec == "h264" else 15
    video.options = {**OPTIONS[form.codec], "g": str(interval)}
    return video


def _audio_stream(plan: Plan, container: Any) -> Any:
    name = ENCODERS[plan.profile.form.codec][1]
    audio = container.add_stream(name, rate=SAMPLE_RATE, layout="mono")
    audio.bit_rate = AUDIO_BIT_RATE[name]
    return audio


def _timestamps(plan: Plan, tick: int) -> Iterator[int]:
    """Yield the timestamps of the frames that show a tick, in units of the stream's clock."""
    form, offset = plan.profile.form, plan.first_frame + plan.frames_skipped(tick)
    frames = range(form.frame_of(tick), form.frame_of(tick + 1))
    if not form.variable:
        yield from (frame + offset for frame in frames)
        return
    rng = stream(plan.seed, "rate", plan.recording_id, tick)
    for frame in frames:
        exact = round((frame + offset) / form.frame_rate / VARIABLE_BASE)
        if frame == frames[0] or tick == plan.ticks - 1:
            yield exact
        elif rng.random() < VARIABLE_KEEP:
            yield exact + int(rng.integers(-VARIABLE_JITTER, VARIABLE_JITTER + 1))


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


def _audio_frame(plan: Plan, samples: Samples, start: int) -> av.AudioFrame:
    """Return a frame of sound that starts ``start`` samples into the recording."""
    form = plan.profile.form
    late = form.seconds_of(plan.first_frame + plan.frames_skipped(start * 25 // (2 * SAMPLE_RATE)))
    if form.codec == "h264":
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    else:
        pcm = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
    frame.pts = round(late * SAMPLE_RATE) + start
    return frame
