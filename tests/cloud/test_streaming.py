"""Recordings in a bucket are extracted by range reads, without a local copy, to the same bytes."""

import hashlib
from pathlib import Path

import av
import boto3
import numpy as np
import pytest
from ml_training.cloud import storage
from ml_training.data.collectors import extract


def write(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream("aac", rate=48_000)
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), number * 2, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for at in range(0, 4 * 48_000, 1024):
            noise = np.random.default_rng(at).normal(0, 0.1, (1, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48_000, at
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("ending", ["ts", "mp4", "mkv"])
def test_streaming_gives_the_same_and_copies_nothing(
    tmp_path: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    bucket = f"streams-{ending}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    uri = f"s3://{bucket}/recordings/a.{ending}"
    storage.upload(write(tmp_path / f"a.{ending}"), uri)
    result = extract(uri, str(tmp_path / "streamed" / "frames"), stream=True, workers=1)
    assert (result["status"], result["frames"]) == ("extracted", 4)
    assert not (tmp_path / "work").exists()
    extract(uri, str(tmp_path / "copied" / "frames"), workers=1)
    assert digests(tmp_path / "streamed") == digests(tmp_path / "copied")


def test_what_is_no_media_goes_to_quarantine_also_when_streamed(tmp_path: Path, s3_server: str) -> None:
    boto3.client("s3").create_bucket(Bucket="streams-bad")
    storage.write_bytes("s3://streams-bad/recordings/a.ts", b"no media at all" * 500)
    result = extract("s3://streams-bad/recordings/a.ts", str(tmp_path / "frames"), stream=True)
    assert result["status"] == "quarantined"
    assert "not a media file" in result["reason"]
