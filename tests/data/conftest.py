"""Small real recordings, made by the encoder, and a data root made of them."""

import json
import shutil
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from ml_training.data.collectors import extract
from ml_training.data.labels import import_labels

WIDTH, HEIGHT = 96, 64
CLOCK = 90_000

MakeRecording = Callable[..., Path]


def picture(number: int, *, black: bool = False) -> np.ndarray:
    """A textured picture whose brightness tells its number: 40 + 4 * (number modulo 50)."""
    if black:
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image = np.full((HEIGHT, WIDTH, 3), 40 + 4 * (number % 50), np.uint8)
    image[:: 2 + number % 7, ::8] += 30
    return image


def write_recording(
    path: Path,
    ticks: Iterable[int],
    *,
    codec: str = "libx264",
    rate: int = 25,
    audio: bool = True,
    black: Callable[[int], bool] = lambda number: False,
    options: dict[str, str] | None = None,
) -> Path:
    """Write one frame at each of ``ticks`` (of 1/90000 s)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    muxing = {"mpegts_copyts": "1"} if path.suffix == ".ts" else {}
    with av.open(str(path), "w", options=muxing) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "12", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK if codec == "libx264" else rate)
        sound = container.add_stream("aac", rate=48_000) if audio else None
        ticks = list(ticks)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(picture(number, black=black(number)), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts, silence.time_base = 48_000, 0, Fraction(1, 48_000)
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


def steady(seconds: float, *, rate: int = 25, start: float = 0.0) -> list[int]:
    """The ticks of ``seconds`` of frames at a constant rate."""
    return [round(start * CLOCK) + number * CLOCK // rate for number in range(round(seconds * rate))]


@pytest.fixture(scope="session")
def make_recording() -> MakeRecording:
    """``write_recording``: a recording with a frame at each of the given ticks."""
    return write_recording


@pytest.fixture(scope="session")
def steady_ticks() -> Callable[..., list[int]]:
    """``steady``: the ticks of a constant rate."""
    return steady


@pytest.fixture(scope="session")
def two_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two seconds, 25 frames a second, as a transport stream with sound."""
    return write_recording(tmp_path_factory.mktemp("recordings") / "short.ts", steady(2.0))


@pytest.fixture
def data_root(tmp_path: Path, _built_root: Path) -> Path:
    """A data root with six extracted and labelled recordings of three channels, of eight seconds each."""
    shutil.copytree(_built_root, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="session")
def _built_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    labels = {}
    for channel in ("one", "two", "three"):
        for day in ("01", "02"):
            name = f"{channel}-{day}"
            folder = root / "recordings" / channel / f"2026-01-{day}"
            write_recording(folder / f"{name}.ts", steady(8.0, rate=10), rate=10)
            (folder / f"{name}.json").write_text(json.dumps({"genre": "news", "show": "tonight"}))
            labels[name] = [
                {"start": 0, "end": 4, "label": "content"},
                {"start": 4, "end": 6, "label": "ad", "creative": f"{channel}-ad"},
                {"start": 6, "end": 7, "label": "ad", "creative": "everywhere-ad"},
                {"start": 7, "end": 8, "label": "promo"},
            ]
    extract(str(root / "recordings"), str(root / "frames"))
    (root / "labels.json").write_text(json.dumps(labels))
    import_labels(str(root / "labels.json"), str(root), source="file", author="tester")
    return root
