"""The picture of what detection saw: it is drawn for every kind of recording, and shows breaks where they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from ml_training.detection.plot import Thumbnail, clock, save_plot, thumbnail_times
from ml_training.detection.records import Break

BREAK = Break(start_seconds=100.0, end_seconds=150.0, confidence=0.9, spots=(100.0, 120.0))


def drawn(path: Path, breaks: list[Break], *, seconds: int = 300, **more) -> np.ndarray:
    times = np.arange(seconds, dtype=float)
    curves = {"frames": np.zeros(seconds)} if seconds else {}
    save_plot(str(path), times, curves, breaks, duration=max(seconds, 1), title="news-01", **more)
    image = cv2.imread(str(path))
    assert image is not None
    return image.astype(int)


def shaded(image: np.ndarray) -> np.ndarray:
    """The columns, as shares of the width, in which the middle of the plot is tinted like a break."""
    row = image[round(len(image) * 0.6)]
    return np.flatnonzero((row[:, 2] - row[:, 0] > 15) & (row[:, 2] > 200)) / image.shape[1]


def test_breaks_are_shaded_where_they_are(tmp_path: Path) -> None:
    columns = shaded(drawn(tmp_path / "a.png", [BREAK]))
    # 100 to 150 of 300 s; the axes leave some hundredths of the width at the left
    assert columns.min() == pytest.approx(1 / 3, abs=0.05)
    assert columns.max() == pytest.approx(1 / 2, abs=0.05)
    assert len(shaded(drawn(tmp_path / "b.png", []))) == 0


@pytest.mark.parametrize("seconds", [0, 1, 300, 9000])
def test_any_length_is_drawn(tmp_path: Path, seconds: int) -> None:
    assert drawn(tmp_path / "a.png", [], seconds=seconds).std() > 0


def test_thumbnails_stand_above(tmp_path: Path) -> None:
    green = np.zeros((36, 64, 3), np.uint8)
    green[..., 1] = 200
    thumbnails = [Thumbnail(t, green) for t in thumbnail_times([BREAK], 300.0)]
    image = drawn(tmp_path / "a.png", [BREAK], thumbnails=thumbnails, labelled=[(99.0, 151.0)])
    upper = image[: len(image) // 3]
    assert np.mean((upper[..., 1] == 200) & (upper[..., 0] == 0)) > 0.4


def test_thumbnails_are_of_the_breaks_where_there_are_any() -> None:
    times = thumbnail_times([BREAK], 300.0, count=3)
    assert times == [50.0, 125.0, 250.0]
    short = Break(start_seconds=8.0, end_seconds=10.0, confidence=0.5)
    assert thumbnail_times([short], 300.0, count=3) == [9.0, 150.0, 250.0]


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 75.2, 3675)] == ["0:00", "1:15", "1:01:15"]
