"""How a recording is divided: shards of stored frames and sound, and parts that are worked on as one.

    layout = Layout(frames_per_second=1.0)
    layout.shard_seconds                   # 256.0: shard k holds media time [256 k, 256 (k + 1))
    layout.parts(duration_seconds=3600.0)  # 15 parts of one shard each

Shards and parts of what is kept follow from the frame rate alone. A result therefore never depends on how many workers
made it, nor on how often one was killed: a part is done or is done again. What goes away after a look may have shorter
parts, so that all cores share a short recording.
"""

import math
from typing import NamedTuple

from ml_training.data.audio.sound import SAMPLE_RATE
from ml_training.data.media_time import target_number

TARGETS_PER_SHARD = 256  # at one frame a second 4 MB of pictures and 4 MB of sound: one request of a bucket each
LONGEST_SHARD_SECONDS = 512.0  # at low rates: what a worker holds of sound stays below 17 MB
PART_SECONDS = 256.0  # at high rates a part takes several shards: to begin one costs a group of pictures


class Part(NamedTuple):
    """Shards [first_shard, end_shard) of a recording: media time [start_seconds, end_seconds)."""

    number: int
    first_shard: int
    end_shard: int
    start_seconds: float
    end_seconds: float


class Layout(NamedTuple):
    """The division of recordings at one frame rate."""

    frames_per_second: float
    part_seconds: float | None = None  # None: as for all that is kept

    @property
    def targets_per_shard(self) -> int:
        """How many target times a shard holds: 256, fewer below 0.5 frames a second and where parts are shorter."""
        longest = self.part_seconds or LONGEST_SHARD_SECONDS
        return max(1, min(TARGETS_PER_SHARD, int(longest * self.frames_per_second)))

    @property
    def shard_seconds(self) -> float:
        """The media time that a shard holds."""
        return self.targets_per_shard / self.frames_per_second

    @property
    def shard_samples(self) -> int:
        """The samples of a shard's sound; the last one of a recording has fewer."""
        return round(self.shard_seconds * SAMPLE_RATE)

    @property
    def shards_per_part(self) -> int:
        """How many shards are worked on as one."""
        return max(1, int((self.part_seconds or PART_SECONDS) / self.shard_seconds))

    @property
    def targets_per_part(self) -> int:
        """How many target times a part holds."""
        return self.targets_per_shard * self.shards_per_part

    def shard_of(self, seconds: float) -> int:
        """Return the number of the shard that holds a frame's media time."""
        return target_number(seconds, self.frames_per_second) // self.targets_per_shard

    def part(self, number: int, *, end_shard: int | None = None) -> Part:
        """Return a part; ``end_shard`` is where the recording ends, if it is known."""
        first = number * self.shards_per_part
        end = first + self.shards_per_part
        end = end if end_shard is None else min(end, end_shard)
        return Part(
            number, first, end, first * self.shard_seconds, (number + 1) * self.shards_per_part * self.shard_seconds
        )

    def shard_count(self, duration_seconds: float) -> int:
        """Return how many shards a recording has: at least one."""
        return max(1, math.ceil(round(duration_seconds / self.shard_seconds, 6)))

    def parts(self, duration_seconds: float) -> list[Part]:
        """Return all parts of a recording."""
        shards = self.shard_count(duration_seconds)
        return [self.part(number, end_shard=shards) for number in range(math.ceil(shards / self.shards_per_part))]
