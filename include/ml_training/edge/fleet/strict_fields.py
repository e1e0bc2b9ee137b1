"""Reads a JSON object field by field and refuses whatever is not as it should be, naming the place.

    fields = StrictFields.from_json(data, "rollout")
    fields.integer("revision", low=1)                     # RolloutError: rollout.revision: expected an integer >= 1 ...
    fields.finish()                                       # RolloutError for a field that nobody asked for

A device has no pydantic; this is what it has instead. Runs on a device: needs nothing but the standard library.
"""

import json
import re
from datetime import datetime
from typing import Any

from ml_training.utils.errors import RolloutError

ANY_TEXT = re.compile(r"(?s).*")


class StrictFields:
    """One JSON object, with the ``place`` that errors name."""

    def __init__(self, content: Any, place: str) -> None:
        if not isinstance(content, dict):
            raise RolloutError(f"{place}: expected an object, received {_shown(content)}", place=place)
        self._content, self._asked = content, set[str]()
        self.place = place

    @classmethod
    def from_json(cls, data: bytes, place: str) -> "StrictFields":
        """Parse ``data``; NaN, infinities and a name that stands twice are refused too."""
        try:
            content = json.loads(data.decode(), parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)
        except (ValueError, RecursionError) as error:
            raise RolloutError(f"{place}: expected JSON, but: {error}", place=place) from error
        return cls(content, place)

    def integer(self, name: str, *, low: int) -> int:
        """Return a whole number of at least ``low``."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self._wrong(name, f"an integer >= {low}", value)
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """Return a number in [low, high]."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self._wrong(name, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def text(self, name: str, pattern: re.Pattern[str] = ANY_TEXT) -> str:
        """Return a text that matches ``pattern`` as a whole."""
        value = self._take(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self._wrong(name, "a text" if pattern is ANY_TEXT else f"a text like {pattern.pattern}", value)
        return value

    def text_or_none(self, name: str, pattern: re.Pattern[str] = ANY_TEXT) -> str | None:
        """Return a text, or None for null."""
        return None if self._take(name) is None else self.text(name, pattern)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._take(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts", value)
        return tuple(value)

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of ``choices``."""
        value = self._take(name)
        if value not in choices:
            raise self._wrong(name, " or ".join(choices), value)
        return str(value)

    def moment(self, name: str) -> str:
        """Return an ISO 8601 time with a time zone, as it stands."""
        value = self.text(name)
        try:
            aware = datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            raise self._wrong(name, "a time such as 2026-01-05T04:00:00+00:00", value)
        return value

    def part(self, name: str) -> "StrictFields":
        """Return the object in a field."""
        return StrictFields(self._take(name), f"{self.place}.{name}")

    def part_or_none(self, name: str) -> "StrictFields | None":
        """Return the object in a field, or None for null."""
        return None if self._take(name) is None else self.part(name)

    mapping = part  # an object whose names are data

    def names(self, pattern: re.Pattern[str] = ANY_TEXT) -> list[str]:
        """Return the names of an object whose names are data, each matching ``pattern``."""
        for name in self._content:
            if not pattern.fullmatch(name):
                raise RolloutError(f"{self.place}: expected a name like {pattern.pattern}, received {name!r}")
        return list(self._content)

    def finish(self) -> None:
        """Refuse fields that nobody asked for."""
        unknown = sorted(set(self._content) - self._asked)
        if unknown:
            raise RolloutError(f"{self.place}: unknown field {unknown[0]!r}", place=f"{self.place}.{unknown[0]}")

    def _take(self, name: str) -> Any:
        self._asked.add(name)
        if name not in self._content:
            raise RolloutError(f"{self.place}.{name} is missing", place=f"{self.place}.{name}")
        return self._content[name]

    def _wrong(self, name: str, expected: str, received: Any) -> RolloutError:
        place = f"{self.place}.{name}"
        return RolloutError(f"{place}: expected {expected}, received {_shown(received)}", place=place)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name stands twice among {names}")
    return dict(pairs)
