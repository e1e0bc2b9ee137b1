"""The first look stores what an extraction would, shared among cores, and leaves nothing behind."""

import numpy as np
import pytest
from ml_training.data import timeline
from ml_training.data.collectors import extract
from ml_training.data.media_file import MediaFile
from ml_training.data.parts import Layout
from ml_training.data.recordings import find_recordings
from ml_training.detection.first_pass import READINGS, FirstPass, mode_of, rough_duration
from ml_training.detection.gather import StoredRecording


@pytest.fixture(scope="module")
def path(tmp_path_factory, write_recording):
    return write_recording(
        tmp_path_factory.mktemp("in") / "new.ts", 7, tuple((at, at + 20, "ad") for at in range(0, 80, 20))
    )


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.mark.parametrize("mode", ["exact", "sparse", "keyframes"])
def test_a_short_recording_in_two_parts_has_the_frames_of_the_whole(path, tmp_path, work, mode):
    candidates, rate = READINGS[mode]
    extract(str(path), str(tmp_path / "frames"), mode=candidates, frames_per_second=rate, workers=1)
    whole = StoredRecording.open(str(tmp_path), "new")
    (recording,) = find_recordings(str(path)).recordings
    with FirstPass(mode=mode, workers=2) as first:
        shared = first.store(recording)
        assert mode_of(shared.extraction) == mode
        assert shared.extraction["shard_seconds"] == pytest.approx(40, abs=1)
        assert len(set(shared.index["shard"].to_pylist())) == 2
        columns = ["pts_seconds", "phash", "luma", "motion", "shot_change"]
        assert shared.index.select(columns).equals(whole.index.select(columns))
        count = len(whole.index)
        assert np.array_equal(shared.images(0, count), whole.images(0, count))
        assert list(work.iterdir())
    assert list(work.iterdir()) == []


def test_the_division_is_the_same_on_every_machine(path, work):
    (recording,) = find_recordings(str(path)).recordings
    tables = []
    for workers in (1, 4):
        with FirstPass(mode="exact", workers=workers) as first:
            tables.append(first.store(recording).index)
    assert tables[0].equals(tables[1])


def test_the_duration_is_known_before_anything_is_decoded(path):
    with MediaFile(str(path)) as media:
        assert rough_duration(media) == pytest.approx(80, abs=0.5)


def test_the_packets_are_read_once_before_anything_is_decoded(path, work, monkeypatch):
    found, (recording,) = [], find_recordings(str(path)).recordings
    look = timeline._first_shown
    monkeypatch.setattr(timeline, "_first_shown", lambda media: found.append(media.name) or look(media))
    with FirstPass(workers=1) as first:
        first.store(recording)
    assert found == ["new.ts"]


@pytest.mark.parametrize(("seconds", "part"), [(600, 150), (1200, 150), (3600, 226), (7200, 226)])
def test_a_long_recording_has_parts_for_two_and_for_four(seconds, part):
    pool, part_seconds = FirstPass(workers=2)._shared(seconds)
    assert part_seconds == part
    assert len(Layout(1.0, part_seconds).parts(seconds)) % 4 == 0
    assert len(Layout(0.5, part_seconds).parts(seconds)) % 4 == 0
    with pool:
        pool.prepare()
        assert set(pool.map(abs, [-1, -2])) == {1, 2}
