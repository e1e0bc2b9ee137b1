"""A figure beside its bar, and how a benchmark ends: a table, all figures as the last line, an exit code.

return report([Figure("kills", 20, ">=", 20), Figure("base: F1 lost by int8", 0.005, "<=", 0.007, measured=False)])
"""

from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """A figure beside its bar; ``sign`` is ``>=`` or ``<=``. Not measured, it counts neither as kept nor as missed."""

    name: str
    value: float
    sign: str
    bar: float
    measured: bool = True

    @property
    def verdict(self) -> str:
        """Return ``kept``, ``MISSED`` or ``not measured``."""
        if not self.measured:
            return "not measured"
        return "kept" if (self.value >= self.bar if self.sign == ">=" else self.value <= self.bar) else "MISSED"


def report(figures: Sequence[Figure]) -> int:
    """Print every figure on a line, and all of them on the last one; return 1 when one is missed."""
    width = max((len(figure.name) for figure in figures), default=0)
    for figure in figures:
        print(f"{figure.name:<{width}} {figure.value:>10g} {figure.sign} {figure.bar:<10g} {figure.verdict}")
    print("; ".join(f"{one.name} {one.value:g} {one.sign} {one.bar:g} {one.verdict}" for one in figures))
    return 1 if any(figure.verdict == "MISSED" for figure in figures) else 0
