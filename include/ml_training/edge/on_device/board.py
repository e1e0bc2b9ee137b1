"""What a board says of itself: what it is, how hot and fast it is, whether it slows itself down, what is plugged in.

board = Board()
board.model                              # "Raspberry Pi 5 Model B Rev 1.0", None on anything but a board
states = [board.state(), ..., board.state()]
was_throttled(states)                    # ["under-voltage"]
"""

from __future__ import annotations

import glob
import os
import platform
import subprocess
import time
from importlib import metadata
from typing import Any

COOL_CELSIUS = 60.0
# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled; the same bits 16 higher: since the start.
FLAGS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
ACCELERATORS = {  # vendor:device of the PCI and USB id lists; without a device: any of that vendor
    "1e60": "Hailo", "1ac1:089a": "Coral Edge TPU", "18d1:9302": "Coral Edge TPU", "1a6e:089a": "Coral Edge TPU",
}  # fmt: skip


class Board:
    """What the device knows of itself, read below ``root``; what it does not know is None."""

    def __init__(self, root: str = "/") -> None:
        self.root = root

    def read(self, path: str) -> str | None:
        """Return a file's text."""
        try:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                return file.read().strip("\0\n ") or None
        except OSError:
            return None

    def numbers(self, pattern: str) -> list[int]:
        """Return the numbers in the files of a pattern."""
        texts = [self.read(path) for path in sorted(glob.glob(os.path.join(self.root, pattern)))]
        return [int(text) for text in texts if text and text.lstrip("-").isdigit()]

    @property
    def model(self) -> str | None:
        """What the device tree says; None on anything but a board."""
        return self.read("proc/device-tree/model")

    def flags(self) -> int | None:
        """Return the firmware's throttling flags."""
        for path in glob.glob(os.path.join(self.root, "sys/devices/platform/soc*/*firmware/get_throttled")):
            text = self.read(path)
            if text:
                return int(text, 16)
        try:
            done = subprocess.run(["vcgencmd", "get_throttled"], check=False, capture_output=True, text=True, timeout=5)
            return int(done.stdout.strip().partition("=")[2], 16)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None

    def state(self) -> dict[str, Any]:
        """Return the hottest temperature, the slowest core's clock and the flags of this moment."""
        degrees = self.numbers("sys/class/thermal/thermal_zone*/temp")
        clocks = self.numbers("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
        return {
            "at": time.monotonic(),
            "temperature_celsius": max(degrees) / 1000 if degrees else None,
            "clock_mhz": min(clocks) / 1000 if clocks else None,
            "flags": self.flags(),
        }

    def accelerators(self) -> list[dict[str, str]]:
        """Return the AI accelerators on the PCI and USB buses."""
        found = []
        for bus, names in (("pci", ("vendor", "device")), ("usb", ("idVendor", "idProduct"))):
            for folder in sorted(glob.glob(os.path.join(self.root, f"sys/bus/{bus}/devices/*"))):
                ids = [(self.read(os.path.join(folder, name)) or "").replace("0x", "") for name in names]
                name = ACCELERATORS.get(":".join(ids)) or ACCELERATORS.get(ids[0])
                if name:
                    found.append({"name": name, "bus": bus, "id": ":".join(ids)})
        return found

    def describe(self) -> dict[str, Any]:
        """Return what stays as it is."""
        limits = self.numbers("sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq")
        return {
            "board": self.model or platform.platform(),
            "machine": platform.machine(),
            "cpu_count": os.cpu_count() or 1,
            "python_version": platform.python_version(),
            "runtime_version": "ai-edge-litert " + metadata.version("ai-edge-litert"),
            "governor": self.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "clock_limit_mhz": max(limits) / 1000 if limits else None,
            "accelerators": self.accelerators(),
        }


def was_throttled(states: list[dict[str, Any]]) -> list[str]:
    """Return what slowed the board down between the first and the last state: a flag of a moment, or a new one."""
    known = [state["flags"] for state in states if state["flags"] is not None]
    if not known:
        return []
    seen = (known[-1] & ~known[0]) >> 16  # what came up since the first state, perhaps between two
    for flags in known:
        seen |= flags
    return [name for bit, name in enumerate(FLAGS) if seen >> bit & 1]


def cool(board: Board, seconds: float) -> None:
    """Wait until no flag is up and the board is cool, ``seconds`` at most."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = board.state()
        if not (state["flags"] or 0) & 0xF and (state["temperature_celsius"] or 0) < COOL_CELSIUS:
            return
        time.sleep(min(2.0, max(0.0, end - time.monotonic())))
