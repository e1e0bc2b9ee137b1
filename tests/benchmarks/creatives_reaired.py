"""Airs spots of generated recordings once more, as other broadcasters would: seven ways, in recordings of their own.

    labels = make_reaired([Path("night-1")], labels, Path("again"))

Each new recording is programme of one generated recording, mirrored and backwards so that it is no repeat, with
transformed spots of others in between, encoded anew.
"""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

RATE, SOUND_RATE, SIZE = 25, 48_000, (640, 360)
PROGRAMME_SECONDS = 12.0
SPOTS_PER_KIND = 3

Clip = tuple[np.ndarray, np.ndarray]  # pictures uint8 [n, 360, 640, 3] at 25 a second, sound float32 [m] at 48 kHz


def make_reaired(nights: list[Path], labels: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write a recording for each way and return its labels; a spot's label has the ``kind`` of its airing."""
    paths = {
        path.stem: path
        for night in nights
        for path in sorted((night / "recordings").rglob("*.*"))
        if path.suffix != ".json"
    }
    spots = [(name, item) for name in sorted(labels) for item in labels[name] if _usable(item)]
    rng = np.random.default_rng(3)
    made = {}
    for number, (kind, (change, encode)) in enumerate(KINDS.items()):
        chosen = [spots[n] for n in rng.choice(len(spots), SPOTS_PER_KIND, replace=False)]
        host, stretch = _host(labels, number)
        name = f"again-{number}_{kind.replace(' ', '-')}"
        path = folder / "recordings" / "other" / "2026-02-01" / f"{name}.ts"
        path.parent.mkdir(parents=True, exist_ok=True)
        parts: list[tuple[str | None, Clip]] = []
        for place, (source, item) in enumerate(chosen):
            start = stretch["start"] + place * PROGRAMME_SECONDS
            parts.append((None, _backwards(_clip(paths[host], start, start + PROGRAMME_SECONDS))))
            parts.append((item["creative"], change(_clip(paths[source], item["start"], item["end"]))))
        start = stretch["start"] + len(chosen) * PROGRAMME_SECONDS
        parts.append((None, _backwards(_clip(paths[host], start, start + PROGRAMME_SECONDS))))
        _write(path, [clip for _, clip in parts], **encode)
        made[name] = _labels(parts, kind)
    (folder / "labels.json").write_text(json.dumps(made, indent=1))
    return made


def _usable(item: dict[str, Any]) -> bool:
    return item["label"] == "ad" and bool(item.get("creative")) and item["end"] - item["start"] >= 9


def _host(labels: dict[str, Any], number: int) -> tuple[str, dict[str, Any]]:
    needed = (SPOTS_PER_KIND + 1) * PROGRAMME_SECONDS
    long = [
        (name, item)
        for name in sorted(labels)
        for item in labels[name]
        if item["label"] == "content" and item["end"] - item["start"] >= needed
    ]
    return long[number % len(long)]


def _labels(parts: list[tuple[str | None, Clip]], kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    at = 0
    for creative, (pictures, _) in parts:
        item = {"start": at / RATE, "end": (at + len(pictures)) / RATE, "label": "ad" if creative else "content"}
        items.append(item | ({"creative": creative, "kind": kind} if creative else {}))
        at += len(pictures)
    return items


def _clip(path: Path, start: float, end: float) -> Clip:
    """Decode a stretch of media time."""
    pictures = np.zeros((round((end - start) * RATE), SIZE[1], SIZE[0], 3), np.uint8)
    sound = np.zeros(round((end - start) * SOUND_RATE), np.float32)
    with av.open(str(path)) as container:
        zero, last = next(container.decode(video=0)).time, 0
        container.seek(int(max(0.0, zero + start - 4) * 1e6))
        for frame in container.decode(video=0):
            number = round((frame.time - zero - start) * RATE)
            if number >= len(pictures):
                break
            if number >= 0:
                image = frame.to_ndarray(format="rgb24")
                pictures[last : number + 1] = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
                last = number + 1
        pictures[last:] = pictures[max(0, last - 1)]
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SOUND_RATE)
        container.seek(int(max(0.0, zero + start - 4) * 1e6))
        for frame in container.decode(audio=0):
            at = round((frame.time - zero - start) * SOUND_RATE)
            if at >= len(sound):
                break
            if at > -SOUND_RATE:
                samples = np.concatenate(
                    [part.to_ndarray().ravel() for part in resampler.resample(frame)] or [sound[:0]]
                )
                left, right = max(0, at), min(len(sound), at + len(samples))
                if right > left:
                    sound[left:right] = samples[left - at : right - at]
    return pictures, sound


def _backwards(clip: Clip) -> Clip:
    """Mirror programme and run it backwards: it is no repeat of the programme that it was made of."""
    return clip[0][::-1, :, ::-1], clip[1][::-1]


def _write(path: Path, clips: list[Clip], *, codec: str, bit_rate: int, size: tuple[int, int], audio: str) -> None:
    with av.open(str(path), "w", format="mpegts") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt, video.bit_rate = *size, "yuv420p", bit_rate
        if codec == "libx264":
            video.options = {"preset": "ultrafast"}
        stream = container.add_stream(audio, rate=SOUND_RATE, layout="mono")
        stream.bit_rate = 96_000
        number = 0
        for pictures, _ in clips:
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(
                    cv2.resize(picture, size, interpolation=cv2.INTER_AREA), format="rgb24"
                )
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                container.mux(video.encode(frame))
                number += 1
        samples = np.concatenate([sound for _, sound in clips])
        block = 1152 if audio == "mp2" else 1024
        for at in range(0, len(samples) - block + 1, block):
            piece, form = np.ascontiguousarray(samples[None, at : at + block].clip(-1, 1)), "fltp"
            if audio == "mp2":
                piece, form = (piece * 32767).astype(np.int16), "s16"
            whole = av.AudioFrame.from_ndarray(piece, format=form, layout="mono")
            whole.sample_rate, whole.pts, whole.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
            container.mux(stream.encode(whole))
        container.mux(video.encode(None))
        container.mux(stream.encode(None))


def _same(clip: Clip) -> Clip:
    return clip


def _logo(clip: Clip) -> Clip:
    pictures = clip[0].copy()
    for number, picture in enumerate(pictures):
        cv2.circle(picture, (580, 40), 24, (240, 240, 250), -1)
        cv2.rectangle(picture, (0, 334), (639, 359), (20, 40, 110), -1)
        cv2.putText(picture, "breaking news +++ " * 6, (40 - 3 * number % 400, 353), 0, 0.55, (255, 255, 255), 1)
    return pictures, clip[1]


def _loudness(clip: Clip) -> Clip:
    level = np.sqrt(np.mean(clip[1] ** 2)) + 1e-9
    return clip[0], np.float32(0.03) * np.tanh(clip[1] / level * 1.5).astype(np.float32)


def _letterbox(clip: Clip) -> Clip:
    pictures = np.zeros_like(clip[0])
    for number, picture in enumerate(clip[0]):
        pictures[number, 45:315] = cv2.resize(picture, (640, 270), interpolation=cv2.INTER_AREA)
    return pictures, clip[1]


def _cut(clip: Clip) -> Clip:
    seconds = 0.63 * len(clip[0]) / RATE
    return clip[0][: round(seconds * RATE)], clip[1][: round(round(seconds * RATE) / RATE * SOUND_RATE)]


def _squeezed(clip: Clip) -> Clip:
    pictures = np.empty_like(clip[0])
    pictures[:] = np.linspace(60, 160, 360, dtype=np.uint8)[None, :, None, None]
    for number, picture in enumerate(clip[0]):
        pictures[number, 20:272, 170:618] = cv2.resize(picture, (448, 252), interpolation=cv2.INTER_AREA)
    return pictures, clip[1]


def _black_before(clip: Clip) -> Clip:
    pictures = np.concatenate([np.zeros((12, SIZE[1], SIZE[0], 3), np.uint8), clip[0]])
    return pictures, np.concatenate([np.zeros(12 * SOUND_RATE // RATE, np.float32), clip[1]])


H264 = {"codec": "libx264", "bit_rate": 900_000, "size": (640, 360), "audio": "aac"}
MPEG2 = {"codec": "mpeg2video", "bit_rate": 1_500_000, "size": (480, 384), "audio": "mp2"}
KINDS: dict[str, tuple[Callable[[Clip], Clip], dict[str, Any]]] = {
    "another encode and scale": (_same, MPEG2),
    "logo and ticker": (_logo, H264),
    "another loudness": (_loudness, H264),
    "letterbox": (_letterbox, H264),
    "cut short": (_cut, H264),
    "squeezed": (_squeezed, H264),
    "black before": (_black_before, H264),
}
