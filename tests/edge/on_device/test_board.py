"""What a board says of itself, read from files like those of a Raspberry Pi."""

from pathlib import Path
from typing import Any

import pytest
from ml_training.edge.on_device.board import Board, cool, was_throttled

FLAGS = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """A board of two cores at 61.2 degrees."""
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61200\n")
    for core, clock in enumerate((2_400_000, 1_500_000)):
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", f"{clock}\n")
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq", "2400000\n")
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    put(tmp_path, FLAGS, "0\n")
    return tmp_path


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_board_is_described(pi: Path) -> None:
    described = Board(str(pi)).describe()
    assert described["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert (described["governor"], described["clock_limit_mhz"]) == ("ondemand", 2400.0)
    assert described["accelerators"] == []
    state = Board(str(pi)).state()
    assert (state["temperature_celsius"], state["clock_mhz"], state["flags"]) == (61.2, 1500.0, 0)


def test_elsewhere_nothing_is_known(tmp_path: Path) -> None:
    board = Board(str(tmp_path))
    assert board.model is None
    assert board.state()["temperature_celsius"] is None
    assert board.describe()["clock_limit_mhz"] is None


def test_accelerators_are_found(pi: Path) -> None:
    put(pi, "sys/bus/pci/devices/0001:01:00.0/vendor", "0x1e60\n")
    put(pi, "sys/bus/pci/devices/0001:01:00.0/device", "0x2864\n")
    put(pi, "sys/bus/pci/devices/0000:00:00.0/vendor", "0x14e4\n")
    put(pi, "sys/bus/pci/devices/0000:00:00.0/device", "0x2712\n")
    put(pi, "sys/bus/usb/devices/2-1/idVendor", "18d1\n")
    put(pi, "sys/bus/usb/devices/2-1/idProduct", "9302\n")
    assert Board(str(pi)).accelerators() == [
        {"name": "Hailo", "bus": "pci", "id": "1e60:2864"},
        {"name": "Coral Edge TPU", "bus": "usb", "id": "18d1:9302"},
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([0x0, 0x0], []),
        ([None, None], []),
        ([0x50000, 0x50000], []),  # it happened before
        ([0x0, 0x4, 0x40000], ["throttled"]),
        ([0x0, 0x50000], ["under-voltage", "throttled"]),  # it came and went between two looks
        ([0x50000, 0x50001], ["under-voltage"]),
    ],
)
def test_what_slowed_the_board_down(flags: list[int | None], expected: list[str]) -> None:
    states: list[dict[str, Any]] = [{"flags": value} for value in flags]
    assert was_throttled(states) == expected


def test_cooling_ends_when_it_is_cool_and_after_its_time(pi: Path) -> None:
    put(pi, "sys/class/thermal/thermal_zone0/temp", "41000\n")
    cool(Board(str(pi)), 1000)
    put(pi, FLAGS, "4\n")
    cool(Board(str(pi)), 0.1)
