"""What was done before: the nights that ended well, and how long each phase took.

history = History(place)
history.next_generated_night()      # 1, 2, ...
history.expected("first")           # {"services": 34.2, ...} seconds; empty where nothing was measured
"""

import time
from pathlib import Path
from typing import Any

from local_stack.workplace import Workplace, read_json, write_json

MEASURED = Path(__file__).with_name("expected_durations.json")


class History:
    """Reads and appends ``nights.json`` and ``durations.json``."""

    def __init__(self, place: Workplace) -> None:
        self._nights = place.state / "nights.json"
        self._durations = place.state / "durations.json"

    def next_generated_night(self) -> int:
        """Return the number of the night to generate: one more than were completed."""
        return 1 + max((night["night"] for night in self._read() if night["kind"] == "generated"), default=0)

    def is_done(self, fingerprint: str) -> bool:
        """Tell whether recordings with this fingerprint went through a whole night."""
        return any(night.get("fingerprint") == fingerprint for night in self._read())

    def add(self, **night: Any) -> None:
        """Remember a night that ended well."""
        finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        write_json(self._nights, [*self._read(), {**night, "finished_at": finished}])

    def expected(self, kind: str) -> dict[str, float]:
        """Return the seconds that each phase took last time here, else on the machine of the committed measurement."""
        return {**read_json(MEASURED, {}).get(kind, {}), **read_json(self._durations, {}).get(kind, {})}

    def remember(self, kind: str, durations: dict[str, float]) -> None:
        """Remember how long the phases took."""
        known = read_json(self._durations, {})
        write_json(self._durations, {**known, kind: {name: round(value, 1) for name, value in durations.items()}})

    def _read(self) -> list[dict[str, Any]]:
        return list(read_json(self._nights, []))
