"""Parts of a recording: the same bytes with one worker or several, killed or not."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ml_training.cloud import storage
from ml_training.data import parts
from ml_training.data.collectors import extract
from ml_training.data.extraction import extraction_name
from ml_training.data.frames import read_extraction
from ml_training.data.parts import Layout
from ml_training.data.video import sample_recording

KILLED_AFTER_SECONDS = (0.5, 1.5, 2.0)
PROGRAM = """
import sys
from ml_training.data import parts
parts.TARGETS_PER_SHARD, parts.PART_SECONDS = 3, 3.0
from ml_training.data.collectors import extract
if __name__ == "__main__":
    extract(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
"""


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards and parts of three seconds at one frame a second."""
    monkeypatch.setattr(parts, "TARGETS_PER_SHARD", 3)
    monkeypatch.setattr(parts, "PART_SECONDS", 3.0)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_division_follows_from_the_rate_alone() -> None:
    one, four, slow = Layout(1.0), Layout(4.0), Layout(0.01)
    assert (one.shard_seconds, one.shards_per_part, one.shard_samples) == (256.0, 1, 4_096_000)
    assert (four.shard_seconds, four.shards_per_part) == (64.0, 4)
    assert (slow.targets_per_shard, slow.shard_seconds) == (5, 500.0)
    assert [part.end_shard for part in four.parts(300.0)] == [4, 5]
    short = Layout(1.0, part_seconds=90.0)
    assert [(part.start_seconds, part.end_shard) for part in short.parts(180.0)] == [(0.0, 1), (90.0, 2)]
    assert one.shard_count(256.0) == 1
    assert one.shard_count(256.04) == 2
    assert one.shard_of(255.9999999) == 1, "a float's rounding moves no frame"


@pytest.mark.parametrize("keyframes_only", [False, True])
@pytest.mark.parametrize("encoding", ["x264-params=bframes=3", "x264-params=open-gop=1:bframes=3", "g=100"])
def test_parts_give_the_frames_of_the_whole(
    tmp_path: Path, make_recording, steady_ticks, small_parts, encoding: str, keyframes_only: bool
) -> None:
    name, _, value = encoding.partition("=")
    path = make_recording(tmp_path / "a.ts", steady_ticks(14.0, start=90.0), options={name: value})
    frames, facts = sample_recording(path, 1.0, keyframes_only=keyframes_only)
    whole, whole_facts = sample_recording(path, 1.0, sparing=False, keyframes_only=keyframes_only)
    assert [f.pts_seconds for f in frames] == [f.pts_seconds for f in whole]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(frames, whole, strict=True))
    assert facts == whole_facts


def test_killed_again_and_again_the_bytes_are_the_same(tmp_path: Path, make_recording, steady_ticks) -> None:
    path = make_recording(tmp_path / "a.ts", steady_ticks(40.0))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([sys.executable, program, path, whole / "frames", "1"], check=True)
    for seconds in KILLED_AFTER_SECONDS:
        process = subprocess.Popen(
            [sys.executable, program, path, killed / "frames", "2"], start_new_session=True, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, program, path, killed / "frames", "2"], check=True)
    assert digests(killed) == digests(whole)


def test_parts_that_are_stored_are_not_made_again(
    tmp_path: Path, make_recording, steady_ticks, small_parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_recording(tmp_path / "a.ts", steady_ticks(14.0))
    extract(str(path), str(tmp_path / "frames"), workers=1)
    before = digests(tmp_path / "frames")
    folder = next((tmp_path / "frames" / "a").glob("*/"))
    for name in ("extraction.json", "index.parquet", "frames-00002.parquet"):
        (folder / name).unlink()
    (folder / f".part-{storage._owner().rpartition('-')[0]}-999999999-x").write_bytes(b"half")
    (folder / "frames-00099.parquet").write_bytes(b"of another plan")
    kept = (folder / "frames-00001.parquet").stat().st_mtime_ns
    extract(str(path), str(tmp_path / "frames"), workers=1)
    assert digests(tmp_path / "frames") == before
    assert (folder / "frames-00001.parquet").stat().st_mtime_ns == kept


def test_damage_in_a_later_part_leaves_nothing_of_the_plan(tmp_path: Path, make_recording, steady_ticks) -> None:
    data = bytearray(make_recording(tmp_path / "a.ts", steady_ticks(14.0)).read_bytes())
    for at in np.random.default_rng(3).integers(len(data) // 2, len(data), 200):
        data[at] ^= 0xFF
    path = tmp_path / "a.ts"
    path.write_bytes(data)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for workers in ("1", "2"):
        subprocess.run([sys.executable, program, path, tmp_path / workers / "frames", workers], check=True)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    facts = read_extraction(str(tmp_path / "1"), "a")
    assert facts["decode_errors"] > 0
    assert 3 < facts["frame_count"] <= 14


def test_the_mode_is_part_of_the_name() -> None:
    assert extraction_name("v", 1.0) == extraction_name("v", 1.0, "exact")
    assert extraction_name("v", 1.0) != extraction_name("v", 1.0, "keyframes")
