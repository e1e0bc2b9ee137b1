"""Whether every family gives the same numbers on aarch64 as here, bit for bit, on an emulated Raspberry Pi 5.

    make bench NAME=arm64

Makes the emulated device in ``.state/arm64`` where there is none (a few minutes and 300 MB, once), a file of every
family, and runs their golden inputs there. ``MODELS="RUN/int8 OTHER/int8"`` checks those folders instead of made ones;
``PARTS=base,small`` makes a part of the families. Ten minutes on two cores.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "include" / "scripts" / "arm64_device.sh"
DEVICE = Path(os.environ.get("ARM64_DEVICE", ROOT / ".state" / "arm64"))
PARTS = os.environ.get("PARTS", "base,small,temporal,multimodal").split(",")
MODELS = os.environ.get("MODELS", "").split()


def run_there(folder: Path) -> dict[str, Any]:
    """Return what the device runner says of a model on the emulated device."""
    command = [DEVICE / "python3", "-m", "ml_training.edge.device_runner", "--folder", folder, "--only-golden"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        return {"error": "died", "message": done.stderr[-500:]}


def models(temporary: Path) -> dict[str, Path]:
    """Return the folders to check by name."""
    if MODELS:
        return {name: Path(name).resolve() for name in MODELS}
    sys.path.insert(0, str(Path(__file__).parent))
    from family_files import make_families

    return make_families(temporary, PARTS)


def main() -> int:
    """Check, print a table and, as the last line, the figures beside their bars."""
    subprocess.run([SCRIPT, "make", DEVICE], check=True, env={**os.environ, "UV": str(ROOT / ".venv/uv/bin/uv")})
    missed, checked = 0, 0
    print(f"{'model':<14} {'part':<6} {'inputs':>6} {'outputs':>8} {'distinct':>8} {'largest difference':>20}")
    with tempfile.TemporaryDirectory() as temporary:
        for name, folder in models(Path(temporary)).items():
            said = run_there(folder)
            if said.get("machine") != "aarch64":
                print(f"{name:<14} {said.get('message', said)}")
                missed += 1
                continue
            with np.load(folder / "golden.npz") as golden:
                arrays = dict(golden)
            for part, result in said["golden"].items():
                outputs = arrays["outputs" if part in ("model", "trunk") else f"{part}_outputs"]
                print(
                    f"{name:<14} {part:<6} {result['inputs']:>6} {outputs.size:>8} {len(np.unique(outputs)):>8} "
                    f"{result['max_difference']:>20g}"
                )
                checked += 1
                missed += not result["exact"]
    print(f"files that differ on aarch64 {missed} <= 0; files compared {checked} >= 1")
    return 1 if missed or not checked else 0


if __name__ == "__main__":
    raise SystemExit(main())
