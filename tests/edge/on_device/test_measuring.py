"""A model of trunk and head on a device: golden outputs of both parts, the step of a frame, labels, operators, heat."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_training.edge import device_runner
from ml_training.edge.benchmark_job import pack_runner
from ml_training.edge.on_device.board import Board
from ml_training.edge.on_device.model import Model
from ml_training.edge.on_device.operators import operators
from ml_training.edge.on_device.runtime import RunnerError
from ml_training.edge.on_device.timing import Plan, measure
from ml_training.inference.parts import TflitePart, load_part

DATA = Path(__file__).resolve().parents[2] / "data_files"
QUICK = Plan(runs=5, warmup=1, seconds=0.5, sustained_seconds=0.1, cooling_seconds=0.0)
FRAMES, WINDOW = 6, 3


def as_part(folder: Path, name: str) -> TflitePart:
    part = load_part(folder / f"{name}.tflite")
    assert isinstance(part, TflitePart)
    return part


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two files with golden inputs and a test set, all of them as this side computes them."""
    folder = tmp_path_factory.mktemp("parts")
    for name in ("trunk", "head"):
        shutil.copy(DATA / f"tiny_{name}.tflite", folder / f"{name}.tflite")
    trunk, head = as_part(folder, "trunk"), as_part(folder, "head")
    numbers = np.random.default_rng(3)
    pictures = numbers.integers(0, 256, (FRAMES, 8, 8, 3), dtype=np.uint8)
    embeddings = trunk.run({"image": pictures})
    places = np.arange(FRAMES - WINDOW + 1)[:, None] + np.arange(WINDOW)
    sound = numbers.uniform(0, 1, (len(places), 6, 2)).astype(np.float32)
    heard = {"embeddings": embeddings[places], "sound": sound, "has_sound": np.ones((len(places), 1), np.float32)}
    (prepared,) = trunk.prepare({"image": pictures}).values()
    raw = head.prepare(heard)
    golden = {"inputs": prepared, "outputs": raw_outputs(trunk, {next(iter(trunk.input_shapes)): prepared})}
    golden |= {f"head_{name}": values for name, values in raw.items()} | {"head_outputs": raw_outputs(head, raw)}
    np.savez(folder / "golden.npz", **golden)
    other = {f"head_{name}": values for name, values in raw.items() if values.ndim != 3 or values.shape[-1] != 4}
    scores = head.run(heard)[:, 0]
    np.savez(
        folder / "test.npz", pictures=prepared, places=places, expected=scores, labels=(scores > 0.5).astype(np.int8),
        threshold=0.5, column=0, **other,
    )  # fmt: skip
    parts = [{"name": name, "file": f"{name}.tflite"} for name in ("trunk", "head")]
    (folder / "manifest.json").write_text(json.dumps({"parts": parts}))
    return folder


def raw_outputs(part: TflitePart, inputs: dict[str, Any]) -> Any:
    count = len(next(iter(inputs.values())))
    return np.stack([part.run_raw({name: values[place] for name, values in inputs.items()}) for place in range(count)])


def test_both_parts_are_held_against_their_golden_outputs(folder: Path) -> None:
    checked = Model(str(folder), 1).check_golden()
    assert checked["golden_exact"] is True
    assert checked["golden_inputs"] == FRAMES + FRAMES - WINDOW + 1


def test_a_head_that_answers_otherwise_is_said(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    with np.load(copy / "golden.npz") as file:
        arrays = dict(file)
    arrays["head_outputs"][0, 0] += 2
    np.savez(copy / "golden.npz", **arrays)
    checked = Model(str(copy), 1).check_golden()
    assert (checked["golden_exact"], checked["golden_max_difference"]) == (False, 2.0)
    assert (checked["golden"]["trunk"]["exact"], checked["golden"]["head"]["exact"]) == (True, False)
    del arrays["head_outputs"]
    np.savez(copy / "golden.npz", **arrays)
    with pytest.raises(RunnerError, match="head has golden inputs and 0 outputs"):
        Model(str(copy), 1)


def test_the_device_scores_frames_as_this_side_does(folder: Path) -> None:
    accuracy = Model(str(folder), 1).accuracy(str(folder / "test.npz"))
    assert accuracy["frames"] == FRAMES - WINDOW + 1
    assert accuracy["max_score_difference"] == 0.0
    if accuracy["ads"]:
        assert (accuracy["precision"], accuracy["recall"], accuracy["f1"]) == (1.0, 1.0, 1.0)


def test_each_part_of_a_frame_is_timed(folder: Path, tmp_path: Path) -> None:
    measured = measure(lambda threads: Model(str(folder), threads), Board(str(tmp_path)), [1], QUICK)
    latency = measured["threads"]["1"]
    assert set(latency["parts"]) == {"trunk", "head"}
    assert latency["p99"] >= latency["p50"] >= latency["parts"]["trunk"]["p50"] > 0
    assert measured["sustained"]["frames"] > 0
    assert (measured["measurements"], measured["throttled"]) == (1, None)


@pytest.mark.parametrize(("looks", "throttled"), [(1, False), (1000, True)])
def test_a_throttled_measurement_is_made_once_more(folder: Path, tmp_path: Path, looks: int, throttled: bool) -> None:
    class Hot(Board):
        """Its flags are up for the first looks."""

        seen = 0

        def flags(self) -> int | None:
            self.seen += 1
            return 0x4 if self.seen <= looks else 0x0

    measured = measure(lambda threads: Model(str(folder), threads), Hot(str(tmp_path)), [1], QUICK)
    assert (measured["measurements"], measured["throttled"]) == (2, throttled)
    assert measured["throttled_reasons"] == (["throttled"] if throttled else [])


def test_operators_are_timed_where_the_runtime_has_a_profiler(folder: Path) -> None:
    found = operators(str(DATA / "tiny_int8.tflite"))
    assert any("Convolution" in name for name in found)
    assert all(value >= 0 for value in found.values())
    with pytest.raises(RunnerError, match="LiteRtCreateModelFromFile"):
        operators(str(folder / "manifest.json"))


def test_golden_outputs_alone_leave_nothing_beside_the_model(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    before = sorted(copy.iterdir())
    assert device_runner.main(["--folder", str(copy), "--only-golden"]) == 0
    assert sorted(copy.iterdir()) == before


def test_the_packed_runner(folder: Path) -> None:
    """The one file that travels, away from the package."""
    packed = folder / "device_runner.pyz"
    packed.write_bytes(pack_runner())
    quick = ["--runs", "3", "--seconds", "0.2", "--sustained-seconds", "0.1"]
    command = [sys.executable, "-I", str(packed), "--folder", str(folder), *quick]
    answer = json.loads(subprocess.run(command, cwd="/", check=True, capture_output=True, text=True).stdout)
    assert json.loads((folder / "result.json").read_text()) == answer
    assert set(answer["profile"]) == {"trunk", "head"}
    assert "Convolution" in json.dumps(answer["profile"]["trunk"])
    assert answer["accuracy"]["max_score_difference"] == 0.0
