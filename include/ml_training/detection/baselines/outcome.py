"""What a tool beside ours says of a recording, and how long it took: the same for every tool.

outcome = black_silence.detect(Path("news-0105.ts"))
outcome.breaks, outcome.times_real_time
"""

import shutil
from dataclasses import dataclass

from ml_training.detection.records import Break
from ml_training.utils.errors import UsageError

CERTAIN = 1.0  # a rule says yes or no: it knows no confidence


@dataclass(frozen=True)
class Outcome:
    """Breaks in media time; ``wall_seconds`` is how long the tool ran, with all the cores that it takes."""

    breaks: list[Break]
    duration_seconds: float  # of the recording
    wall_seconds: float

    @property
    def times_real_time(self) -> float:
        """How much faster than the recording plays."""
        return self.duration_seconds / max(self.wall_seconds, 1e-9)


def find_tool(name: str) -> str:
    """Return the path of a program. Raises UsageError where it is not on the PATH."""
    path = shutil.which(name)
    if path is None:
        raise UsageError(f"{name} is not on the PATH: install it, or leave this comparison out", tool=name)
    return path
