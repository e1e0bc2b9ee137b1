"""The emulated ARM64 device: what is exact there is said to be, what is not too.

Made once in ``.state/arm64`` (or where ARM64_DEVICE says), from the network; without qemu or a network it is skipped.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ml_training.inference.parts import TflitePart, load_part

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "include" / "scripts" / "arm64_device.sh"
DEVICE = Path(os.environ.get("ARM64_DEVICE", REPOSITORY / ".state" / "arm64"))


@pytest.fixture(scope="module")
def device() -> Path:
    """The device's folder."""
    if shutil.which("qemu-aarch64-static") is None:
        pytest.skip("no qemu-aarch64-static here: install qemu-user-static to test on an emulated ARM64 device")
    made = subprocess.run([SCRIPT, "make", DEVICE], capture_output=True, text=True, check=False, timeout=1200)
    if made.returncode:
        pytest.skip(f"the emulated ARM64 device cannot be made here: {made.stderr.strip().splitlines()[-1:]}")
    return DEVICE


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of two files with golden outputs from this machine."""
    folder = tmp_path / "model"
    folder.mkdir()
    numbers, arrays = np.random.default_rng(1), {}
    for name, prefix in (("trunk", ""), ("head", "head_")):
        shutil.copy(REPOSITORY / "tests" / "data_files" / f"tiny_{name}.tflite", folder / f"{name}.tflite")
        part = load_part(folder / f"{name}.tflite")
        assert isinstance(part, TflitePart)
        inputs = {
            key: numbers.integers(-128, 128, (4, *shape)).astype(np.int8) for key, shape in part.input_shapes.items()
        }
        arrays |= {f"{prefix}{key}" if prefix else "inputs": values for key, values in inputs.items()}
        outputs = [part.run_raw({key: values[place] for key, values in inputs.items()}) for place in range(4)]
        arrays[f"{prefix}outputs"] = np.stack(outputs)
    np.savez(folder / "golden.npz", **arrays)  # type: ignore[arg-type]
    parts = [{"name": name, "file": f"{name}.tflite"} for name in ("trunk", "head")]
    (folder / "manifest.json").write_text(json.dumps({"parts": parts}))
    return folder


def test_a_model_is_exact_and_an_altered_one_is_not(device: Path, model: Path, tmp_path: Path) -> None:
    altered = Path(shutil.copytree(model, tmp_path / "altered"))
    with np.load(altered / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["head_outputs"][0, 0] ^= 1
    np.savez(altered / "golden.npz", **arrays)
    done = subprocess.run([SCRIPT, "check", device, model, altered], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"exact on aarch64: {model}" in done.stdout
    assert f"DIFFERS on aarch64: {altered}" in done.stdout


def test_called_wrongly(tmp_path: Path) -> None:
    assert subprocess.run([SCRIPT, "check", tmp_path], capture_output=True, check=False).returncode == 2
    missing = subprocess.run([SCRIPT, "check", tmp_path, tmp_path], capture_output=True, text=True, check=False)
    assert (missing.returncode, "arm64_device.sh make" in missing.stderr) == (1, True)
