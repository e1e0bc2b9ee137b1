"""What a device is: its board and its runtime, as a rollout asks for them, and how warm it is.

board_name(), runtime_version()                   # 'Raspberry Pi 5 Model B Rev 1.0', '2.3.0'
"""

import platform
import re
import resource
from importlib import metadata
from pathlib import Path

from ml_training.edge.on_device.board import Board

RUNTIME_PACKAGE = "ai-edge-litert"


def board_name() -> str:
    """Return what the kernel calls this board; elsewhere the platform."""
    return Board().model or platform.platform()


def runtime_version() -> str:
    """Return the version of the LiteRT runtime."""
    return metadata.version(RUNTIME_PACKAGE)


def runtime_name() -> str:
    """Return the runtime and its version as manifests write it."""
    return f"{RUNTIME_PACKAGE} {runtime_version()}"


def temperature_celsius() -> float | None:
    """Return the hottest thermal zone, or None where the kernel shows none."""
    degrees = Board().numbers("sys/class/thermal/thermal_zone*/temp")
    return max(degrees) / 1000 if degrees else None


def peak_memory_bytes() -> int:
    """Return the most memory that this process held. The kernel's count for ``getrusage`` begins with the parent's."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024
