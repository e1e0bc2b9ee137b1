"""Decoding only what is needed gives the same frames to the bit, and less work where a recording allows it."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ml_training.data.media_time import MediaClock
from ml_training.data.packet_plan import Action, Packet, plan_packets
from ml_training.data.video import VideoFacts, VideoReader


def sample(path: Path, *, sparing: bool, rate: float) -> tuple[list[float], np.ndarray, VideoFacts]:
    with VideoReader(path, sparing=sparing) as video:
        frames = list(video.sample(rate))
        return [f.pts_seconds for f in frames], np.stack([f.image for f in frames]), video.facts()


ENCODINGS = {
    "usual": ("libx264", {"x264-params": "bframes=3:b-adapt=0"}),
    "open groups": ("libx264", {"x264-params": "open-gop=1:bframes=3:b-adapt=0"}),
    "pyramid": ("libx264", {"x264-params": "open-gop=1:bframes=7:b-adapt=0:b-pyramid=normal"}),
    "no b": ("libx264", {"x264-params": "bframes=0"}),
    "long groups": ("libx264", {"g": "250"}),
    "gradual refresh": ("libx264", {"x264-params": "intra-refresh=1:keyint=12"}),
    "mpeg-2": ("mpeg2video", {"bf": "2"}),
    "mpeg-4": ("mpeg4", {"bf": "2"}),
}


@pytest.mark.parametrize("rate", [0.7, 1.0, 4.0, 25.0])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_frames_are_the_same_to_the_bit(
    tmp_path: Path, make_recording, steady_ticks, encoding: str, rate: float
) -> None:
    codec, options = ENCODINGS[encoding]
    path = make_recording(tmp_path / "a.ts", steady_ticks(6.0, start=3.0), codec=codec, options=options)
    data = path.read_bytes()
    for cut in (0, len(data) // 3 // 188 * 188):
        path.write_bytes(data[cut:])
        times, images, facts = sample(path, sparing=True, rate=rate)
        whole_times, whole_images, whole_facts = sample(path, sparing=False, rate=rate)
        assert times == whole_times
        assert np.array_equal(images, whole_images)
        assert facts == whole_facts


@pytest.mark.parametrize("damage", ["flipped", "zeroed", "truncated"])
def test_damaged_recordings_give_the_same_frames_too(tmp_path: Path, make_recording, steady_ticks, damage: str) -> None:
    data = bytearray(make_recording(tmp_path / "a.ts", steady_ticks(8.0)).read_bytes())
    if damage == "flipped":
        for at in np.random.default_rng(3).integers(len(data) // 3, len(data), 12):
            data[at] ^= 0xFF
    elif damage == "zeroed":
        data[len(data) // 2 : len(data) // 2 + 5000] = bytes(5000)
    else:
        del data[len(data) // 2 + 77 :]
    (tmp_path / "damaged.ts").write_bytes(data)
    times, images, facts = sample(tmp_path / "damaged.ts", sparing=True, rate=2.0)
    whole_times, whole_images, whole_facts = sample(tmp_path / "damaged.ts", sparing=False, rate=2.0)
    assert times == whole_times
    assert np.array_equal(images, whole_images)
    assert facts == whole_facts


def packets(count: int, group: int = 10) -> list[Packet]:
    return [Packet(n * 3600, n * 3600, 3600, n % group == 0, False) for n in range(count)]


def plan(items: list[Packet]):
    return plan_packets(items, zero_ticks=0, clock=MediaClock(Fraction(1, 90_000), 0.04), frames_per_second=1.0)


def test_ends_of_groups_are_skipped_and_what_is_wanted_is_decoded() -> None:
    made = plan(packets(100))
    assert sorted(made.wanted.values()) == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert [made.actions[at] for at in (25, 50, 75)] == [Action.DECODE] * 3
    assert made.actions[26:50] == [Action.SKIP] * 24, "nothing is wanted until the group that starts at 50"
    assert Counter(made.actions[70:76]) == {Action.REFERENCE: 5, Action.DECODE: 1}
    assert Counter(made.actions[:20] + made.actions[90:]) == {Action.DECODE: 30}, "both ends are decoded whole"


def test_a_picture_shown_before_its_keyframe_needs_the_group_before() -> None:
    items = packets(100)
    items[50], items[51] = items[50]._replace(pts=51 * 3600), items[51]._replace(pts=50 * 3600)
    made = plan(items)
    assert Action.SKIP not in made.actions[40:52]


@pytest.mark.parametrize(
    "change", [{"pts": None}, {"dts": None}, {"is_corrupt": True}, {"dts": 0}], ids=["pts", "dts", "corrupt", "falling"]
)
def test_what_is_not_regular_has_no_plan(change: dict) -> None:
    items = packets(60)
    items[30] = items[30]._replace(**change)
    assert plan(items) is None
