"""Frames and sound as the agent gets them, beside those that training stores."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ml_training.data.video import sample_recording
from ml_training.edge.agent.media import SAMPLE_RATE, SoundRing, Source, encode_jpeg
from ml_training.edge.agent.telemetry import read_comment, with_comment
from ml_training.utils.errors import RecordingUnreadable


def recorded(path, *, seconds=6, size="640x360", sound=True, options=()):
    words = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}"]
    words += ["-f", "lavfi", "-i", f"sine=440:r=48000:d={seconds}"] if sound else []
    words += ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p", *options, str(path)]
    subprocess.run(words, check=True)
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("media") / "news.ts")


def frames_of(path, **options):
    with Source(str(path), **options) as source:
        return list(source.frames()), source.sound


def test_frames_are_those_of_training(recording):
    expected, _ = sample_recording(recording, 1.0)
    frames, _ = frames_of(recording)
    assert [frame.pts_seconds for frame in frames] == pytest.approx([frame.pts_seconds for frame in expected])
    assert np.array_equal([frame.image for frame in frames], [frame.image for frame in expected])


def test_a_rate_that_no_second_divides_is_sampled_alike(tmp_path):
    path = recorded(tmp_path / "odd.mkv", sound=False, options=("-r", "30000/1001"))
    expected, _ = sample_recording(path, 1.0)
    frames, sound = frames_of(path, hears=False)
    assert [frame.pts_seconds for frame in frames] == pytest.approx([f.pts_seconds for f in expected], abs=1e-3)
    assert sound is None


def test_sound_lies_where_its_frames_do(recording):
    from ml_training.data.audio.loudness import LoudnessMarks
    from ml_training.data.audio.track import SoundBuffer, SoundTrack
    from ml_training.data.media_file import MediaFile
    from ml_training.data.video import WholeDecoder

    buffer = SoundBuffer(0, 6 * SAMPLE_RATE)
    with MediaFile(str(recording)) as media:
        decoder = WholeDecoder(media, 1.0)
        list(decoder.frames(SoundTrack(buffer.place, LoudnessMarks(), decoder.sound_seconds)))
    _, sound = frames_of(recording, hears=True)
    assert sound.reaches(5.5)
    expected, got = buffer.samples[16_000:80_000].astype(int), sound.cut(1.0, 5.0).astype(int)
    assert np.abs(got).max() > 1000
    shifts = {shift: np.abs(got[40:-40] - np.roll(expected, shift)[40:-40]).mean() for shift in range(-8, 9)}
    assert min(shifts.values()) < 0.02 * np.abs(expected).mean(), shifts
    assert abs(min(shifts, key=shifts.__getitem__)) <= 2  # an eighth of a millisecond


def test_a_recording_without_sound_has_none(tmp_path):
    path = recorded(tmp_path / "silent.ts", seconds=2, sound=False)
    frames, sound = frames_of(path, hears=True)
    assert (len(frames), sound) == (2, None)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "bad.ts"
    path.write_bytes(content)
    with pytest.raises(RecordingUnreadable, match=r"bad\.ts gives no frame"):
        frames_of(path)


def test_a_recording_that_is_cut_off_gives_what_is_there(recording, tmp_path):
    path = tmp_path / "cut.ts"
    path.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])
    frames, _ = frames_of(path)
    assert 1 <= len(frames) < 6


def test_stopping_in_the_middle_leaves_no_process(recording):
    with Source(str(recording)) as source:
        next(source.frames())
        process = source._process
    assert process.poll() is not None


def test_the_ring_forgets_the_oldest_and_is_silent_outside():
    ring = SoundRing(seconds=2)
    ring.begin_at(0.5)
    for number in range(4):
        ring.add(np.full(SAMPLE_RATE, number + 1, np.int16))
    assert ring.reaches(3.5)
    assert not ring.reaches(3.6)
    assert set(ring.cut(1.5, 2.5)) == {3}
    assert set(ring.cut(0.0, 1.0)) == {0}  # forgotten
    assert set(ring.cut(-1.0, 0.0)) == {0}
    assert ring.cut(3.0, 4.0)[-1] == 0
    ring.finish()
    assert ring.reaches(100.0)


def test_a_picture_and_its_facts_are_one_file(tmp_path):
    image = np.zeros((224, 224, 3), np.uint8) + np.array([200, 30, 30], np.uint8)
    data = with_comment(encode_jpeg(image), {"score": 0.5})
    assert read_comment(data) == {"score": 0.5}
    path = Path(tmp_path / "x.jpg")
    path.write_bytes(data)
    words = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    back = np.frombuffer(subprocess.run(words, capture_output=True, check=True).stdout, np.uint8)
    assert np.abs(back.reshape(image.shape).astype(int) - image).max() <= 4
    with pytest.raises(ValueError, match="comment"):
        read_comment(b"\xff\xd8\xff\xe0")
