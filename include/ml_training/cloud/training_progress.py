"""How far a training is, read from the lines that it logs (``training.progress``, ``training.loop``).

read_progress("... upper: 1504 of 4200 images, 27 a second, 100 s left")
# {"stage": "upper", "done": 1504, "of": 4200, "a_second": 27, "seconds_left": 100}
"""

import re
from typing import Any

STAGE = r"(?:^|\s)(?P<stage>[\w.-]+): "
COUNTED = re.compile(
    STAGE + r"(?P<done>\d+) of (?P<of>\d+) \w+, (?P<a_second>\d+) a second, (?P<seconds_left>\d+) s left"
)
EPOCH = re.compile(
    STAGE + r"epoch (?P<epoch>\d+) of (?P<epochs>\d+): loss (?P<loss>[\d.]+), validation AP (?P<validation_ap>[\d.]+)"
)
DECIMAL = ("loss", "validation_ap")


def read_progress(line: str) -> dict[str, Any]:
    """Return what a line says of the progress, {} when it says nothing."""
    found = COUNTED.search(line) or EPOCH.search(line)
    if found is None:
        return {}
    return {
        name: value if name == "stage" else float(value) if name in DECIMAL else int(value)
        for name, value in found.groupdict().items()
    }
