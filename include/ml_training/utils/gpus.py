"""What the GPUs of this machine do, as ``nvidia-smi`` says.

gpu = read_gpus()          # Gpu(percent=97.0, used_bytes=..., total_bytes=...), or None where there is none
"""

import shutil
import subprocess
from typing import NamedTuple

QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits")
TIMEOUT_SECONDS = 10


class Gpu(NamedTuple):
    """What all GPUs of the machine do together."""

    percent: float
    used_bytes: int
    total_bytes: int


def read_gpus() -> Gpu | None:
    """Return what ``nvidia-smi`` says of all GPUs together; None where it is not on the PATH or does not answer."""
    if shutil.which(QUERY[0]) is None:
        return None
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
        rows = [[float(value) for value in line.split(",")] for line in done.stdout.strip().splitlines()]
    except (ValueError, subprocess.TimeoutExpired):
        return None
    if done.returncode or not rows:
        return None
    mega = 1 << 20
    return Gpu(sum(r[0] for r in rows), int(sum(r[1] for r in rows) * mega), int(sum(r[2] for r in rows) * mega))
