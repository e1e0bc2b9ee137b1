"""Sound from recordings: in its place in media time, holes kept, loudness of BS.1770."""

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from ml_training.data import extraction, parts
from ml_training.data.audio.loudness import LoudnessMarks, is_silent
from ml_training.data.audio.sound import SAMPLE_RATE, load_sound
from ml_training.data.collectors import extract
from ml_training.data.frames import read_extraction, read_index
from ml_training.data.media_file import MediaFile
from ml_training.data.timeline import SOUND_FALLS_SECONDS, read_timeline

RATE = 48_000
VIDEO_START = 1.4  # seconds of the container's clock
TS_PACKET = 188


def write(
    path: Path, tracks: list[list[tuple[float, np.ndarray]]], *, seconds: float = 6.0, video_start: float = VIDEO_START
) -> Path:
    """Write a recording whose pictures begin at ``video_start``; each track has (start, float32 [n]) in media time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"mpegts_copyts": "1"} if path.suffix == ".ts" else {}) as container:
        video = container.add_stream("mpeg2video", rate=25, options={"g": "12"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sounds = [container.add_stream("mp2", rate=RATE, layout="stereo") for _ in tracks]
        packets = []
        for number in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), number % 200, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(video_start * 25) + number, Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        for stream, pieces in zip(sounds, tracks, strict=True):
            for start, sound in pieces:
                packets += encode(stream, video_start + start, sound)
            packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def encode(stream, start: float, sound: np.ndarray) -> list:
    packets = []
    for at in range(0, len(sound) // 1152 * 1152, 1152):
        piece = np.round(sound[at : at + 1152] * 32_767).astype(np.int16).repeat(2)[None]
        frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, round(start * RATE) + at, Fraction(1, RATE)
        packets += stream.encode(frame)
    return packets


def spliced(path: Path, parts: list[Path]) -> Path:
    """Join transport streams as a splicer does: one after the other, packets of each stream counted on."""
    packets, counts = bytearray(b"".join(part.read_bytes() for part in parts)), {}
    for at in range(0, len(packets), TS_PACKET):
        stream = int.from_bytes(packets[at + 1 : at + 3], "big") & 0x1FFF
        counts[stream] = (counts.get(stream, -1) + bool(packets[at + 3] & 0x10)) % 16
        packets[at + 3] = packets[at + 3] & 0xF0 | counts[stream]
    path.write_bytes(packets)
    return path


def tone(seconds: float, hertz: float = 1000.0, level: float = 0.25) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def stored(root: Path, path: Path, rate: float = 1.0) -> tuple[dict, np.ndarray]:
    extract(str(path), str(root / "frames"), frames_per_second=rate, workers=1)
    facts = read_extraction(str(root), path.stem)
    return facts, load_sound(str(root), facts, 0.0, facts["duration_seconds"]).astype(float)


@pytest.mark.parametrize("ending", [".ts", ".mkv", ".mp4"])
def test_sound_is_in_its_place(tmp_path: Path, ending: str) -> None:
    sound = np.concatenate([np.zeros(2 * RATE), tone(1.0), np.zeros(3 * RATE)]).astype(np.float32)
    _, samples = stored(tmp_path, write(tmp_path / f"a{ending}", [[(0.0, sound)]]))
    loud = np.flatnonzero(np.abs(samples) > 2000) / SAMPLE_RATE
    encoder_delay = 481 / RATE  # of MPEG audio layer 2; the container says it or does not
    assert loud[0] == pytest.approx(2.0, abs=encoder_delay + 0.002)
    assert loud[-1] - loud[0] == pytest.approx(1.0, abs=0.005)


def test_holes_stay_holes_and_are_told(tmp_path: Path) -> None:
    facts, samples = stored(tmp_path, write(tmp_path / "a.ts", [[(1.0, tone(1.5)), (4.0, tone(1.0))]]))
    level = np.array([np.abs(piece).max() for piece in samples.reshape(-1, SAMPLE_RATE // 4)])
    assert level[[*range(4, 10), *range(16, 19)]].min() > 2000
    assert level[[*range(3), *range(11, 15), *range(21, 24)]].max() == 0
    holes = [value for hole in facts["sound"]["holes"] for value in (hole["at_seconds"], hole["length_seconds"])]
    assert holes == pytest.approx([0.0, 1.0, 2.5, 1.5, 5.0, 1.0], abs=0.06)
    index = read_index(str(tmp_path), "a").to_pydict()
    assert [value is None for value in index["loudness_lufs"]][:5] == [True, False, False, True, False]


def test_loudness_is_that_of_the_standard(tmp_path: Path) -> None:
    sound = np.concatenate([tone(3.0, level=10 ** (-23 / 20)), np.zeros(3 * RATE, np.float32)])
    facts, _ = stored(tmp_path, write(tmp_path / "a.ts", [[(0.0, sound)]]))
    index = read_index(str(tmp_path), "a").to_pydict()
    # EBU Tech 3341, case 1: a stereo sine of 1 kHz at -23 dBFS has -23 LUFS
    assert index["loudness_lufs"][:3] == pytest.approx([-23.0] * 3, abs=0.1)
    assert index["is_silent"] == [False, False, False, True, True, True] or index["is_silent"][3:] == [
        False,
        True,
        True,
    ]
    assert facts["sound"]["channels"] == 2


def test_the_first_track_counts_and_a_longer_one_is_cut(tmp_path: Path) -> None:
    tracks = [[(-1.0, tone(9.0, 500.0))], [(0.0, tone(6.0, 3000.0))]]
    facts, samples = stored(tmp_path, write(tmp_path / "a.ts", tracks))
    assert facts["sound"]["tracks"] == 2
    assert len(samples) == round(facts["duration_seconds"] * SAMPLE_RATE)
    assert np.abs(np.fft.rfft(samples)).argmax() / facts["duration_seconds"] == pytest.approx(500.0, abs=1.0)
    assert facts["sound"]["holes"] == []


def test_without_sound_nothing_is_stored_of_it(tmp_path: Path) -> None:
    extract(str(write(tmp_path / "a.ts", [])), str(tmp_path / "frames"))
    facts = read_extraction(str(tmp_path), "a")
    assert (facts["sound"], facts["has_audio"]) == (None, False)
    assert list((tmp_path / "frames").rglob("*.flac")) == []
    assert set(read_index(str(tmp_path), "a").column("loudness_lufs").to_pylist()) == {None}
    assert json.loads(next((tmp_path / "frames").rglob("extraction.json")).read_text())["shard_seconds"] == 256.0


def test_shards_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TARGETS_PER_SHARD", 2)
    monkeypatch.setattr(parts, "PART_SECONDS", 2.0)
    path = write(tmp_path / "a.ts", [[(0.0, tone(6.0, 440.0))]])
    facts, samples = stored(tmp_path, path)
    assert facts["sound"]["shards"] == 3
    for seam in (2, 4):
        around = samples[seam * SAMPLE_RATE - 40 : seam * SAMPLE_RATE + 40]
        assert max(abs(b - a) for a, b in pairwise(around)) < 8192 * 2 * np.pi * 440 / SAMPLE_RATE * 1.2


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.7])
def test_sound_that_ends_after_the_next_begins_is_no_reason_to_decode_all(tmp_path: Path, monkeypatch, overlap) -> None:
    first = write(tmp_path / "1.ts", [[(0.0, tone(3.0 + overlap, 440.0))]], seconds=3.0)
    second = write(tmp_path / "2.ts", [[(0.0, tone(3.0, 880.0))]], seconds=3.0, video_start=VIDEO_START + 3.0)
    path = spliced(tmp_path / "a.ts", [first, second])
    with MediaFile(str(path)) as media:
        assert (read_timeline(media) is not None) == (overlap < SOUND_FALLS_SECONDS)
    monkeypatch.setattr(parts, "TARGETS_PER_SHARD", 2)
    monkeypatch.setattr(parts, "PART_SECONDS", 2.0)
    facts, samples = stored(tmp_path / "planned", path)
    monkeypatch.setattr(extraction, "read_timeline", lambda media: None)
    facts_of_whole, whole = stored(tmp_path / "whole", path)
    assert facts == facts_of_whole
    assert np.abs(samples - whole).max() < 8192 * 0.01
    after = slice(round(3.05 * SAMPLE_RATE), round(3.1 * SAMPLE_RATE))
    assert np.abs(np.fft.rfft(samples[after])).argmax() == pytest.approx(880 * 0.05, abs=1)


def test_marks_give_the_nearest_whole_window() -> None:
    marks = LoudnessMarks()
    for block in range(1, 10):
        marks.add(block / 10, block, -20.0 - block)
    assert marks.around(0.0) == -24.0, "the first whole window"
    assert marks.around(0.5) == -27.0
    assert marks.around(1.1) is None
    assert (is_silent(None), is_silent(-23.0), is_silent(-120.7)) == (None, False, True)
