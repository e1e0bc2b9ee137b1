"""What detection says of a recording: its ad breaks, each with the spots in it.

    ad_break = Break(start_seconds=612.4, end_seconds=733.1, confidence=0.97, spots=(612.4, 642.4, 662.9))
    ad_break.duration_seconds                                  # 120.7
    Break.model_validate_json(ad_break.model_dump_json())      # one JSON form

Times are media times, as everywhere; ``end_seconds`` is excluded. Breaks of a recording are in order and never overlap.
"""

from typing import Self

from pydantic import Field, model_validator

from ml_training.utils.records import Record


class Break(Record):
    """A stretch of ads. ``spots`` are the starts of the spots that were told apart, in order; they may be none."""

    start_seconds: float = Field(ge=0)
    end_seconds: float
    confidence: float = Field(ge=0, le=1)  # mean probability, over its seconds, that an ad is on air
    spots: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.end_seconds > self.start_seconds:
            raise ValueError(f"a break must end after its start, received {self.start_seconds}..{self.end_seconds}")
        inside = all(self.start_seconds <= spot < self.end_seconds for spot in self.spots)
        if not inside or list(self.spots) != sorted(set(self.spots)):
            raise ValueError(f"spots must start within the break, in order, received {self.spots}")
        return self

    @property
    def duration_seconds(self) -> float:
        """Length of the break in seconds."""
        return self.end_seconds - self.start_seconds


def spans_of(breaks: list[Break]) -> list[tuple[float, float]]:
    """Return (start, end) of each break, as ``statistics.breaks`` compares them."""
    return [(found.start_seconds, found.end_seconds) for found in breaks]
