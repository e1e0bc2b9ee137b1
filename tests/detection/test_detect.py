"""The commands: learn a detector, find the breaks of files, watch a stream."""

import json

import numpy as np
import pytest
from ml_training.data.extraction import open_recording
from ml_training.data.media_file import MediaFile
from ml_training.detection import learning, second_pass
from ml_training.detection.detect import main as detect_main
from ml_training.detection.first_pass import choose_mode
from ml_training.detection.judging import Judge
from ml_training.detection.lessons import CONDITIONS
from ml_training.detection.second_pass import SecondPass
from ml_training.detection.sequence_training import Schedule
from ml_training.detection.train import main as train_main
from ml_training.detection.train import train
from ml_training.utils.errors import DatasetUnusable

EPOCHS = 25


@pytest.fixture(scope="module")
def detector(data_root, tmp_path_factory) -> str:
    """A detector learned by the command, on three channels of a minute."""
    root, dataset_id = data_root
    folder = str(tmp_path_factory.mktemp("detector"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "FOLDS", 2)
        options = ["--data-dir", root, "--dataset", dataset_id, "--output", folder, "--epochs", str(EPOCHS)]
        assert train_main(options) == 0
    return folder


def run(capsys, *options: str) -> dict:
    assert detect_main([*options, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_same_training_is_found_again(detector, data_root):
    root, dataset_id = data_root
    again = train(root, dataset_id, detector, model=None, schedule=Schedule(epochs=EPOCHS))
    assert again["reused"]
    assert set(again["scores"]) == set(CONDITIONS)
    assert set(again["scores"]["without ads, alone"]) == {"false_minutes_per_hour"}
    assert again["recordings"] == 3


def test_one_file_gives_an_edit_list(detector, tmp_path, write_recording, capsys):
    path = write_recording(tmp_path / "news.ts", 5)
    result = run(capsys, str(path), "--model", detector, "--output", str(tmp_path / "breaks.edl"))
    (found,) = result["recordings"][0]["breaks"]
    assert found["start_seconds"] == pytest.approx(22, abs=0.5)
    assert found["end_seconds"] == pytest.approx(42, abs=0.5)
    start, end, action = (tmp_path / "breaks.edl").read_text().split()
    assert (float(start), float(end), action) == (found["start_seconds"], found["end_seconds"], "0")
    assert result["recordings"][0]["mode"] == "keyframes"


def test_a_folder_gives_a_file_and_a_plot_each_and_names_what_fails(detector, tmp_path, write_recording, capsys):
    source = tmp_path / "in"
    write_recording(source / "one.mp4", 5)
    write_recording(source / "dull.mp4", 6, ((0, 50, "content"),))
    (source / "broken.ts").write_bytes(b"nothing" * 1000)
    out = tmp_path / "out"
    options = ["--model", detector, "--output", str(out), "--format", "json", "--plot", str(out), "--mode", "exact"]
    result = run(capsys, str(source), *options)
    assert list(result["failed"]) == ["broken"]
    assert json.loads((out / "dull.json").read_text()) == {"dull": []}
    assert len(json.loads((out / "one.json").read_text())["one"]) == 1
    assert (out / "one.png").stat().st_size > 5000


def test_a_recording_without_sound_is_judged(detector, tmp_path, write_recording, capsys):
    path = write_recording(tmp_path / "mute.ts", 5, sound=False)
    result = run(capsys, str(path), "--model", detector)
    assert result["failed"] == {}


def test_an_archive_adds_what_airs_there(detector, data_root, tmp_path, write_recording, capsys):
    path = write_recording(tmp_path / "news.ts", 5)
    result = run(capsys, str(path), "--model", detector, "--archive", data_root[0])
    (found,) = result["recordings"][0]["breaks"]
    assert found["end_seconds"] == pytest.approx(42, abs=0.5)


def test_wrong_calls_are_told(detector, tmp_path, write_recording, capsys):
    path = str(write_recording(tmp_path / "news.ts", 5, ((0, 4, "content"),)))
    for options, said in (
        ([path, "--model", str(tmp_path / "None")], "expected a detector's folder"),
        ([path, "--model", detector, "--output", "a.doc"], "no format ends in"),
        ([path, "--model", detector, "--format", "doc"], "--format must be one of"),
        ([str(tmp_path / "empty"), "--model", detector], "there are no recordings"),
        ([path, "--model", detector, "--workers", "0"], "--workers must be at least 1"),
        ([path, path, "--model", detector, "--stream"], "--stream watches one stream"),
    ):
        assert detect_main(options) in (1, 2), options
        assert said in capsys.readouterr().err


def test_a_stream_tells_its_breaks_as_lines(detector, tmp_path, write_recording, capsys):
    items = ((0, 40, "content"), (40, 50, "ad"), (50, 65, "ad"), (65, 140, "content"))
    path = write_recording(tmp_path / "live.ts", 5, items)
    lines = tmp_path / "breaks.jsonl"
    result = run(capsys, str(path), "--model", detector, "--stream", "--output", str(lines))
    (found,) = [json.loads(line) for line in lines.read_text().splitlines()]
    assert found["start_seconds"] == pytest.approx(40, abs=1.5)
    assert found["end_seconds"] == pytest.approx(65, abs=1.5)
    assert result["watched_seconds"] == pytest.approx(140, abs=2)


def test_keyframes_that_are_far_apart_are_not_enough(tmp_path, write_recording):
    items = ((0, 30, "content"),)
    near = write_recording(tmp_path / "near.ts", 1, items)
    usual = write_recording(tmp_path / "usual.ts", 1, items, keyframe=20)
    far = write_recording(tmp_path / "far.ts", 1, items, keyframe=22)
    for path, mode in ((near, "keyframes"), (usual, "keyframes"), (far, "sparse")):
        with open_recording(str(path)) as opened:
            assert choose_mode(opened.timeline) == mode
    assert choose_mode(None) == "exact"


def test_a_recording_with_few_keyframes_is_read_every_two_seconds(detector, tmp_path, write_recording, capsys):
    items = ((0, 40, "content"), (40, 50, "ad"), (50, 65, "ad"), (65, 140, "content"))
    path = write_recording(tmp_path / "far.ts", 5, items, keyframe=100)
    (found,) = run(capsys, str(path), "--model", detector)["recordings"]
    assert found["mode"] == "sparse"
    (only,) = found["breaks"]
    assert (only["start_seconds"], only["end_seconds"]) == pytest.approx((40, 65), abs=0.3)


@pytest.mark.parametrize("keyframe", [10, 100])
def test_the_second_pass_sees_the_frame_at_which_a_cut_is(tmp_path, write_recording, keyframe):
    path = write_recording(tmp_path / "cut.ts", 3, keyframe=keyframe)
    with MediaFile(str(path)) as media:
        zero = float(media.container.start_time) / 1_000_000
    look, nothing = SecondPass(str(path), zero_seconds=zero).look([22.0, 500.0])
    assert nothing is None
    assert np.diff(look.seconds) == pytest.approx(0.1, abs=0.01)
    assert look.seconds[0] >= 18.9
    assert look.change[np.argmin(np.abs(look.seconds - 22.1))] > 0.5
    assert np.abs(look.seconds[look.black > 0] - 22.0).max() < 0.2


def test_frames_before_a_place_are_decoded_only_as_others_need_them(tmp_path, write_recording, monkeypatch):
    path = write_recording(tmp_path / "far.ts", 3, ((0, 30, "content"),), keyframe=300, preset="fast")
    with MediaFile(str(path)) as media:
        zero = float(media.container.start_time) / 1_000_000
    found, count = [], 0
    decode = MediaFile.decode

    def counted(media, packet):
        nonlocal count
        frames = decode(media, packet)
        count += len(frames)
        return frames

    monkeypatch.setattr(MediaFile, "decode", counted)
    for codecs in ({"h264"}, set()):
        monkeypatch.setattr(second_pass, "PLANNED_CODECS", codecs)
        count = 0
        (look,) = SecondPass(str(path), zero_seconds=zero).look([20.0])
        found.append((look, count))
    (sparing, fewer), (whole, all_frames) = found
    assert fewer < all_frames - 50
    assert (sparing.seconds[0], sparing.seconds[-1]) == pytest.approx((17, 23), abs=0.11)
    for one, other in zip(sparing, whole, strict=True):
        assert np.array_equal(one, other)


def test_two_channels_are_needed(data_root, tmp_path):
    root, dataset_id = data_root
    from ml_training.detection import train as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHANNELS_NEEDED", 9)
        with pytest.raises(DatasetUnusable, match="9 channels or more, received 3"):
            train(root, dataset_id, str(tmp_path), model=None)
    assert train_main(["--dataset", "nothing", "--data-dir", root, "--output", str(tmp_path)]) == 1


def test_stored_recordings_are_judged_without_some_groups(detector, data_root):
    from ml_training.detection.gather import StoredRecording

    judge = Judge.open(detector, archive=data_root[0])
    judge.meet(StoredRecording.open(data_root[0], "four"))
    assert len(judge.verdict("four").breaks) == 1
    assert judge.verdict("four", without=("archive",)).ad_share.shape == (60,)
