"""What detection knows of each second of a recording: columns in groups, each of which may be missing.

    features.groups["sound"]                        # float32 [T, 30], a row a second; absent where there is no sound
    matrix(features, without=("archive",))          # float32 [T, WIDTH]: all columns, then a flag for each group

A second ``t`` is the media time from ``t`` to ``t + 1``. A missing group is zero, and its flag says so: the sequence
model learns with groups taken away, so it works with and without sound, an archive or a model of pictures.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]

REPETITION = ("pieces", "times", "recordings", "shortest", "longest", "since", "until", "bounds", "grid")
SOUND = (
    *("level", "level_spread", "level_range", "quiet_share", "flatness", "flux", "flux_spread", "onsets", "syllables"),
    *(f"shape_{number}" for number in range(1, 10)),
    *(f"shape_spread_{number}" for number in range(1, 10)),
    *("jump_1", "jump_3", "jump_8"),
)
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "picture": ("log_odds",),
    "sound": SOUND,
    "shots": ("change", "motion", "luma", "sharpness", "cut_rate", "coherence", "recurs_near", "recurs_far"),
    "separators": ("dip", "silence", "black", "black_near"),
    "overlay": ("logo", "logo_slow", "bars_high", "bars_wide"),
    "within": REPETITION,
    "archive": REPETITION,
}
GROUPS = tuple(COLUMNS)
WIDTH = sum(map(len, COLUMNS.values())) + len(COLUMNS)


@dataclass(frozen=True)
class Cues:
    """Exact times that boundaries are snapped to. ``pieces`` are the bounds of what airs again."""

    frame_seconds: Times  # [N], rising
    shot_change: Floats  # [N], of each frame to the one before, 0..1
    black: npt.NDArray[np.bool_]  # [N]
    level: npt.NDArray[np.int8]  # dB of full scale, 50 a second; empty without sound
    pieces: Times = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class RecordingFeatures:
    """A recording as detection sees it. ``known`` are log odds of an ad from creatives that somebody labelled."""

    recording_id: str
    duration_seconds: float
    groups: Mapping[str, Floats]
    cues: Cues
    known: Floats | None = None  # [T]

    @property
    def seconds(self) -> int:
        """The number of rows T."""
        return seconds_of(self.duration_seconds)


def seconds_of(duration_seconds: float) -> int:
    """Return how many seconds a recording has, the last one perhaps in part."""
    return max(1, int(np.ceil(duration_seconds - 1e-6)))


def matrix(features: RecordingFeatures, *, without: Collection[str] = ()) -> Floats:
    """Return float32 [T, WIDTH]: the columns of all groups in order, then one flag a group, 1 where it is there.

    Raises ValueError for a group of another shape.
    """
    return assemble(features.groups, features.seconds, without=without)


def assemble(groups: Mapping[str, Floats], seconds: int, *, without: Collection[str] = ()) -> Floats:
    """Return the matrix of groups that are not part of a recording; see ``matrix``."""
    columns, flags = [], np.zeros((seconds, len(GROUPS)), np.float32)
    for number, (name, names) in enumerate(COLUMNS.items()):
        values = groups.get(name)
        if values is None or name in without:
            values = np.zeros((seconds, len(names)), np.float32)
        else:
            flags[:, number] = 1.0
        if values.shape != (seconds, len(names)):
            raise ValueError(f"group {name} must have shape {(seconds, len(names))}, received {values.shape}")
        columns.append(values)
    return np.concatenate([*columns, flags], axis=1)


def group_columns(name: str) -> slice:
    """Return where the columns of a group lie in the matrix."""
    before = sum(len(COLUMNS[other]) for other in GROUPS[: GROUPS.index(name)])
    return slice(before, before + len(COLUMNS[name]))


def group_flag(name: str) -> int:
    """Return where the flag of a group lies in the matrix."""
    return WIDTH - len(GROUPS) + GROUPS.index(name)


def held(times: Times, values: npt.NDArray[np.generic], seconds: int) -> npt.NDArray[np.generic]:
    """Return for each second the value [N, ...] of its own frame: the first at or after it, else the nearest one.

    ``times`` [N] are rising and not empty.
    """
    grid = np.arange(seconds, dtype=np.float64)
    after = np.searchsorted(times, grid - 1e-6)
    before = np.clip(after - 1, 0, len(times) - 1)
    after = np.clip(after, 0, len(times) - 1)
    far = (times[after] - grid >= 1.0) | (times[after] < grid - 1e-6)
    nearer = np.abs(times[before] - grid) < np.abs(times[after] - grid)
    return values[np.where(far & nearer, before, after)]
