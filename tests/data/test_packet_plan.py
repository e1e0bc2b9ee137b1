"""Decoding only what is needed gives the same frames to the bit, and less work where a recording allows it."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ml_training.data.media_file import MediaFile
from ml_training.data.packet_plan import DECODE, REFERENCE, SKIP, PartPlan, plan_part
from ml_training.data.parts import Layout
from ml_training.data.timeline import Timeline, read_timeline
from ml_training.data.video import VideoFacts, sample_recording

LAYOUT = Layout(1.0)


def sample(path: Path, *, sparing: bool, rate: float) -> tuple[list[float], np.ndarray, VideoFacts]:
    frames, facts = sample_recording(path, rate, sparing=sparing)
    return [f.pts_seconds for f in frames], np.stack([f.image for f in frames]), facts


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


def timeline(count: int, group: int = 10, **change: np.ndarray) -> Timeline:
    pts = np.arange(count, dtype=np.int64) * 3600
    fields = {
        "time_base": Fraction(1, 90_000),
        "zero_ticks": 0,
        "pts": pts,
        "duration": np.full(count, 3600, np.int32),
        "is_key": np.arange(count) % group == 0,
        "audio_time_base": Fraction(1, 90_000),
        "audio_pts": np.arange(count * 2, dtype=np.int64) * 1800,
        "audio_place": np.arange(count * 2, dtype=np.int32) // 2,
    }
    return Timeline(**(fields | change))


def plans(items: Timeline, layout: Layout = LAYOUT, **options: bool) -> list[PartPlan]:
    choice = items.choose(layout.frames_per_second, **options)
    parts = layout.parts(items.facts(0.04).duration_seconds)
    return [plan_part(items, choice, part, layout, is_last=part is parts[-1], **options) for part in parts]


def test_ends_of_groups_are_skipped_and_what_is_wanted_is_decoded() -> None:
    (made,) = plans(timeline(100))
    assert sorted(made.wanted.values()) == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert [made.actions[at] for at in (25, 50, 75)] == [DECODE] * 3
    assert list(made.actions[26:50]) == [SKIP] * 24, "nothing is wanted until the group that starts at 50"
    assert Counter(made.actions[70:76]) == {REFERENCE: 5, DECODE: 1}
    assert set(made.actions[:20]) | set(made.actions[90:]) == {DECODE}, "both ends are decoded whole"


def test_a_picture_shown_before_its_keyframe_needs_the_group_before() -> None:
    pts = np.arange(100, dtype=np.int64) * 3600
    pts[50], pts[51] = pts[51], pts[50]
    (made,) = plans(timeline(100, pts=pts))
    assert SKIP not in made.actions[40:52]


def test_keyframes_alone_are_decoded_alone() -> None:
    (made,) = plans(timeline(100), keyframes_only=True)
    assert list(made.wanted.values()) == pytest.approx([0.0, 1.2, 2.0, 3.2])
    assert np.flatnonzero(made.actions).tolist() == [0, 30, 50, 80]


def test_a_later_part_begins_before_its_first_frame_and_its_sound() -> None:
    items = timeline(25 * 600)
    first, second, third = plans(items)
    assert (first.from_start, second.from_start) == (True, False)
    assert not first.has_before
    assert list(second.wanted.values())[:2] == pytest.approx([255.0, 256.0]), "the frame before is compared with"
    begin = int(second.pts[0]) // 3600
    assert begin <= 25 * 255 - 10, "one group as run-up"
    assert items.is_key[begin]
    assert set(second.actions[: second.checked_from]) <= {SKIP, DECODE}
    assert second.audio_from == pytest.approx((256 - 0.7) * 90_000, abs=1800)
    assert len(third.pts) < 100 * 25, "a part reads no more than its own stretch"


def test_the_plan_does_not_depend_on_other_parts() -> None:
    layout = Layout(4.0)
    made = plans(timeline(25 * 600), layout)
    assert [plan.part.first_shard for plan in made] == [0, 4, 8]
    assert sum(len(plan.wanted) - plan.has_before for plan in made) == 2400


@pytest.mark.parametrize("change", [{"pts": None}, {"is_corrupt": True}, {"dts": -1}, {"pts": 3600 * 3}])
def test_what_is_not_regular_has_no_timeline(
    tmp_path: Path, make_recording, steady_ticks, monkeypatch: pytest.MonkeyPatch, change: dict
) -> None:
    packets = MediaFile.packets

    class Changed:
        def __init__(self, packet: object) -> None:
            self._packet = packet

        def __getattr__(self, name: str) -> object:
            return change[name] if name in change else getattr(self._packet, name)

    def altered(self: MediaFile):
        for number, packet in enumerate(packets(self)):
            yield Changed(packet) if number == 40 else packet

    path = make_recording(tmp_path / "a.ts", steady_ticks(3.0), audio=False)
    with MediaFile(str(path)) as media:
        assert read_timeline(media) is not None
        monkeypatch.setattr(MediaFile, "packets", altered)
        assert read_timeline(media) is None
