import pytest
from ml_training.edge.agent.inputs import Input, inputs_of, is_stream
from ml_training.utils.errors import ConfigError


@pytest.fixture
def archive(tmp_path):
    for place in ("monday/news.ts", "tuesday/news.ts", "tuesday/news.txt"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    return tmp_path


def test_streams_are_told_from_files():
    assert is_stream("udp://239.0.0.1:1234")
    assert is_stream("/dev/video0")
    assert not is_stream("file:///video/news.ts")
    assert [one.location for one in inputs_of(["rtsp://camera/1", "/dev/video0"])] == ["rtsp://camera/1", "/dev/video0"]


def test_recordings_of_one_name_in_a_folder_keep_their_places(archive):
    files = [str(archive / place) for place in ("monday/news.ts", "tuesday/news.ts")]
    assert inputs_of([str(archive)]) == [Input(files[0], "monday/news"), Input(files[1], "tuesday/news")]
    assert inputs_of([f"file://{files[0]}", files[0]]) == [Input(files[0], "news")] * 2


def test_two_recordings_that_would_write_one_file_are_refused(archive):
    with pytest.raises(ConfigError, match=r"monday/news\.ts and .*tuesday/news\.ts would both write news\.edl"):
        inputs_of([str(archive / "monday" / "news.ts"), str(archive / "tuesday" / "news.ts")])
