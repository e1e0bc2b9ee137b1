"""Which frames stand for a recording: golden timestamps of real files with every trouble."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ml_training.data.video import VideoFacts, sample_recording
from ml_training.utils.errors import RecordingUnreadable

WRAP_SECONDS = 2**33 / 90_000


def sample(path: Path, rate: float = 1.0) -> tuple[list[float], list[int], VideoFacts]:
    """The chosen times, the numbers (modulo 50) of the pictures chosen, and the facts."""
    frames, facts = sample_recording(path, rate)
    brightness = [float(np.median(frame.image)) for frame in frames]
    return [frame.pts_seconds for frame in frames], [round((b - 40) / 4) for b in brightness], facts


def test_picks_the_first_frame_at_or_after_each_target(two_seconds: Path) -> None:
    times, numbers, facts = sample(two_seconds, rate=4.0)
    assert times == pytest.approx([0.0, 0.28, 0.52, 0.76, 1.0, 1.28, 1.52, 1.76])
    assert numbers == [0, 7, 13, 19, 25, 32, 38, 44]
    assert facts.duration_seconds == pytest.approx(2.0)
    assert facts.audio_sample_rate == 48_000
    assert (facts.width, facts.height, facts.video_codec) == (96, 64, "h264")


@pytest.mark.parametrize("start", [0.0, 50_000.0, WRAP_SECONDS - 1.5], ids=["zero", "far", "wraps"])
def test_zero_is_the_first_frame_wherever_the_counter_starts(
    tmp_path: Path, make_recording, steady_ticks, start
) -> None:
    times, numbers, facts = sample(make_recording(tmp_path / "a.ts", steady_ticks(3.0, start=start)))
    assert times == pytest.approx([0.0, 1.0, 2.0])
    assert numbers == [0, 25, 0]
    assert facts.duration_seconds == pytest.approx(3.0)
    assert facts.first_pts_seconds == pytest.approx(start, abs=0.2)


def test_a_counter_that_is_reset_goes_on(tmp_path: Path, make_recording, steady_ticks) -> None:
    first = make_recording(tmp_path / "first.ts", steady_ticks(2.0, start=500.0))
    second = make_recording(tmp_path / "second.ts", steady_ticks(2.0))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    times, _, facts = sample(joined)
    assert times == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.05)
    assert facts.timestamp_resets == 1
    assert facts.duration_seconds == pytest.approx(4.0, abs=0.05)


def test_a_gap_is_kept_and_recorded(tmp_path: Path, make_recording, steady_ticks) -> None:
    ticks = [*steady_ticks(2.0), *steady_ticks(2.0, start=7.0)]
    times, _, facts = sample(make_recording(tmp_path / "gap.ts", ticks))
    assert times == pytest.approx([0.0, 1.0, 7.0, 8.0])
    assert [(gap.at_seconds, gap.length_seconds) for gap in facts.gaps] == [(1.96, 5.04)]
    assert facts.duration_seconds == pytest.approx(9.0)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_variable_frame_rate_keeps_true_times(tmp_path: Path, make_recording, ending: str) -> None:
    ticks = [0, 3_000, 30_000, 93_000, 95_000, 180_000, 200_000, 275_000]
    times, numbers, _ = sample(make_recording(tmp_path / f"vfr{ending}", ticks, rate=30))
    assert times == pytest.approx([0.0, 1.0333, 2.0, 3.0556], abs=0.001)
    assert numbers == [0, 3, 5, 7]


@pytest.mark.parametrize(("codec", "ending"), [("mpeg2video", ".ts"), ("mpeg2video", ".mpg"), ("mpeg4", ".mp4")])
def test_other_codecs_and_containers(tmp_path: Path, make_recording, steady_ticks, codec: str, ending: str) -> None:
    path = make_recording(tmp_path / f"a{ending}", steady_ticks(3.0), codec=codec, audio=False)
    times, numbers, facts = sample(path)
    assert times == pytest.approx([0.0, 1.0, 2.0])
    assert numbers == pytest.approx([0, 25, 0], abs=1)  # MPEG-2 takes the brightness down a little
    assert facts.audio_sample_rate is None


def test_open_groups_of_pictures_start_at_the_first_frame_that_decodes(
    tmp_path: Path, make_recording, steady_ticks
) -> None:
    whole = make_recording(tmp_path / "whole.ts", steady_ticks(6.0), options={"x264-params": "open-gop=1:bframes=3"})
    cut = tmp_path / "cut.ts"
    data = whole.read_bytes()
    cut.write_bytes(data[len(data) // 3 // 188 * 188 :])
    times, numbers, facts = sample(cut)
    assert times[0] == 0.0
    assert all(a < b for a, b in pairwise(times))
    offset = round(facts.first_pts_seconds * 25) - numbers[0]
    expected = [(round((facts.first_pts_seconds + time) * 25) - offset) % 50 for time in times]
    assert numbers == expected


def test_damage_in_the_middle_is_counted_and_the_rest_is_kept(tmp_path: Path, make_recording, steady_ticks) -> None:
    data = bytearray(make_recording(tmp_path / "a.ts", steady_ticks(8.0)).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = np.random.default_rng(1).bytes(20_000)
    damaged = tmp_path / "damaged.ts"
    damaged.write_bytes(data)
    times, _, facts = sample(damaged)
    assert times[:2] == pytest.approx([0.0, 1.0])
    assert times[-1] == pytest.approx(7.0)
    assert len(times) >= 5
    assert facts.decode_errors + len(facts.gaps) > 0


def test_a_truncated_recording_gives_what_is_there(tmp_path: Path, make_recording, steady_ticks) -> None:
    data = make_recording(tmp_path / "a.ts", steady_ticks(6.0)).read_bytes()
    short = tmp_path / "short.ts"
    short.write_bytes(data[: len(data) // 2])
    times, _, facts = sample(short)
    assert times[:2] == pytest.approx([0.0, 1.0])
    assert 1.5 < facts.duration_seconds < 4.5


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.mp4", b"", "not a media file"),
        ("noise.ts", np.random.default_rng(2).bytes(40_000), "not a media file"),
        ("text.mkv", b"This is no recording.\n" * 200, "not a media file"),
    ],
)
def test_what_is_no_video_says_why(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RecordingUnreadable, match=says) as caught:
        sample(tmp_path / name)
    assert "Invalid data" in caught.value.tool_output


def test_an_mp4_without_its_end_cannot_be_opened(tmp_path: Path, make_recording, steady_ticks) -> None:
    data = make_recording(tmp_path / "a.mp4", steady_ticks(2.0)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingUnreadable) as caught:
        sample(tmp_path / "cut.mp4")
    assert "moov atom not found" in caught.value.tool_output
