"""A small real dataset version, from recordings on, in which ads are red and content is blue, with a few exceptions.

The model is an int8 file that tells red from blue: what it gets wrong are the exceptions.
"""

import hashlib
import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from ml_training.config.loading import load_config
from ml_training.data.collectors import extract
from ml_training.data.dataset import build
from ml_training.data.labels import import_labels

WIDTH, HEIGHT, RATE, SECONDS = 96, 64, 5, 100
SOUND_RATE = 16_000
CHANNELS, DAYS = ("one", "two", "three", "four"), ("01", "02")
MODEL = Path(__file__).parents[2] / "data_files" / "colour_int8.tflite"

RED, BLUE = (190, 60, 60), (60, 60, 190)


class Root(NamedTuple):
    """A data root with one dataset version and one model."""

    folder: str
    dataset_id: str
    model_uri: str


def plan(channel: str) -> list[tuple[float, float, str, str | None, tuple[int, int, int]]]:
    """What a recording shows: start, end, label, creative, colour. The break is from 30 to 80 s."""
    return [
        (0, 10, "content", None, BLUE),
        (10, 14, "content", None, RED),  # content that looks like an ad, too short for a break
        (14, 30, "content", None, BLUE),
        (30, 45, "ad", f"{channel}-spot", RED),
        (45, 53, "ad", "everywhere-spot", RED),
        (53, 61, "ad", "anywhere-spot", RED),
        (61, 64, "promo", None, BLUE),
        (64, 67, "ad", f"{channel}-quiet", BLUE),  # an ad that looks like content
        (67, 80, "ad", f"{channel}-other", RED),
        (80, 84, "ident", None, RED),
        (84, SECONDS, "content", None, BLUE),
    ]


def write_recording(path: Path, channel: str, seed: int) -> None:
    """Write a recording of 100 seconds with sound that is louder in ads."""
    generator = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"mpegts_copyts": "1"}) as container:
        video = container.add_stream("libx264", rate=RATE, options={"g": "10", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number in range(SECONDS * RATE):
            seconds = number / RATE
            _, _, label, _, colour = next(part for part in plan(channel) if part[0] <= seconds < part[1])
            image = np.clip(np.array(colour) + generator.integers(-40, 40, (8, 12, 3)), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.kron(image, np.ones((8, 8, 1), np.uint8)), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
            samples = generator.normal(0, 0.2 if label == "ad" else 0.05, (1, SOUND_RATE // RATE)).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = SOUND_RATE, number * samples.size, Fraction(1, SOUND_RATE)
            container.mux(sound.encode(heard))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


@pytest.fixture(scope="session")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Root:
    folder = tmp_path_factory.mktemp("evaluated")
    labels = {}
    for place, channel in enumerate(CHANNELS):
        for day in DAYS:
            name = f"{channel}-{day}"
            path = folder / "recordings" / channel / f"2026-01-{day}" / f"{name}.ts"
            write_recording(path, channel, seed=place * 10 + int(day))
            path.with_suffix(".json").write_text(json.dumps({"genre": "news", "show": f"{channel} tonight"}))
            labels[name] = [
                {"start": start, "end": end, "label": label, **({"creative": creative} if creative else {})}
                for start, end, label, creative, _ in plan(channel)
            ]
    extract(str(folder / "recordings"), str(folder / "frames"))
    (folder / "labels.json").write_text(json.dumps(labels))
    import_labels(str(folder / "labels.json"), str(folder), source="file", author="tester")
    dataset_id = build(str(folder), load_config("base_model").data)["dataset_id"]
    write_model(folder / "models" / "colour", dataset_id)
    return Root(str(folder), dataset_id, str(folder / "models" / "colour" / "model.tflite"))


def write_model(folder: Path, dataset_id: str) -> None:
    """Put the model and its manifest into a folder."""
    folder.mkdir(parents=True)
    shutil.copy(MODEL, folder / "model.tflite")
    data = MODEL.read_bytes()
    tensor = {"name": "x", "shape": [1, 8, 8, 3], "dtype": "int8", "scale": 1 / 128, "zero_point": -1}
    manifest = {
        "version": 1, "model_name": "base-colour", "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data),
        "quantization": "int8", "input": tensor, "output": {**tensor, "shape": [1, 1]},
        "preprocessing": {"resize": "any"}, "threshold": 0.4, "labels": ["content", "ad"], "dataset_id": dataset_id,
        "run_id": "run", "mlflow_run_id": None, "code_version": "x", "runtime": "x", "golden": {"n": 0},
        "parent_uri": "none", "created_at": "2026-01-05T00:00:00Z",
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="session", autouse=True)
def _no_tracking() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture
def root(tmp_path: Path, _built: Root) -> Root:
    """The data root, in a folder of the test's own."""
    shutil.copytree(_built.folder, tmp_path, dirs_exist_ok=True)
    return Root(str(tmp_path), _built.dataset_id, str(tmp_path / "models" / "colour" / "model.tflite"))


@pytest.fixture(scope="session")
def built(_built: Root) -> Root:
    """The same data root for tests that only read."""
    return _built
