"""Files of ad breaks: what is written, and that our own readers, and ffmpeg, read the same again."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ml_training.data.label_formats.reading import read_label_file
from ml_training.detection.formats import FORMATS, format_of, write_breaks
from ml_training.detection.records import Break
from ml_training.detection.timecode import edit_rate, timecode
from ml_training.utils.errors import UsageError

BREAKS = [
    Break(start_seconds=60.48, end_seconds=120.0, confidence=0.97, spots=(60.48, 90.48)),
    Break(start_seconds=3725.12, end_seconds=3755.6, confidence=0.8),
]
DURATION = 4000.0
RATES = (24_000 / 1001, 25.0, 30_000 / 1001, 50.0, 60_000 / 1001)


def written(tmp_path: Path, breaks: list[Break], format: str, rate: float = 25.0) -> Path:
    path = tmp_path / f"news-01{FORMATS[format].ending}"
    write_breaks(breaks, str(path), format=format, frame_rate=rate, duration=DURATION)
    return path


def read_again(path: Path, format: str, rate: float = 25.0) -> list[tuple[str, float, float]]:
    """What the readers of labels find, the format found by themselves: recording, start and end of the ads."""
    batches = read_label_file(path.read_bytes(), path.name, frames_per_second=rate)
    return [(b.recording_id, s.start_seconds, s.end_seconds) for b in batches for s in b.segments if s.label == "ad"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", RATES)
def test_what_is_written_is_read_again(tmp_path: Path, format: str, rate: float) -> None:
    again = read_again(written(tmp_path, BREAKS, format, rate), format, rate)
    counted = 30_000 / 1001 if format == "cmx" and rate > 50 else rate
    tolerance = 0.5 / counted + 1e-6 if FORMATS[format].counts_frames else 0.0006  # half a frame, half a millisecond
    assert [name for name, _, _ in again] == ["news-01", "news-01"]
    for (_, start, end), found in zip(again, BREAKS, strict=True):
        assert start == pytest.approx(found.start_seconds, abs=tolerance)
        assert end == pytest.approx(found.end_seconds, abs=tolerance)


@pytest.mark.parametrize("format", FORMATS)
def test_no_breaks_make_a_file_that_says_so(tmp_path: Path, format: str) -> None:
    path = written(tmp_path, [], format)
    assert path.exists()
    assert read_again(path, format) == []


def test_the_text_of_each_format(tmp_path: Path) -> None:
    assert written(tmp_path, BREAKS, "edl").read_text() == "60.480\t120.000\t0\n3725.120\t3755.600\t0\n"
    assert written(tmp_path, BREAKS[:1], "kodi").read_text() == "60.480\t120.000\t3\n"
    comskip = written(tmp_path, BREAKS[:1], "comskip").read_text()
    assert comskip == "FILE PROCESSING COMPLETE 100000 FRAMES AT  2500\n-------------------\n1512\t3000\n"
    cmx = written(tmp_path, BREAKS[:1], "cmx").read_text().splitlines()
    assert cmx[:2] == ["TITLE: news-01", "FCM: NON-DROP FRAME"]
    assert cmx[3].split() == ["001", "AX", "V", "C", "00:01:00:12", "00:02:00:00", "01:00:00:00", "01:00:59:13"]
    table = written(tmp_path, BREAKS[:1], "csv").read_text()
    assert table == "recording,start,end,label,confidence\nnews-01,60.480,120.000,ad,0.9700\n"
    (first, _) = json.loads(written(tmp_path, BREAKS, "json").read_text())["news-01"]
    assert first == {"start": 60.48, "end": 120.0, "label": "ad", "confidence": 0.97, "spots": [60.48, 90.48]}


def test_chapters_cover_the_recording(tmp_path: Path) -> None:
    batches = read_label_file(written(tmp_path, BREAKS, "chapters").read_bytes(), "x.ffmetadata")
    assert [(s.start_seconds, s.end_seconds, s.label) for s in batches[0].segments] == [
        (0.0, 60.48, "content"),
        (60.48, 120.0, "ad"),
        (120.0, 3725.12, "content"),
        (3725.12, 3755.6, "ad"),
        (3755.6, 4000.0, "content"),
    ]


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not on the PATH")
def test_ffmpeg_takes_the_chapters_into_a_recording(tmp_path: Path) -> None:
    found = [Break(start_seconds=0.5, end_seconds=1.5, confidence=0.9)]
    plain, chapters, both, back = (str(tmp_path / name) for name in ("a.mkv", "a.ffmetadata", "b.mkv", "back"))
    write_breaks(found, chapters, duration=2.0)
    ffmpeg = ["ffmpeg", "-v", "error", "-y"]
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", "testsrc=d=2:s=64x64", plain], check=True)
    joined = ["-i", plain, "-i", chapters, "-map", "0", "-map_chapters", "1", "-codec", "copy", both]
    subprocess.run([*ffmpeg, *joined], check=True)
    subprocess.run([*ffmpeg, "-i", both, "-f", "ffmetadata", back], check=True)
    (batch,) = read_label_file(Path(back).read_bytes(), "back.ffmetadata")
    assert [(s.start_seconds, s.end_seconds) for s in batch.segments if s.label == "ad"] == [(0.5, 1.5)]


def test_the_ending_says_the_format() -> None:
    names = ("a.edl", "s3://x/a.JSON", "a.txt", "a.csv", "a.cmx", "a.ffmetadata")
    assert [format_of(name) for name in names] == ["edl", "json", "comskip", "csv", "cmx", "chapters"]
    with pytest.raises(UsageError, match=r"no format ends in '\.xml': expected one of \.edl, \.cmx, \.txt"):
        format_of("a.xml")


def test_mistakes_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a format of edl, kodi"):
        write_breaks(BREAKS, str(tmp_path / "a.edl"), format="mpv", duration=DURATION)
    with pytest.raises(UsageError, match="frame rate of the recording is not known: take edl or json"):
        write_breaks(BREAKS, str(tmp_path / "a.txt"), duration=DURATION)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frame", "rate", "shown"),
    [
        (1799, 30_000 / 1001, "00:00:59;29"),
        (1800, 30_000 / 1001, "00:01:00;02"),  # drop-frame leaves out 00 and 01 of a minute ...
        (17981, 30_000 / 1001, "00:09:59;29"),
        (17982, 30_000 / 1001, "00:10:00;00"),  # ... but not of each tenth
        (107892, 59.94, "01:00:00;00"),
        (90_000, 25.0, "01:00:00:00"),
        (1439, 24_000 / 1001, "00:00:59:23"),
        (61, 120.0, "00:00:01:01"),
    ],
)
def test_timecode(frame: int, rate: float, shown: str) -> None:
    assert timecode(frame, edit_rate(rate)) == shown
