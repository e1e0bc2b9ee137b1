"""The command that runs other tools on one's own recordings."""

import json
import shutil
from pathlib import Path

import pytest
from ml_training.detection.baselines.__main__ import main, run_tool
from ml_training.utils.errors import DataError

pytestmark = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not on the PATH")


def test_one_recording_into_a_file(gapped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "breaks.json"
    words = ["--tool", "black-silence", "--recordings", str(gapped), "--output", str(output), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)["recordings"][0]
    (written,) = json.loads(output.read_text())["gapped"]
    assert [written["start"], written["end"]] == told["breaks"][0]
    assert told["times_real_time"] > 1


def test_a_folder_with_something_unreadable(gapped: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(gapped, source)
    (source / "broken.ts").write_text("no recording")
    result = run_tool("black-silence", [str(source)], str(tmp_path / "out"))
    assert [entry["recording_id"] for entry in result["failed"]] == ["broken"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["gapped.edl"]
    (source / "gapped.ts").unlink()
    with pytest.raises(DataError, match="black-silence could read none of 1 recordings: ffmpeg cannot read broken"):
        run_tool("black-silence", [str(source)], str(tmp_path / "none"))


def test_a_format_of_frame_numbers_is_refused(gapped: Path, tmp_path: Path) -> None:
    words = ["--tool", "black-silence", "--recordings", str(gapped), "--output", str(tmp_path), "--format", "cmx"]
    assert main(words) == 2
