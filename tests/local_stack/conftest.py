"""Fixtures of the local stack's tests; they run in the environment `stack`."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "include"))

from local_stack.workplace import Workplace  # noqa: E402 (the package is not installed)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A stack's folders of this test's own."""
    made = Workplace(tmp_path / "state")
    made.prepare()
    return made
