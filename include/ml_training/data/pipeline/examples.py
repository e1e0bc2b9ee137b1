"""What a pipeline reads: for every example its label, and where its pictures and its sound lie.

    examples = read_examples("s3://adbreak", dataset_id, "train", view=WINDOWS)
    examples.labels                     # int8 [N]
    examples.rows                       # int32 [N, 5]: one row of a shard a picture

A view says which frames around a judged one belong to it: none, the four seconds before it, or the ten seconds around
it with their sound. All arrays have one entry an example, so millions of them take little memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.utils.errors import UsageError

Array = npt.NDArray[Any]

PICTURE_FILE = -1  # in place of a row: the file is not a shard but one picture


class View(NamedTuple):
    """Which media times around the judged frame an example shows, in seconds; the sound is a start and an end."""

    name: str
    offsets_seconds: tuple[float, ...]
    sound_seconds: tuple[float, float] | None = None

    @property
    def judged(self) -> int:
        """The place of the judged frame among the pictures."""
        return self.offsets_seconds.index(0.0)


FRAMES = View("frames", (0.0,))
WINDOWS = View("windows", (-4.0, -3.0, -2.0, -1.0, 0.0))
CLIPS = View("clips", tuple(float(second) for second in range(-5, 5)), (-5.0, 5.0))
VIEWS = {view.name: view for view in (FRAMES, WINDOWS, CLIPS)}


@dataclass(frozen=True)
class Examples:
    """N examples of one view; ``n`` is the number of pictures of an example."""

    view: View
    files: Sequence[str]  # addresses of shards and pictures
    file_numbers: npt.NDArray[np.int32]  # [N, n], into files
    rows: npt.NDArray[np.int32]  # [N, n]; PICTURE_FILE where the file is one picture
    labels: npt.NDArray[np.int8]  # [N]: 1 ad, 0 content
    recordings: Sequence[str]
    recording_numbers: npt.NDArray[np.int32]  # [N], into recordings; -1: of no recording
    pts_seconds: npt.NDArray[np.float64]  # [N], of the judged frame; NaN: of no recording
    hardness: npt.NDArray[np.float32]  # [N], 0 easy or not known, 1 as wrong as can be
    data_dir: str = ""
    extractions: Sequence[Mapping[str, Any]] = ()  # extraction.json of each recording, where the view has sound
    passed_over: Mapping[str, int] = field(default_factory=dict)  # reason: number of judged frames

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def recording_ids(self) -> Array:
        """The recording of each example, [N]; empty for one of no recording."""
        return np.array([*self.recordings, ""], object)[self.recording_numbers]

    def take(self, chosen: Array) -> "Examples":
        """Return the examples that ``chosen`` (indices or mask) names."""
        return replace(
            self,
            file_numbers=self.file_numbers[chosen],
            rows=self.rows[chosen],
            labels=self.labels[chosen],
            recording_numbers=self.recording_numbers[chosen],
            pts_seconds=self.pts_seconds[chosen],
            hardness=self.hardness[chosen],
        )


def join_examples(first: Examples, second: Examples) -> Examples:
    """Return the examples of both. Raises UsageError when their views differ."""
    if first.view != second.view:
        raise UsageError(
            f"examples of one pipeline must have one view, received {first.view.name} and {second.view.name}: single "
            "pictures, such as hard examples, have no neighbours and no sound"
        )
    numbers = second.recording_numbers
    shifted = np.where(numbers < 0, numbers, numbers + len(first.recordings)).astype(np.int32)
    reasons = list(dict.fromkeys([*first.passed_over, *second.passed_over]))
    return Examples(
        view=first.view,
        files=[*first.files, *second.files],
        file_numbers=np.concatenate([first.file_numbers, second.file_numbers + np.int32(len(first.files))]),
        rows=np.concatenate([first.rows, second.rows]),
        labels=np.concatenate([first.labels, second.labels]),
        recordings=[*first.recordings, *second.recordings],
        recording_numbers=np.concatenate([first.recording_numbers, shifted]),
        pts_seconds=np.concatenate([first.pts_seconds, second.pts_seconds]),
        hardness=np.concatenate([first.hardness, second.hardness]),
        data_dir=first.data_dir,
        extractions=[*first.extractions, *second.extractions],
        passed_over={name: first.passed_over.get(name, 0) + second.passed_over.get(name, 0) for name in reasons},
    )
