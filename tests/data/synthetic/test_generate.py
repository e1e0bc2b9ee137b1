import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from ml_training.data.synthetic.contact_sheet import decoded
from ml_training.data.synthetic.encode import write_recording
from ml_training.data.synthetic.formats import FORMATS
from ml_training.data.synthetic.generate import Request, generate, recordings_below
from ml_training.data.synthetic.render import pictures
from ml_training.data.synthetic.schedule import Plan, plan_recording
from ml_training.utils.errors import DataError, UsageError
from ml_training.utils.records import Sidecar


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def by_number(request: Request) -> list[tuple[Plan, Path]]:
    return [(plan, request.path(plan)) for plan in map(request.plan, range(request.recordings))]


def test_the_bucket_layout(small_request: Request) -> None:
    labels = json.loads((small_request.output_dir / "labels.json").read_text())
    paths = recordings_below(small_request.output_dir)
    assert sorted(labels) == sorted(path.stem for path in paths)
    for path in paths:
        channel, date, _ = path.stem.split("_")
        assert path.parent == small_request.output_dir / "recordings" / channel / date
        sidecar = Sidecar.model_validate_json(path.with_suffix(".json").read_text())
        assert sidecar.channel == channel
        assert sidecar.genre
        assert sidecar.start_time
        assert sidecar.start_time.date().isoformat() == date
    assert not list(small_request.output_dir.rglob(".*.part"))


def test_the_stream_is_what_its_channel_sends(small_request: Request) -> None:
    for plan, path in by_number(small_request):
        form = plan.profile.form
        with av.open(str(path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            muxer = {"ts": "mpegts", "mp4": "mov", "mkv": "matroska"}[form.container]
            assert container.format.name.startswith(muxer)
            assert (video.codec_context.name, video.width, video.height) == (form.codec, 640, 360)
            if not form.variable:
                assert float(video.average_rate or 0) == pytest.approx(float(form.frame_rate), rel=1e-3)
            sound = "aac" if form.codec == "h264" else "mp2"
            assert (audio.codec_context.name, audio.rate) == (sound, 48_000)


def test_ten_channels_send_in_every_form() -> None:
    forms = [plan_recording(seed=7, channels=10, number=n, night=1, minutes=0.25).profile.form for n in range(10)]
    assert set(forms) == set(FORMATS)
    assert {"h264", "mpeg2video"} == {form.codec for form in forms}
    assert {"ts", "mp4", "mkv"} == {form.container for form in forms}
    assert {25, 50, 30_000 / 1001} == {float(form.frame_rate) for form in forms}
    assert any(form.variable for form in forms)


def test_the_picture_changes_at_the_labelled_time(small_request: Request) -> None:
    """Between the last frame before a boundary and the first one after it, the picture changes more than elsewhere."""
    checked = 0
    for plan, path in by_number(small_request):
        frames = [(t, cv2.resize(f.to_ndarray(format="gray"), (64, 36)).astype(int)) for t, f in decoded(path)]
        times, form = np.array([t for t, _ in frames]), plan.profile.form
        if not form.variable:
            assert len(frames) == form.frame_of(plan.ticks)
        assert times[-1] + 1 / form.frame_rate == pytest.approx(plan.labels()[-1]["end"], abs=0.002)
        for interval in plan.labels()[1:]:
            index = int(np.argmin(np.abs(times - interval["start"])))
            assert times[index] == pytest.approx(interval["start"], abs=0.002)
            change = [np.mean(np.abs(frames[i][1] - frames[i - 1][1])) for i in (index - 1, index, index + 1)]
            assert change[1] > 2 * max(change[0], change[2], 0.3)
            checked += 1
    assert checked >= 16


def test_the_sound_changes_with_the_picture(small_request: Request) -> None:
    """The silence before a spot stands where its black stands, whatever the frame rate."""
    checked = 0
    for plan, path in by_number(small_request):
        if plan.profile.separator != "black" or plan.gap:
            continue
        spot = next(item for item in plan.items if item.black_ticks)
        tick = sum(item.ticks for item in plan.items[: plan.items.index(spot)])
        with av.open(str(path)) as container:
            start = float((container.streams.video[0].start_time or 0) * container.streams.video[0].time_base)
            level = [
                (f.time - start, float(np.abs(f.to_ndarray().astype(float)).mean())) for f in container.decode(audio=0)
            ]
        middle = plan.media_seconds(tick) + spot.black_ticks / 25
        quiet = min(level, key=lambda entry: abs(entry[0] - middle))[1]
        assert quiet < 0.05 * np.mean([value for _, value in level])
        checked += 1
    assert checked


def test_timestamps_start_anywhere_and_jump_as_planned(tmp_path: Path) -> None:
    plan = plan_recording(seed=7, channels=10, number=0, night=1, minutes=0.25)
    plan = dataclasses.replace(plan, profile=dataclasses.replace(plan.profile, form=FORMATS[0]))
    plan = dataclasses.replace(plan, first_timestamp_seconds=54_321.0, gap=(60, 1.6))
    path = tmp_path / "gap.ts"
    write_recording(plan, path)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    assert first == pytest.approx(54_321, abs=5)
    times = np.array([time for time, _ in decoded(path)])
    assert np.argmax(np.diff(times)) == 119
    assert np.diff(times).max() == pytest.approx(1.64, abs=0.002)
    with av.open(str(path)) as container:
        sound = np.array([frame.time for frame in container.decode(audio=0)])
    assert np.diff(sound).max() == pytest.approx(1.6, abs=0.05)
    assert sound[0] == pytest.approx(first, abs=0.1)


def test_workers_change_nothing_and_a_restart_makes_only_what_is_missing(
    small_request: Request, tmp_path: Path
) -> None:
    alone = dataclasses.replace(small_request, output_dir=tmp_path, recordings=3, workers=1)
    assert generate(alone)["made"] == 3
    for path in recordings_below(tmp_path):
        assert digest(path) == digest(small_request.output_dir / path.relative_to(tmp_path))
    first, second, *_ = recordings_below(tmp_path)
    kept, lost = first.stat().st_mtime_ns, digest(second)
    second.unlink()
    (second.parent / f".{second.name}.part").write_bytes(b"half of it")
    result = generate(alone)
    assert (result["made"], result["found"]) == (1, 2)
    assert first.stat().st_mtime_ns == kept
    assert digest(second) == lost
    assert not list(tmp_path.rglob(".*.part"))
    with pytest.raises(DataError, match="another seed"):
        generate(dataclasses.replace(alone, seed=8))
    assert generate(dataclasses.replace(alone, only=("channel-03",)))["recordings"] == ["channel-03_2026-01-05_2000"]
    with pytest.raises(UsageError, match="channel-77"):
        generate(dataclasses.replace(alone, only=("channel-77",)))
    with pytest.raises(DataError, match="ablation"):
        generate(dataclasses.replace(alone, ablate=("logos",)))


def test_pictures_depend_on_the_seed_only() -> None:
    def first(seed: int) -> np.ndarray:
        return next(pictures(plan_recording(seed=seed, channels=4, number=1, night=1, minutes=0.5)))

    assert np.array_equal(first(3), first(3))
    assert not np.array_equal(first(3), first(4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recordings": 0}, "--recordings"),
        ({"minutes": 0.1}, "--minutes"),
        ({"recordings": 99}, "at most 40"),
        ({"ablate": ("colour",)}, "--ablate"),
    ],
)
def test_wrong_numbers_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generate(dataclasses.replace(Request(tmp_path), **change))
