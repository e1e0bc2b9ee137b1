"""What the parts of the benchmark `delivery` hand over: figures beside their bars."""

from typing import NamedTuple


class Figure(NamedTuple):
    """A figure beside its bar; ``sign`` is ``>=`` or ``<=``."""

    name: str
    value: float
    sign: str
    bar: float

    @property
    def kept(self) -> bool:
        """Tell whether the figure is on the right side of its bar."""
        return self.value >= self.bar if self.sign == ">=" else self.value <= self.bar
