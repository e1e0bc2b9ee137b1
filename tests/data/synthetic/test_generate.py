import dataclasses
import hashlib
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from ml_training.data.synthetic.contact_sheet import decoded
from ml_training.data.synthetic.encode import write_recording
from ml_training.data.synthetic.generate import Request, generate
from ml_training.data.synthetic.render import pictures
from ml_training.data.synthetic.schedule import plan_recording
from ml_training.utils.errors import DataError, UsageError
from ml_training.utils.records import Sidecar


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recordings(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.ts"))


def test_the_bucket_layout(small_request: Request) -> None:
    labels = json.loads((small_request.output_dir / "labels.json").read_text())
    paths = recordings(small_request.output_dir)
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


def test_the_stream_is_what_it_says(small_set: Path) -> None:
    with av.open(str(recordings(small_set)[0])) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert container.format.name == "mpegts"
        assert (video.codec_context.name, video.width, video.height, float(video.average_rate or 0)) == (
            "h264",
            640,
            360,
            25,
        )
        assert (audio.codec_context.name, audio.rate) == ("aac", 48_000)


def test_the_picture_changes_at_the_labelled_time(small_request: Request) -> None:
    """Between the last frame before a boundary and the first one after it, the picture changes more than elsewhere."""
    checked = 0
    for number, path in enumerate(recordings(small_request.output_dir)[:4]):
        frames = [(t, cv2.resize(f.to_ndarray(format="gray"), (64, 36)).astype(int)) for t, f in decoded(path)]
        times = np.array([t for t, _ in frames])
        plan = small_request.plan(number)
        assert len(frames) == plan.ticks * 2
        end = plan.labels()[-1]["end"]
        assert times[-1] + 0.04 == pytest.approx(end, abs=0.002)
        for interval in plan.labels()[1:]:
            index = int(np.argmin(np.abs(times - interval["start"])))
            assert times[index] == pytest.approx(interval["start"], abs=0.002)
            change = [np.mean(np.abs(frames[i][1] - frames[i - 1][1])) for i in (index - 2, index, index + 2)]
            assert change[1] > 3 * max(change[0], change[2], 0.3)
            checked += 1
    assert checked >= 8


def test_timestamps_start_anywhere_and_jump_as_planned(tmp_path: Path) -> None:
    plan = plan_recording(seed=7, channels=10, number=0, night=1, minutes=0.25)
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
    alone = dataclasses.replace(small_request, output_dir=tmp_path, recordings=2, workers=1)
    assert generate(alone)["made"] == 2
    for path in recordings(tmp_path):
        assert digest(path) == digest(small_request.output_dir / path.relative_to(tmp_path))
    first, second = recordings(tmp_path)
    kept, lost = first.stat().st_mtime_ns, digest(second)
    second.unlink()
    (second.parent / f".{second.name}.part").write_bytes(b"half of it")
    result = generate(alone)
    assert (result["made"], result["found"]) == (1, 1)
    assert first.stat().st_mtime_ns == kept
    assert digest(second) == lost
    assert not list(tmp_path.rglob(".*.part"))
    with pytest.raises(DataError, match="another seed"):
        generate(dataclasses.replace(alone, seed=8))


def test_pictures_depend_on_the_seed_only() -> None:
    def first(seed: int) -> np.ndarray:
        return next(pictures(plan_recording(seed=seed, channels=4, number=1, night=1, minutes=0.5)))

    assert np.array_equal(first(3), first(3))
    assert not np.array_equal(first(3), first(4))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"recordings": 0}, "--recordings"), ({"minutes": 0.1}, "--minutes"), ({"recordings": 99}, "at most 40")],
)
def test_wrong_numbers_are_refused(tmp_path: Path, change: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        generate(dataclasses.replace(Request(tmp_path), **change))
